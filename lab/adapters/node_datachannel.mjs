// node-datachannel as an endpoint: libdatachannel, and with it libjuice's ICE. One data channel a call, no audio.
//
// node node_datachannel.mjs DIRECTORY: where node_modules is. The lines are those of docs/external-programs.md.
//
// Options: trickle (true): candidates are sent one by one (RFC 8838), not all with the offer and the answer.
import { createRequire } from "node:module";
import readline from "node:readline";

const { PeerConnection, initLogger, getLibraryVersion } = createRequire(`${process.argv[2]}/`)("node-datachannel");

const CANDIDATE_LINES = /^a=(candidate:|end-of-candidates).*\r?\n/gm;

const say = (record) => process.stdout.write(JSON.stringify(record) + "\n");
const now = () => Number(process.hrtime.bigint()) / 1e9 - setup.origin;
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
const calls = new Map();
const prepared = new Map();
let setup;

class Call {
  constructor({ call, policy, media, check_delay: delay }, peer) {
    Object.assign(this, { name: call, peer, media, delay, sequence: 0, types: new Set(), count: 0 });
    this.validated = new Map();
    this.trickle = setup.options.trickle ?? true;
    this.began = now();
    this.early = [];
    this.connection = new PeerConnection(setup.node, {
      iceServers: iceServers(policy),
      iceTransportPolicy: policy.candidates === "relay-only" ? "relay" : "all",
      ...(setup.udp_ports && { portRangeBegin: setup.udp_ports[0], portRangeEnd: setup.udp_ports[1] }),
    });
    this.connection.onLocalDescription((sdp, kind) => this.described(sdp, kind));
    this.connection.onLocalCandidate((text, mid) => this.gathered(text, mid));
    this.connection.onGatheringStateChange((state) => state === "complete" && this.gatheredAll());
    this.connection.onIceStateChange((state) => this.iceIs(state));
    this.connection.onDataChannel((channel) => this.open(channel));
  }

  report(type, data = {}) {
    say({ type, call: this.name, data });
  }

  // Offer and answer

  dial() {
    this.open(this.connection.createDataChannel("callpath", { unordered: true, maxRetransmits: 0 }));
  }

  described(sdp, kind) {
    this.kind = kind;
    if (!this.trickle) return; // it goes out whole when all candidates are there
    this.send(kind, sdp.replace(CANDIDATE_LINES, ""));
    this.early.forEach((text) => this.send("candidate", text));
    this.early = null;
  }

  gathered(text, mid) {
    const [, , , priority, host, port, , type] = text.split(" ");
    this.types.add(type);
    this.count++;
    this.report("ice.candidate", { side: "local", type, address: `${host}:${port}`, priority: Number(priority) });
    if (!this.trickle) return;
    const fragment = `a=mid:${mid}\r\na=${text.replace(/^a=/, "")}\r\n`;
    if (this.early) this.early.push(fragment);
    else this.send("candidate", fragment);
  }

  gatheredAll() {
    const data = { types: [...this.types].sort(), candidates: this.count, seconds: now() - this.began };
    this.report("ice.gathered", data);
    if (!this.trickle) this.send(this.kind, this.connection.localDescription().sdp);
  }

  send(kind, sdp) {
    say({ signal: { kind, to: this.peer, call: this.name, sdp } });
  }

  // The other side's; its candidates wait for check_delay, so that checks begin no earlier.
  async take(sdp, kind) {
    this.connection.setRemoteDescription(this.delay ? sdp.replace(CANDIDATE_LINES, "") : sdp, kind);
    this.started = true;
    if (!this.delay) return;
    await pause(this.delay);
    this.delay = 0;
    for (const [line] of sdp.matchAll(/^a=candidate:.*$/gm)) this.add(line, "0");
    this.waiting?.forEach(([line, mid]) => this.add(line, mid));
  }

  takeCandidate(fragment) {
    const mid = /^a=mid:(.*?)\r?$/m.exec(fragment)?.[1] ?? "0";
    const line = /^a=candidate:.*?\r?$/m.exec(fragment)?.[0].trim();
    if (!line) return;
    if (this.delay) (this.waiting ??= []).push([line, mid]);
    else this.add(line, mid);
  }

