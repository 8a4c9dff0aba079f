// Shows a running session on a canvas: by WebRTC (WHEP), or as pictures over a WebSocket where that does not come about.
// What breaks off is begun again.

import { StackedCanvas } from "./stacked.js";

const GATHER_MS = 1000;
const CONNECT_MS = 8000;
const AGAIN_MS = 1000;

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const token = () => new URLSearchParams(location.hash.slice(1)).get("token");

export function socketAddress(path, values = {}) {
  const address = new URL(path, location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  address.search = new URLSearchParams(values);
  address.hash = "";
  if (token()) address.searchParams.set("token", token());
  return address;
}

export class Viewer extends EventTarget {
  #canvas;
  #video;
  #session;
  #picture;
  #webrtc;
  #failures = 0;
  /** How pictures come now: "", "webrtc" or "pictures". */
  by = "";
  frames = 0;

  /**
   * @param {HTMLCanvasElement} canvas 512x512.
   * @param {HTMLVideoElement} video carries the call; muted unless the voice is wanted.
   * @param {{session: string, picture: "stacked"|"original"|"desk", webrtc?: boolean}} options
   */
  constructor(canvas, video, { session, picture, webrtc = true }) {
    super();
    this.#canvas = new StackedCanvas(canvas);
    this.#video = video;
    this.#session = session;
    this.#picture = picture;
    this.#webrtc = webrtc && "RTCPeerConnection" in window;
  }

  /** For as long as the page is open. */
  async run() {
    for (;;) {
      try {
        // Where a call failed twice it is tried again only after a while of pictures.
        if (this.#webrtc && this.#failures < 2) await this.#call();
        else await this.#pictures();
      } catch (error) {
        this.#failures++;
        this.#become("", error.message);
      }
      await wait(AGAIN_MS);
    }
  }

  async #call() {
    const peer = new RTCPeerConnection();
    try {
      const stream = new MediaStream();
      peer.addTransceiver("video", { direction: "recvonly" });
      if (!this.#video.muted) peer.addTransceiver("audio", { direction: "recvonly" });
      peer.ontrack = ({ track }) => stream.addTrack(track);
      await peer.setLocalDescription(await peer.createOffer());
      await gathered(peer);
      const headers = { "Content-Type": "application/sdp" };
      if (token()) headers.Authorization = `Bearer ${token()}`;
      const answer = await fetch(`/whep/${encodeURIComponent(this.#session)}?picture=${this.#picture}`, {
        method: "POST",
        headers,
        body: peer.localDescription.sdp,
      });
      if (!answer.ok) throw new Error(`The session cannot be watched (${answer.status}).`);
      await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
      this.#video.srcObject = stream;
      this.#video.play().catch(() => {});
      const first = this.#draw();
      const ended = until(peer);
      await Promise.race([first, ended, wait(CONNECT_MS).then(() => Promise.reject(new Error("No picture came.")))]);
      this.#failures = 0;
      this.#become("webrtc");
      await ended;
    } finally {
      peer.close();
      this.#video.srcObject = null;
    }
  }

  /** Draw every picture of the video; resolves with the first. */
  #draw() {
    const stream = this.#video.srcObject;
    return new Promise((resolve) => {
      const next = () => {
        if (this.#video.srcObject !== stream) return;
        this.#canvas.draw(this.#video);
        this.frames++;
        resolve();
        this.#video.requestVideoFrameCallback(next);
      };
      this.#video.requestVideoFrameCallback(next);
    });
  }

  #pictures() {
    const path = `/ws/${encodeURIComponent(this.#session)}/pictures`;
    const socket = new WebSocket(socketAddress(path, { picture: this.#picture }));
    socket.binaryType = "blob";
    let busy = false;
    socket.onmessage = async ({ data }) => {
      // A picture that comes while one is being decoded is late: the next one counts.
      if (busy) return;
      busy = true;
      try {
        const bitmap = await createImageBitmap(data);
        this.#canvas.draw(bitmap);
        bitmap.close();
        this.frames++;
        this.#become("pictures");
      } finally {
        busy = false;
      }
    };
    return new Promise((resolve, reject) => {
      socket.onclose = () => reject(new Error("The pictures broke off."));
    });
  }

  #become(by, why = "") {
    if (this.by === by && !why) return;
    this.by = by;
    this.dispatchEvent(new CustomEvent("change", { detail: why }));
  }
}

function gathered(peer) {
  if (peer.iceGatheringState === "complete") return Promise.resolve();
  const done = new Promise((resolve) =>
    peer.addEventListener("icegatheringstatechange", () => peer.iceGatheringState === "complete" && resolve()),
  );
  return Promise.race([done, wait(GATHER_MS)]);
}

/** Rejects when the connection has ended. */
function until(peer) {
  return new Promise((resolve, reject) =>
    peer.addEventListener("connectionstatechange", () => {
      if (["failed", "closed", "disconnected"].includes(peer.connectionState)) reject(new Error("The call broke off."));
    }),
  );
}
