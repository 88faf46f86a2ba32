// The page of the adapter chromium: RTCPeerConnection with a microphone and a data channel, one a call.
//
// It runs in the browser. lab/adapters/chromium.py calls start() and hear(), and passes on what say() is given.
"use strict";

const CANDIDATE_LINES = /^a=(candidate:|end-of-candidates).*\r?\n/gm;
const LOOK_AGAIN = 250; // ms between two looks at which pair of candidates is selected

const say = (record) => callpath(JSON.stringify(record));
const now = () => (performance.timeOrigin + performance.now()) / 1000 - zero;
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
const calls = new Map();
const prepared = new Map();
let setup, zero, microphone;

async function start(told, origin) {
  [setup, zero] = [told, origin];
  if (setup.options.audio ?? true)
    microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
}

class Call {
  constructor({ call, policy, media, check_delay: delay }, peer) {
    Object.assign(this, { name: call, peer, media, delay, sequence: 0, types: new Set(), count: 0 });
    this.trickle = setup.options.trickle ?? true;
    this.began = now();
    const iceTransportPolicy = policy.candidates === "relay-only" ? "relay" : "all";
    this.connection = new RTCPeerConnection({ iceServers: iceServers(policy), iceTransportPolicy });
    this.connection.onicecandidate = ({ candidate }) => this.gathered(candidate);
    this.connection.onicecandidateerror = ({ errorCode: code, errorText: text, url }) =>
      this.report("ice.candidate_error", { code, text, url });
    this.connection.oniceconnectionstatechange = () => this.iceIs(this.connection.iceConnectionState);
    this.connection.ondatachannel = ({ channel }) => this.open(channel);
    for (const track of microphone?.getTracks() ?? []) this.connection.addTrack(track, microphone);
  }

  report(type, data = {}, time = now()) {
    say({ type, call: this.name, time: Math.max(0, time), data });
  }

  // Offer and answer

  async dial() {
    this.open(this.connection.createDataChannel("callpath", { ordered: false, maxRetransmits: 0 }));
    await this.describe(await this.connection.createOffer());
  }

  async answer(offer) {
    await this.take(offer, "offer");
    await this.describe(await this.connection.createAnswer());
  }

  async describe(description) {
    this.kind = description.type;
    this.early = [];
    await this.connection.setLocalDescription(description);
    if (!this.trickle) return; // it goes out whole when all candidates are there
    this.send(this.kind, description.sdp);
    this.early.forEach((text) => this.send("candidate", text));
    this.early = null;
  }

  gathered(candidate) {
    if (candidate === null) return this.gatheredAll();
    if (!candidate.candidate) return;
    const { type, address, port, priority, protocol, relayProtocol: relay_protocol, url } = candidate;
    this.types.add(type);
    this.count++;
    const data = { type, address: `${address}:${port}`, priority, protocol, relay_protocol, url };
    this.report("ice.candidate", { side: "local", ...data });
    if (!this.trickle) return;
    const fragment = `a=mid:${candidate.sdpMid}\r\na=${candidate.candidate}\r\n`;
    if (this.early) this.early.push(fragment);
    else this.send("candidate", fragment);
  }

  gatheredAll() {
    const data = { types: [...this.types].sort(), candidates: this.count, seconds: now() - this.began };
    this.report("ice.gathered", data);
    if (!this.trickle) this.send(this.kind, this.connection.localDescription.sdp);
  }

  send(kind, sdp) {
    say({ signal: { kind, to: this.peer, call: this.name, sdp } });
  }

  // The other side's; its candidates wait for check_delay, so that checks begin no earlier.
  async take(sdp, type) {
    await this.connection.setRemoteDescription({ type, sdp: this.delay ? sdp.replace(CANDIDATE_LINES, "") : sdp });
    this.described = true;
    if (this.delay) this.addLater([...sdp.matchAll(/^a=candidate:.*$/gm)].map(([line]) => [line, undefined]));
    else this.waiting?.forEach(([line, mid]) => this.add(line, mid));
  }

  async addLater(lines) {
    await pause(this.delay);
    this.delay = 0;
    for (const [line, mid] of [...lines, ...(this.waiting ?? [])]) this.add(line, mid);
  }

  takeCandidate(fragment) {
    const mid = /^a=mid:(.*?)\r?$/m.exec(fragment)?.[1];
    const line = /^a=candidate:.*?\r?$/m.exec(fragment)?.[0];
    if (!line) return;
    if (this.delay || !this.described) (this.waiting ??= []).push([line, mid]);
    else this.add(line, mid);
  }

  add(line, mid) {
    const where = this.connection.remoteDescription.sdp.includes(`a=mid:${mid}`) ? { sdpMid: mid } : { sdpMLineIndex: 0 };
    this.connection.addIceCandidate({ candidate: line.trim().replace(/^a=/, ""), ...where });
  }

  // What becomes of it

