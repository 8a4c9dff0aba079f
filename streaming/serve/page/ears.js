// How long the voice takes from leaving this page to coming back as the avatar's: measured on the sounds themselves.
//
// The engine's sound is the voice, delayed. So the loudness curves of both, taken on one sample clock, match best at
// the true delay, whatever any side declares.

const KEEP_S = 8;
const MOST_MS = 2500;
const LEAST_CORRELATION = 0.6;

export class Ears extends EventTarget {
  #node = null;
  #sources = [];
  #curves = [[], []];
  #stepMs = 0;

  /** Listen to both streams; earlier ones are let go. */
  async listen(context, sent, received) {
    this.stop();
    const node = await worklet(context);
    this.stop();
    this.#node = node;
    node.port.onmessage = ({ data }) => this.#hear(data);
    // The graph runs only towards a destination; the node itself gives no sound.
    node.connect(context.destination);
    this.#sources = [sent, received].map((mediaStream, input) => {
      const source = new MediaStreamAudioSourceNode(context, { mediaStream });
      source.connect(node, 0, input);
      return source;
    });
  }

  stop() {
    this.#sources.forEach((source) => source.disconnect());
    if (this.#node) this.#node.port.onmessage = null;
    this.#node?.disconnect();
    this.#node = null;
    this.#sources = [];
    this.#curves = [[], []];
  }

  /** {ms, correlation} of the way there and back, or null while there is too little voice to tell. */
  lag() {
    return this.#stepMs ? lagOf(...this.#curves, this.#stepMs) : null;
  }

  #hear({ onset, time, energies, stepMs }) {
    if (onset !== undefined)
      return void this.dispatchEvent(new CustomEvent("onset", { detail: { received: onset === 1, time } }));
    this.#stepMs = stepMs;
    const most = Math.round((1000 * KEEP_S) / stepMs);
    this.#curves = this.#curves.map((curve, ear) => [...curve, ...energies[ear]].slice(-most));
  }
}

const loaded = new WeakMap();

async function worklet(context) {
  if (!loaded.has(context)) loaded.set(context, context.audioWorklet.addModule("ears.worklet.js"));
  await loaded.get(context);
  return new AudioWorkletNode(context, "ears", {
    numberOfInputs: 2,
    numberOfOutputs: 1,
    channelCount: 1,
    channelCountMode: "explicit",
  });
}

/**
 * The delay at which two curves of energy match best.
 * @param {number[]} sent energies of what went out, one every stepMs.
 * @param {number[]} received of what came back, at the same times.
 * @returns {{ms: number, correlation: number} | null} null if nothing matches well, or little was said.
 */
export function lagOf(sent, received, stepMs) {
  const [out, back] = [sent, received].map((curve) => curve.map((energy) => Math.log10(energy + 1e-7)));
  const most = Math.min(Math.round(MOST_MS / stepMs), Math.floor(out.length / 2));
  if (most < 3 || spread(out) < 0.3) return null;
  // The newest stretch of what came back, against ever older stretches of what went out: one length for all delays.
  const length = out.length - most;
  const heard = back.slice(most);
  const scores = Array.from({ length: most }, (_, lag) =>
    correlation(out.slice(most - lag, most - lag + length), heard),
  );
  const best = scores.indexOf(Math.max(...scores));
  if (scores[best] < LEAST_CORRELATION) return null;
  const [before, peak, after] = [scores[best - 1] ?? scores[best], scores[best], scores[best + 1] ?? scores[best]];
  const bend = before - 2 * peak + after;
  const shift = bend < 0 ? (before - after) / (2 * bend) : 0;
  return { ms: (best + shift) * stepMs, correlation: peak };
}

function spread(curve) {
  const mean = curve.reduce((sum, value) => sum + value, 0) / curve.length;
  return Math.sqrt(curve.reduce((sum, value) => sum + (value - mean) ** 2, 0) / curve.length);
}

function correlation(a, b) {
  let [sa, sb, saa, sbb, sab] = [0, 0, 0, 0, 0];
  for (let at = 0; at < a.length; at++) {
    sa += a[at];
    sb += b[at];
    saa += a[at] * a[at];
    sbb += b[at] * b[at];
    sab += a[at] * b[at];
  }
  const n = a.length;
  const scale = (n * saa - sa * sa) * (n * sbb - sb * sb);
  return scale > 1e-9 ? (n * sab - sa * sb) / Math.sqrt(scale) : 0;
}
