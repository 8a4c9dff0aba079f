// Glass to glass, for a server in its probe mode (mien serve --probe): it draws each picture's media time, and that of
// the last onset in the sound, as black and white blocks. The same onset is found in the sound that is sent and in the
// sound that comes back, so that no clock need be shared. The blocks are described in streaming/serve/probe.py.
//
//   onset leaves this page        t0   first loud sample of what is sent
//   it is heard as the avatar's   t1   first loud sample of what is received
//   its moment is seen            t2   when the picture was shown whose media time it is
//
// mouth to glass = t2 - t0; A/V offset = t2 - t1, positive when the picture is late.

import * as api from "./api.js";
import { between, percentile, read } from "./figures.js";

const SIZE = 512;
const BITS = 16;
const WIDTH = 32;
const HEIGHT = 16;
const NONE = 0xffff;
const MODULO = 0x10000;
const FARTHEST_MS = 3000;

/**
 * The codes in a picture: its media time and the last onset's, in ms modulo 65536; null where a code is damaged.
 * @param {CanvasImageSource} picture 512 pixels wide and high.
 */
export function readMarks(picture) {
  for (const [from, to] of [
    [0, 0],
    [SIZE - 2 * HEIGHT, 2 * HEIGHT],
  ]) {
    pen.drawImage(picture, 0, from, SIZE, 2 * HEIGHT, 0, to, SIZE, 2 * HEIGHT);
  }
  const { data } = pen.getImageData(0, 0, SIZE, 4 * HEIGHT);
  return { media: code(data, 0), onset: code(data, 2 * HEIGHT) };
}

const pen = new OffscreenCanvas(SIZE, 4 * HEIGHT).getContext("2d", { willReadFrequently: true });

/** The code whose blocks begin in row `top`; null where its inverse below does not fit. */
function code(data, top) {
  const white = (block, row) => {
    let sum = 0;
    // The middle of a block, which the codec's edges do not reach.
    for (let y = row + 4; y < row + 12; y++)
      for (let x = 8; x < 24; x++) sum += data[4 * (y * SIZE + block * WIDTH + x) + 1];
    return sum > 8 * 16 * 128;
  };
  let found = 0;
  for (let block = 0; block < BITS; block++) {
    const bit = white(block, top);
    if (bit === white(block, top + HEIGHT)) return null;
    found = 2 * found + bit;
  }
  return found;
}

class Probe {
  #begun = false;
  #context = null;
  #call = null;
  #cleared = null;
  #clearedStats = null;
  #offsets = [];
  #sent = [];
  #received = [];
  #lastOnset = null;
  #lastMedia = null;
  #heard = [0, 0];
  #answers = { mouthToGlass: [], offset: [], mouthToEar: [] };
  #shown = [];
  /** Of the pictures that tell when they were received: ms until they were shown. */
  #held = [];

  /** Watch a call, if the page's address asks for it (#probe=1). */
  begin(ears, context, video, call) {
    if (!new URLSearchParams(location.hash.slice(1)).has("probe")) return;
    this.#context = context;
    this.#call = call;
    void this.clear();
    if (this.#begun) return;
    this.#begun = true;
    ears.addEventListener("onset", ({ detail }) => this.#hear(detail));
    const look = (now, frame) => {
      const at = frame.expectedDisplayTime ?? now;
      if (frame.receiveTime) this.#held.push(at - frame.receiveTime);
      this.#see(video, at);
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
    setInterval(() => this.#tick(), 20);
  }

  /** Forget what was measured, as after a warm-up. */
  async clear() {
    this.#shown = [];
    this.#held = [];
    this.#heard = [0, 0];
    this.#answers = { mouthToGlass: [], offset: [], mouthToEar: [] };
    this.#cleared = read(await this.#call.peer.getStats());
    this.#clearedStats = (await api.session(this.#call.session.id)).stats;
  }

  /** Figures since the last `clear`, times in ms, one value an onset; and what the server tells of the session. */
  async report() {
    const { mouthToGlass, offset, mouthToEar } = this.#answers;
    const now = read(await this.#call.peer.getStats());
    const told = await api.session(this.#call.session.id);
    const engine = (name) => told.stats[name] - this.#clearedStats[name];
    const rise = (name) => now.video[name] - (this.#cleared.video[name] ?? 0);
    const { videoBufferMs, audioBufferMs, decodeMs, rttMs } = between(this.#cleared, now);
    const seconds = rise("timestamp") / 1000;
    const steps = this.#shown.slice(1).map(({ at }, index) => at - this.#shown[index].at);
    const span = (this.#shown.at(-1)?.at ?? 0) - (this.#shown[0]?.at ?? 0);
    return {
      told,
      frames_missed: engine("missed") + engine("skipped"),
      seconds,
      frames_received: rise("framesReceived"),
      fps_received: rise("framesReceived") / seconds,
      frames_dropped: rise("framesDropped"),
      freezes: rise("freezeCount"),
      onsets_sent: this.#heard[0],
      onsets_received: this.#heard[1],
      mouth_to_glass_ms: mouthToGlass,
      av_offset_ms: offset,
      mouth_to_ear_ms: mouthToEar,
      marks_shown: this.#shown.length,
      marks_fps: span > 0 ? (1000 * steps.length) / span : 0,
      way_ms: {
        network: rttMs,
        picture_buffer: videoBufferMs,
        picture_decode: decodeMs,
        picture_received_to_shown: percentile(this.#held, 0.5),
        sound_buffer: audioBufferMs,
      },
      longest_interval_ms: steps.length ? Math.max(...steps) : 0,
    };
  }

  /** The audio clock runs in bursts; the earliest it was seen to be at a time is when that time was rendered. */
  #tick() {
    this.#offsets.push(performance.now() - 1000 * this.#context.currentTime);
    if (this.#offsets.length > 100) this.#offsets.shift();
  }

  #hear({ received, time }) {
    this.#heard[Number(received)]++;
    const at = 1000 * time + percentile(this.#offsets, 0);
    if (!Number.isFinite(at)) return;
    if (received) {
      this.#received.push(at);
      const cause = this.#causeOf(at);
      if (cause !== undefined) this.#answers.mouthToEar.push(at - cause);
    } else this.#sent.push(at);
    for (const onsets of [this.#sent, this.#received]) if (onsets.length > 32) onsets.shift();
  }

  #causeOf(at) {
    return this.#sent.findLast((sent) => sent < at && at - sent < FARTHEST_MS);
  }

  #see(video, at) {
    const { media, onset } = readMarks(video);
    if (media === null || media === this.#lastMedia) return;
    this.#lastMedia = media;
    this.#shown.push({ at, media });
    if (onset === null || onset === NONE || onset === this.#lastOnset) return;
    const first = this.#lastOnset === null;
    this.#lastOnset = onset;
    if (first) return; // It may be from before the page looked.
    // The picture that carries it first is up to a period younger than the onset itself.
    const seen = at - ((media - onset + MODULO) % MODULO);
    // Sent and received are as far from each other as the engine delays, seconds apart from the next ones.
    setTimeout(() => this.#match(seen), 500);
  }

  #match(seen) {
    const cause = this.#causeOf(seen);
    const heard = this.#received.reduce(
      (best, at) => (Math.abs(at - seen) < Math.abs(best - seen) ? at : best),
      Infinity,
    );
    if (cause !== undefined) this.#answers.mouthToGlass.push(seen - cause);
    if (Math.abs(heard - seen) < FARTHEST_MS / 4) this.#answers.offset.push(seen - heard);
  }
}

/** The page's one probe: a test imports this module and asks it. */
export const probe = new Probe();
