// One call: a session on the server, and the peer connection to it.
//
//   idle -> connecting -> live -> idle
//              |            |
//              +--> error <-+      error -> connecting (try again)

import * as api from "./api.js";

const GATHER_MS = 1000;
const CONNECT_MS = 30_000;
const POLL_MS = 1000;

export class Call extends EventTarget {
  state = "idle";
  detail = "";
  /** As the server described it when it was opened: id, budget. */
  session = null;
  peer = null;
  /** What the server sends: the avatar's picture and its delayed voice. */
  stream = null;
  began = 0;
  #sender = null;
  #poll = 0;
  #attempt = 0;

  /**
   * Open a session and connect.
   * @param {() => Promise<MediaStreamTrack>} voice gives the track to send; it may ask for the microphone.
   * @param {object} wanted body of POST /api/sessions.
   * @param {object} first what to change as soon as there is a session, such as {controls}.
   */
  async start(voice, wanted, first = {}) {
    await this.stop();
    const attempt = ++this.#attempt;
    const current = () => attempt === this.#attempt;
    try {
      this.#become("connecting", "Asking for the voice");
      const track = await voice();
      if (!current()) return;
      this.#become("connecting", "Waking the avatar and fitting its latency to this server");
      const session = await api.openSession(wanted);
      if (!current()) return void api.closeSession(session.id).catch(() => {});
      this.session = session;
      if (Object.keys(first).length) await api.change(session.id, first);
      this.#become("connecting", "Connecting");
      await this.#connect(track, current);
      if (!current()) return;
      this.began = performance.now();
      this.#become("live");
      this.#poll = setInterval(() => this.#look(), POLL_MS);
      this.#look();
    } catch (error) {
      if (current()) this.#fail(error.message);
    }
  }

  /** End whatever is going on. */
  async stop() {
    this.#attempt++;
    const ended = this.#release();
    if (this.state !== "idle") this.#become("idle");
    await ended;
  }

  /** Send another voice in place of the present one. */
  async speakWith(track) {
    await this.#sender?.replaceTrack(track);
  }

  /** Steer the face, or exchange the avatar. */
  async change(values) {
    if (this.session) await api.change(this.session.id, values);
  }

  async interrupt() {
    if (this.session) await api.interrupt(this.session.id);
  }

  async #connect(track, current) {
    const peer = new RTCPeerConnection({ iceServers: this.session.ice_servers ?? [], bundlePolicy: "max-bundle" });
    this.peer = peer;
    this.stream = new MediaStream();
    peer.addEventListener("track", ({ track: received, receiver }) => {
      // The engine's clock is even: what the player waits beyond the network's own jitter is latency for nothing.
      if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
      this.stream.addTrack(received);
    });
    this.#sender = peer.addTransceiver(track, { direction: "sendrecv" }).sender;
    peer.addTransceiver("video", { direction: "recvonly" });
    await peer.setLocalDescription();
    await gathered(peer);
    if (!current()) return;
    const answer = await api.offer(this.session.id, peer.localDescription);
    if (!current()) return;
    await peer.setRemoteDescription(answer);
    await connected(peer);
    peer.addEventListener("connectionstatechange", () => {
      if (peer === this.peer && ["failed", "closed"].includes(peer.connectionState)) {
        this.#fail("The connection to the avatar was lost.");
      }
    });
  }

  async #look() {
    const { session, peer } = this;
    try {
      const [told, reports] = await Promise.all([api.session(session.id), peer.getStats()]);
      if (session !== this.session) return;
      this.dispatchEvent(new CustomEvent("figures", { detail: { told, reports, at: performance.now() } }));
    } catch (error) {
      if (session !== this.session) return;
      if ([404, 410].includes(error.status)) this.#fail("The session has ended: the server closed it.");
      else if (error.status === 0) this.dispatchEvent(new CustomEvent("quiet", { detail: error.message }));
    }
  }

  #fail(sentence) {
    this.#attempt++;
    this.#release();
    this.#become("error", sentence);
  }

  #release() {
    clearInterval(this.#poll);
    const { session, peer } = this;
    this.session = this.peer = this.stream = this.#sender = null;
    peer?.close();
    // A session that is gone already is as good as closed.
    return session ? api.closeSession(session.id).catch(() => {}) : null;
  }

  #become(state, detail = "") {
    this.state = state;
    this.detail = detail;
    this.dispatchEvent(new Event("state"));
  }
}

/** All candidates are known, or as many as come in a second: an unreachable STUN server must not hold the call up. */
function gathered(peer) {
  return new Promise((resolve) => {
    const look = () => peer.iceGatheringState === "complete" && resolve();
    peer.addEventListener("icegatheringstatechange", look);
    setTimeout(resolve, GATHER_MS);
    look();
  });
}

function connected(peer) {
  return new Promise((resolve, reject) => {
    const refuse = () =>
      reject(
        new Error(
          "The server could not be reached with sound and picture: a firewall may be between, or it needs a TURN server.",
        ),
      );
    const look = () => {
      if (peer.connectionState === "connected") resolve();
      // A call that was ended meanwhile closes its peer; its attempt is void, and nobody reads this.
      if (["failed", "closed"].includes(peer.connectionState)) refuse();
    };
    peer.addEventListener("connectionstatechange", look);
    setTimeout(refuse, CONNECT_MS);
    look();
  });
}
