// The voice that is sent: a microphone, or a recording played into the call.

const LONGEST_S = 30 * 60;
const LARGEST_BYTES = 300 * 2 ** 20;

export class Voice extends EventTarget {
  /** "microphone" or "file". */
  kind = "microphone";
  device = "";
  clean = true;
  muted = false;
  /** The recording: {name, buffer} once there is one. */
  recording = null;
  loop = false;
  #context = null;
  #microphone = null;
  #speaker = null;
  #node = null;
  #began = 0;
  #position = 0;
  #analyser = null;
  #tapped = null;
  #stream = null;

  /** The page's one audio context; made by the first gesture that needs it. */
  get context() {
    this.#context ??= new AudioContext({ latencyHint: "interactive" });
    if (this.#context.state === "suspended") this.#context.resume().catch(() => {});
    return this.#context;
  }

  /** The track to send. Asks for the microphone where that is the voice. */
  async track() {
    const track = this.kind === "file" ? this.#fileTrack() : await this.#microphoneTrack();
    track.enabled = !this.muted;
    this.#stream = new MediaStream([track]);
    this.#tap(this.#stream);
    return track;
  }

  /** The stream that is being sent, if any; what the level and the latency are measured on. */
  get stream() {
    return this.#stream;
  }

  mute(muted) {
    this.muted = muted;
    for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  /** Let go of the microphone: its light goes out. */
  release() {
    this.pause();
    this.#microphone?.getTracks().forEach((track) => track.stop());
    this.#microphone = null;
    this.#tapped?.disconnect();
    this.#tapped = this.#stream = null;
  }

  /** Loudness of what is sent now, 0 ... 1 over 60 dB. */
  level() {
    if (!this.#tapped) return 0;
    const samples = new Float32Array(this.#analyser.fftSize);
    this.#analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    return Math.min(1, Math.max(0, 1 + Math.log10(power + 1e-12) / 6));
  }

  async devices() {
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    return all.filter((device) => device.kind === "audioinput" && device.deviceId && device.deviceId !== "default");
  }

  /** Take a recording. Throws a sentence where it is none. */
  async load(file) {
    if (file.size > LARGEST_BYTES) throw new Error(`${file.name} is larger than ${LARGEST_BYTES / 2 ** 20} MB.`);
    let buffer;
    try {
      buffer = await this.context.decodeAudioData(await file.arrayBuffer());
    } catch {
      throw new Error(`This browser finds no sound in ${file.name}: give a WAV, MP3, FLAC, Ogg or M4A file.`);
    }
    if (buffer.duration > LONGEST_S) throw new Error(`${file.name} is longer than 30 minutes.`);
    this.pause();
    this.#position = 0;
    this.recording = { name: file.name, buffer };
    this.#tell();
  }

  get playing() {
    return this.#node !== null;
  }

  /** Seconds into the recording. */
  get position() {
    if (!this.#node) return this.#position;
    const at = this.context.currentTime - this.#began;
    const { duration } = this.recording.buffer;
    return this.loop ? at % duration : Math.min(at, duration);
  }

  play(from = this.#position) {
    if (!this.recording) return;
    this.pause();
    const node = new AudioBufferSourceNode(this.context, { buffer: this.recording.buffer, loop: this.loop });
    const start = from >= this.recording.buffer.duration - 0.05 ? 0 : from;
    node.connect(this.#destination());
    node.addEventListener("ended", () => {
      if (node !== this.#node) return;
      this.#node = null;
      this.#position = 0;
      this.#tell();
    });
    node.start(0, start);
    this.#node = node;
    this.#began = this.context.currentTime - start;
    this.#tell();
  }

  pause() {
    if (!this.#node) return;
    this.#position = this.position;
    const node = this.#node;
    this.#node = null;
    node.stop();
    this.#tell();
  }

  setLoop(loop) {
    this.#position = this.position;
    this.loop = loop;
    if (this.#node) this.play(this.#position);
  }

  #destination() {
    this.#speaker ??= new MediaStreamAudioDestinationNode(this.context, { channelCount: 1 });
    return this.#speaker;
  }

  #fileTrack() {
    if (!this.recording) throw new Error("Choose a recording first, or take the microphone.");
    return this.#destination().stream.getAudioTracks()[0];
  }

  async #microphoneTrack() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error(
        "Browsers give the microphone to https pages and to this machine's own address alone. Drop an audio file instead.",
      );
    }
    this.#microphone?.getTracks().forEach((track) => track.stop());
    const audio = {
      channelCount: 1,
      echoCancellation: this.clean,
      noiseSuppression: this.clean,
      autoGainControl: this.clean,
      ...(this.device && { deviceId: { exact: this.device } }),
    };
    try {
      this.#microphone = await navigator.mediaDevices.getUserMedia({ audio });
    } catch (error) {
      throw new Error(MICROPHONE[error.name] ?? "The microphone could not be opened. Drop an audio file instead.");
    }
    const [track] = this.#microphone.getAudioTracks();
    track.addEventListener("ended", () => this.dispatchEvent(new Event("lost")));
    return track;
  }

  #tap(stream) {
    this.#tapped?.disconnect();
    this.#tapped = null;
    this.#analyser ??= new AnalyserNode(this.context, { fftSize: 1024 });
    try {
      this.#tapped = new MediaStreamAudioSourceNode(this.context, { mediaStream: stream });
      this.#tapped.connect(this.#analyser);
    } catch {
      // Some browsers refuse a microphone of another sample rate here: the call goes on without a level.
    }
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}

const MICROPHONE = {
  NotAllowedError: "The microphone is blocked: allow it beside the page's address, or drop an audio file.",
  NotFoundError: "There is no microphone: connect one, or drop an audio file.",
  OverconstrainedError: "The chosen microphone is gone: choose another one, or drop an audio file.",
  NotReadableError: "The microphone is in use by another program.",
};

/** Draw a recording as a wave, its played part in the accent colour. */
export function drawWave(canvas, buffer, share, played, rest) {
  const pen = canvas.getContext("2d");
  const { width, height } = canvas;
  const bars = 120;
  wavePeaks.buffer === buffer || Object.assign(wavePeaks, { buffer, peaks: peaksOf(buffer, bars) });
  pen.clearRect(0, 0, width, height);
  wavePeaks.peaks.forEach((peak, bar) => {
    const tall = Math.max(4, peak * height * 0.95);
    pen.fillStyle = bar / bars < share ? played : rest;
    pen.fillRect((bar * width) / bars, (height - tall) / 2, width / bars - 2, tall);
  });
}

const wavePeaks = { buffer: null, peaks: [] };

function peaksOf(buffer, bars) {
  const samples = buffer.getChannelData(0);
  const span = Math.max(1, Math.floor(samples.length / bars));
  const peaks = Array.from({ length: bars }, (_, bar) => {
    let peak = 0;
    // Every eighth sample: a picture of the wave needs no more, and half an hour is long.
    for (let at = bar * span; at < Math.min(samples.length, (bar + 1) * span); at += 8)
      peak = Math.max(peak, Math.abs(samples[at]));
    return peak;
  });
  const most = Math.max(1e-3, ...peaks);
  return peaks.map((peak) => peak / most);
}