  add(line, mid) {
    this.connection.addRemoteCandidate(line.trim().replace(/^a=/, ""), mid);
  }

  // What becomes of it

  iceIs(state) {
    if (state === "connected" || state === "completed") {
      const pair = this.connection.getSelectedCandidatePair();
      const of = ({ type, address, port }) => ({ type, address: `${address}:${port}` });
      const selected = pair && { local: of(pair.local), remote: of(pair.remote) };
      if (selected && JSON.stringify(selected) !== this.selected) {
        this.report("ice.selected", selected);
        this.validated.set(`${pair.local.type} ${pair.remote.type}`, [pair.local.type, pair.remote.type]);
        this.report("ice.validated", { pairs: [...this.validated.values()] }); // libjuice tells of no other
        this.selected = JSON.stringify(selected);
      }
      if (!this.connected) this.report("ice.connected");
      this.connected = true;
    } else if (state === "failed" && !this.connected && !this.closed) {
      this.report("ice.failed", { reason: "libjuice has found no pair that works" });
    } else if (["failed", "disconnected"].includes(state) && this.connected && !this.lost && !this.closed) {
      this.lost = true;
      this.report("ice.consent_lost");
    }
  }

  open(channel) {
    this.channel = channel;
    const opened = () => {
      this.report("program.reported", { what: "data channel open", seconds: now() - this.began });
      this.sendMedia(this.media);
    };
    channel.onMessage((text) => {
      const { sequence, sent } = JSON.parse(text);
      this.report("media.received", { sequence, bytes: text.length, delay: now() - sent });
    });
    if (channel.isOpen()) opened();
    else channel.onOpen(opened);
  }

  async sendMedia(media) {
    for (let number = 0; number < media.packets && !this.closed; number++) {
      const sequence = this.sequence++;
      this.channel.sendMessage(JSON.stringify({ sequence, sent: now() }).padEnd(media.size));
      this.report("media.sent", { sequence, bytes: media.size });
      await pause(media.interval);
    }
  }

  close() {
    this.closed = true;
    this.connection.close();
    this.report("call.ended", { reason: "hung up" });
  }
}

// libjuice speaks TURN over UDP alone: servers over TCP and TLS are left out, as it would.
function iceServers(policy) {
  const wanted = ({ kind, transport }) =>
    kind === "stun" ||
    (transport === "udp" && policy.candidates !== "no-relay" && policy.turn_transports.includes("udp"));
  return setup.servers.filter(wanted).map(({ kind, host, port, username, password }) =>
    kind === "stun" ? `stun:${host}:${port}` : { hostname: host, port, username, password, relayType: "TurnUdp" },
  );
}

function hear(message) {
  const { command, signal } = message;
  if (message.setup) {
    setup = message.setup;
    initLogger("Warning", (level, text) => process.stderr.write(`${level}: ${text}\n`));
    process.stderr.write(`libdatachannel ${getLibraryVersion()}\n`);
    say({ ready: true });
  } else if (command === "answer") {
    prepared.set(message.call, message);
  } else if (command === "dial") {
    calls.set(message.call, new Call(message, message.to));
    calls.get(message.call).dial();
  } else if (command === "send-media") {
    calls.get(message.call)?.sendMedia(message.media);
  } else if (command === "hang-up") {
    calls.get(message.call)?.close();
  } else if (signal?.kind === "offer") {
    calls.set(signal.call, new Call(prepared.get(signal.call), signal.sender));
    calls.get(signal.call).take(signal.sdp, "offer");
  } else if (signal?.kind === "answer") {
    calls.get(signal.call)?.take(signal.sdp, "answer");
  } else if (signal?.kind === "candidate") {
    calls.get(signal.call)?.takeCandidate(signal.sdp);
  }
}

readline
  .createInterface({ input: process.stdin })
  .on("line", (line) => hear(JSON.parse(line)))
  .on("close", () => process.exit(0));
