// A call whose access line is cut under way, from Node alone: `node call.mjs`. No package is needed.
import { spawn } from "node:child_process";
import { createConnection } from "node:net";
import { createInterface } from "node:readline";

// The server says in its first line where it listens, and ends with this program, however that ends.
const server = spawn("callpath", ["serve", "--end-with-stdin"], { stdio: ["pipe", "pipe", "inherit"] });
const firstLine = await new Promise((resolve, reject) => {
  createInterface({ input: server.stdout }).once("line", resolve);
  server.once("exit", (code) => reject(new Error(`callpath serve ended with ${code}`)));
});

const socket = createConnection(JSON.parse(firstLine).unix);
const waiting = new Map();
const happened = [];
createInterface({ input: socket }).on("line", (line) => {
  const said = JSON.parse(line);
  if (said.event) return happened.push(said.event);
  const { resolve, reject } = waiting.get(said.id);
  waiting.delete(said.id);
  said.ok ? resolve(said.result) : reject(new Error(said.error.message));
});
let number = 0;
const ask = (verb, fields = {}) =>
  new Promise((resolve, reject) => {
    const id = ++number;
    waiting.set(id, { resolve, reject });
    socket.write(`${JSON.stringify({ id, do: verb, ...fields })}\n`);
  });

await ask("open", { topology: "two_homes" });
const call = await ask("call", { caller: "alice", callee: "bob" });
console.log(`${call.path}, set up in ${Math.round(call.setup_time * 1000)} ms`);
await ask("cut", { link: "alice-access" });
await ask("sleep", { duration: "1min" });
await ask("call", { caller: "alice", callee: "nobody" }).catch((error) => console.log(error.message));
// Events are lines of their own; these have been told when what is asked next is answered.
await ask("events", { types: ["ice.connected", "ice.consent_lost", "link.changed"] });
await ask("down");
for (const event of happened) console.log(event.t.toFixed(3), event.type, event.node);
socket.end();
