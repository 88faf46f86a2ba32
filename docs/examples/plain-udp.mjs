// An endpoint for Callpath in one file of JavaScript: UDP from the host's own address, no NAT traversal.
// The same as the adapter plain-udp. What the lines mean: docs/external-programs.md.
import dgram from "node:dgram";
import readline from "node:readline";

const say = (record) => process.stdout.write(JSON.stringify(record) + "\n");
const report = (type, call, data) => say({ type, call, data });
const calls = new Map();
const prepared = new Map();
let setup;

const now = () => Number(process.hrtime.bigint()) / 1e9 - setup.origin;

function begin(call, media) {
  const socket = dgram.createSocket("udp4");
  const side = { socket, media, call, heard: false, timer: null };
  socket.on("message", (data, from) => {
    if (!side.heard) {
      const pair = {
        local: { type: "host", address: side.own },
        remote: { type: "host", address: `${from.address}:${from.port}` },
      };
      report("ice.selected", call, pair);
      report("ice.connected", call, {});
      side.heard = true;
      clearInterval(side.timer);
      [side.host, side.port] = [from.address, from.port]; // a packet may come before the answer does
      send(side, media);
    }
    const { sequence, sent } = JSON.parse(data);
    if (sequence !== undefined)
      report("media.received", call, { sequence, bytes: data.length, delay: now() - sent });
  });
  calls.set(call, side);
  return new Promise((resolve) =>
    socket.bind(0, setup.addresses[0], () => {
      side.own = `${socket.address().address}:${socket.address().port}`;
      resolve(side);
    }),
  );
}

function connect(side, theirs) {
  if (side.heard) return;
  [side.host, side.port] = theirs.split(":");
  let left = 50;
  side.timer = setInterval(() => {
    if (left-- > 0) return side.socket.send(JSON.stringify({ call: side.call }), Number(side.port), side.host);
    clearInterval(side.timer);
    report("ice.failed", side.call, { reason: "nothing was heard of the other side" });
  }, 100);
}

async function send(side, media) {
  side.socket.send(JSON.stringify({ call: side.call }), Number(side.port), side.host); // in case that the other has heard nothing yet
  for (let sequence = 0; sequence < media.packets; sequence++) {
    const packet = JSON.stringify({ call: side.call, sequence, sent: now() }).padEnd(media.size);
    side.socket.send(packet, Number(side.port), side.host);
    report("media.sent", side.call, { sequence, bytes: media.size });
    await new Promise((resolve) => setTimeout(resolve, media.interval * 1000));
  }
}

async function hear(message) {
  if (message.setup) {
    setup = message.setup;
    say({ ready: true });
  } else if (message.command === "answer") {
    prepared.set(message.call, message.media);
  } else if (message.command === "dial") {
    const side = await begin(message.call, message.media);
    say({ signal: { kind: "offer", to: message.to, call: message.call, sdp: side.own } });
  } else if (message.command === "hang-up") {
    const side = calls.get(message.call);
    clearInterval(side?.timer);
    side?.socket.close();
    report("call.ended", message.call, { reason: "hung up" });
  } else if (message.signal?.kind === "offer") {
    const { sender, call, sdp } = message.signal;
    const side = await begin(call, prepared.get(call));
    say({ signal: { kind: "answer", to: sender, call, sdp: side.own } });
    connect(side, sdp);
  } else if (message.signal?.kind === "answer") {
    connect(calls.get(message.signal.call), message.signal.sdp);
  }
}

readline.createInterface({ input: process.stdin }).on("line", (line) => hear(JSON.parse(line)));
