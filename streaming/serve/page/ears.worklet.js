// Hears two sounds at once, what is sent (input 0) and what comes back (input 1), on one sample clock.

const STEP = 512; // samples between two energies
const BATCH = 12; // energies a message
// An onset, as the server's probe finds it: a loud sample after a pause without any. Resamplers ring before a sound, so
// that what is a little quieter than loud must not count.
const LOUD = 0.1;
const PAUSE_S = 0.3;

class Ears extends AudioWorkletProcessor {
  constructor() {
    super();
    this.counted = 0;
    this.sums = [0, 0];
    this.energies = [[], []];
    this.quietSince = [0, 0];
  }

  process(inputs) {
    for (let ear = 0; ear < 2; ear++) {
      const samples = inputs[ear]?.[0];
      for (let at = 0; samples && at < samples.length; at++) {
        this.sums[ear] += samples[at] * samples[at];
        if (Math.abs(samples[at]) <= LOUD) continue;
        const frame = currentFrame + at;
        if (frame - this.quietSince[ear] >= PAUSE_S * sampleRate)
          this.port.postMessage({ onset: ear, time: frame / sampleRate });
        this.quietSince[ear] = frame;
      }
    }
    this.counted += inputs[0]?.[0]?.length ?? inputs[1]?.[0]?.length ?? 128;
    if (this.counted >= STEP) {
      for (const ear of [0, 1]) this.energies[ear].push(this.sums[ear] / STEP);
      this.counted = 0;
      this.sums = [0, 0];
      if (this.energies[0].length === BATCH) {
        this.port.postMessage({ energies: this.energies, stepMs: (1000 * STEP) / sampleRate });
        this.energies = [[], []];
      }
    }
    return true;
  }
}

registerProcessor("ears", Ears);