  async iceIs(state) {
    if (state === "connected" || state === "completed") {
      if (this.connected) return;
      const time = (this.connected = now());
      await this.tellSelected(time);
      this.report("ice.connected", {}, time);
      this.watch = setInterval(() => this.tellSelected(), LOOK_AGAIN);
    } else if (state === "failed" && !this.connected) {
      this.failed = true;
      this.report("ice.failed", { reason: "Chromium has found no pair that works" });
    } else if ((state === "disconnected" || state === "failed") && this.connected && !this.lost) {
      this.lost = true;
      this.report("ice.consent_lost", { state });
    }
  }

  // Pairs of types on which a check has succeeded, by the browser's own account.
  tellValidated(stats) {
    const type = (id) => (stats.get(id)?.relayProtocol ? "relay" : stats.get(id)?.candidateType);
    const pairs = [...stats.values()]
      .filter((stat) => stat.type === "candidate-pair" && stat.state === "succeeded")
      .map((stat) => [type(stat.localCandidateId), type(stat.remoteCandidateId)])
      .filter(([local, remote]) => local && remote);
    this.report("ice.validated", { pairs: [...new Set(pairs.map(String))].map((pair) => pair.split(",")) });
  }

  async tellSelected(time = undefined) {
    const stats = await this.connection.getStats();
    const transport = [...stats.values()].find(({ type }) => type === "transport");
    const pair = stats.get(transport?.selectedCandidatePairId);
    if (!pair) return;
    // What a peer has seen of a relay port is peer-reflexive to Chromium, and relayed all the same.
    const of = ({ candidateType: type, address, port, protocol, relayProtocol: relay_protocol }) => ({
      type: relay_protocol ? "relay" : type,
      address: `${address}:${port}`,
      protocol,
      relay_protocol,
    });
    const selected = { local: of(stats.get(pair.localCandidateId)), remote: of(stats.get(pair.remoteCandidateId)) };
    if (JSON.stringify(selected) === this.selected) return;
    this.selected = JSON.stringify(selected);
    this.report("ice.selected", selected, time);
  }

  open(channel) {
    this.channel = channel;
    channel.addEventListener("open", () => this.opened(), { once: true }); // it may be told twice
    channel.onmessage = ({ data }) => {
      const { sequence, sent } = JSON.parse(data);
      this.report("media.received", { sequence, bytes: data.length, delay: now() - sent });
    };
  }

  // Chromium tells that a channel of the other side's is open a moment before it is, and loses what is sent then.
  // Its statistics say how it really is.
  async opened() {
    while (!(await this.isOpen()) && this.channel.readyState === "open") await pause(0.001);
    this.report("program.reported", { what: "data channel open", seconds: now() - this.began });
    this.sendMedia(this.media);
  }

  async isOpen() {
    const stats = await this.connection.getStats();
    return [...stats.values()].some(({ type, state }) => type === "data-channel" && state === "open");
  }

  async sendMedia(media) {
    for (let number = 0; number < media.packets && this.channel.readyState === "open"; number++) {
      const sequence = this.sequence++;
      this.channel.send(JSON.stringify({ sequence, sent: now() }).padEnd(media.size));
      this.report("media.sent", { sequence, bytes: media.size });
      await pause(media.interval);
    }
  }

  async close() {
    clearInterval(this.watch);
    const stats = await this.connection.getStats();
    if (this.connected || this.failed) this.tellValidated(stats);
    for (const stat of stats.values()) {
      const { kind, packetsSent, packetsReceived, packetsLost: lost, bytesSent, bytesReceived, jitter } = stat;
      if (stat.type === "outbound-rtp")
        this.report("media.rtp", { direction: "sent", kind, packets: packetsSent, bytes: bytesSent });
      if (stat.type === "inbound-rtp")
        this.report("media.rtp", { direction: "received", kind, packets: packetsReceived, lost, bytes: bytesReceived, jitter });
    }
    this.connection.close();
    this.report("call.ended", { reason: "hung up" });
  }
}

function iceServers(policy) {
  const transports = policy.candidates === "no-relay" ? [] : policy.turn_transports;
  return setup.servers
    .filter(({ kind, transport }) => kind === "stun" || transports.includes(transport))
    .map(({ kind, transport, host, port, username, password: credential }) => {
      if (kind === "stun") return { urls: `stun:${host}:${port}` };
      const scheme = transport === "tls" ? "turns" : "turn";
      return { urls: `${scheme}:${host}:${port}?transport=${transport === "udp" ? "udp" : "tcp"}`, username, credential };
    });
}

async function hear(message) {
  const { command, signal } = message;
  if (command === "answer") {
    prepared.set(message.call, message);
  } else if (command === "dial") {
    calls.set(message.call, new Call(message, message.to));
    await calls.get(message.call).dial();
  } else if (command === "send-media") {
    await calls.get(message.call)?.sendMedia(message.media);
  } else if (command === "hang-up") {
    await calls.get(message.call)?.close();
  } else if (signal?.kind === "offer") {
    calls.set(signal.call, new Call(prepared.get(signal.call), signal.sender));
    await calls.get(signal.call).answer(signal.sdp);
  } else if (signal?.kind === "answer") {
    await calls.get(signal.call)?.take(signal.sdp, "answer");
  } else if (signal?.kind === "candidate") {
    calls.get(signal.call)?.takeCandidate(signal.sdp);
  }
}
