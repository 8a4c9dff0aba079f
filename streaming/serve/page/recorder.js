// Recording what is seen and heard: MP4 where the browser writes it, else WebM, and named as what it is.

import { $, clock, make, toast } from "./dom.js";

const KINDS = [
  ["video/mp4;codecs=avc1.42E01F,mp4a.40.2", "mp4", "MP4, H.264 and AAC"],
  ["video/mp4;codecs=avc1.42E01F,opus", "mp4", "MP4, H.264 and Opus"],
  ["video/mp4;codecs=vp9,opus", "mp4", "MP4, VP9 and Opus"],
  ["video/mp4", "mp4", "MP4"],
  ["video/webm;codecs=vp9,opus", "webm", "WebM, VP9 and Opus"],
  ["video/webm;codecs=vp8,opus", "webm", "WebM, VP8 and Opus"],
  ["video/webm", "webm", "WebM"],
];
const BITS_PER_SECOND = 4_000_000;

export class Recorder {
  #recorder = null;
  #timer = 0;
  #kind = globalThis.MediaRecorder ? KINDS.find(([type]) => MediaRecorder.isTypeSupported(type)) : undefined;

  constructor() {
    $("record").title = this.#kind ? `Record, as ${this.#kind[2]} (R)` : "This browser cannot record";
  }

  get possible() {
    return this.#kind !== undefined;
  }

  get running() {
    return this.#recorder !== null;
  }

  start(stream, name) {
    const [mimeType, ending, described] = this.#kind;
    const recorder = new MediaRecorder(stream, { mimeType, videoBitsPerSecond: BITS_PER_SECOND });
    const pieces = [];
    const began = performance.now();
    recorder.addEventListener("dataavailable", ({ data }) => data.size && pieces.push(data));
    recorder.addEventListener("error", () => toast("The browser broke the recording off.", { bad: true }));
    recorder.addEventListener("stop", () =>
      save(new Blob(pieces, { type: mimeType }), `${name}-${stamp()}.${ending}`, described),
    );
    // In pieces, which the browser may keep on disk.
    recorder.start(1000);
    this.#recorder = recorder;
    this.#show(true);
    const tick = () => ($("rec-time").textContent = clock((performance.now() - began) / 1000));
    tick();
    this.#timer = setInterval(tick, 500);
  }

  stop() {
    clearInterval(this.#timer);
    // A recorder stops of itself when its tracks end.
    if (this.#recorder && this.#recorder.state !== "inactive") this.#recorder.stop();
    this.#recorder = null;
    this.#show(false);
  }

  #show(running) {
    $("rec-tag").hidden = !running;
    $("record").setAttribute("aria-pressed", running);
    $("record").querySelector(".label").textContent = running ? "Save" : "Record";
  }
}

function save(blob, name, described) {
  if (!blob.size) return toast("Nothing was recorded.", { bad: true });
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  toast(`Saved ${name} (${(blob.size / 1e6).toFixed(1)} MB; ${described}).`, { seconds: 8 });
}

function stamp() {
  const now = new Date();
  const two = (value) => String(value).padStart(2, "0");
  return `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}
