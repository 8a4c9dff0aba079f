// When each picture was shown: the time between them, and the gaps that an eye would see.

import { colour } from "./dom.js";
import { percentile } from "./figures.js";

const KEPT = 240;

export class Pictures {
  /** Of the last pictures, ms since the one before. */
  intervals = [];
  shown = 0;
  #last = null;
  #video;

  constructor(video) {
    this.#video = video;
    if (!video.requestVideoFrameCallback) return;
    const look = (now, frame) => {
      this.#see(frame.presentationTime ?? now);
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
  }

  reset() {
    this.intervals = [];
    this.shown = 0;
    this.#last = null;
  }

  #see(time) {
    this.shown++;
    // A page in the background is not told of its pictures; that silence is no freeze.
    if (this.#last !== null && document.visibilityState === "visible") {
      this.intervals.push(time - this.#last);
      if (this.intervals.length > KEPT) this.intervals.shift();
    }
    this.#last = time;
  }

  summary(fps) {
    if (this.intervals.length < 10) return null;
    const late = this.intervals.filter((interval) => interval > 1.5 * (1000 / fps)).length;
    return {
      p50: percentile(this.intervals, 0.5),
      p99: percentile(this.intervals, 0.99),
      late,
      of: this.intervals.length,
    };
  }

  draw(canvas, fps) {
    const pen = canvas.getContext("2d");
    const { width, height } = canvas;
    const period = 1000 / fps;
    const scale = height / (3.2 * period);
    const step = width / KEPT;
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = colour("line");
    for (const periods of [1, 2, 3]) pen.fillRect(0, height - periods * period * scale, width, 1);
    const [good, bad] = [colour("accent"), colour("live")];
    const begin = KEPT - this.intervals.length;
    this.intervals.forEach((interval, at) => {
      const tall = Math.min(height, interval * scale);
      pen.fillStyle = interval > 1.5 * period ? bad : good;
      pen.fillRect((begin + at) * step, height - tall, Math.max(1, step - 1), tall);
    });
  }
}
