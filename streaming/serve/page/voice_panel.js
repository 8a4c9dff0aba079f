// The voice's half of the panel: microphone or recording, device, level, player.

import { $, clock, colour, kept, make, showIcon, toast } from "./dom.js";
import { drawWave } from "./voice.js";

export class VoicePanel {
  #voice;
  #changed;
  #start;

  /**
   * @param {() => void} changed called when another track is to be sent.
   * @param {() => boolean} start begins a call, which plays the recording; false where one runs.
   */
  constructor(voice, changed, start) {
    this.#voice = voice;
    this.#changed = changed;
    this.#start = start;
    voice.clean = $("clean").checked = kept.get("clean", true);
    voice.addEventListener("change", () => this.#show());
    for (const radio of sources()) radio.addEventListener("change", () => this.take(radio.value));
    $("device").addEventListener("change", ({ target }) => {
      voice.device = target.value;
      changed();
    });
    $("clean").addEventListener("change", ({ target }) => {
      voice.clean = target.checked;
      kept.set("clean", target.checked);
      changed();
    });
    $("file").addEventListener("change", ({ target }) => target.files[0] && this.open(target.files[0]));
    $("loop").addEventListener("change", ({ target }) => voice.setLoop(target.checked));
    $("play").addEventListener("click", () => this.playOrPause());
    $("seek").addEventListener("input", ({ target }) => this.#seek(Number(target.value)));
    $("seek").setAttribute("aria-valuetext", "0:00");
    this.#draw();
  }

  /** Take a recording and make it the voice. */
  async open(file) {
    try {
      await this.#voice.load(file);
      this.take("file");
    } catch (error) {
      toast(error.message, { bad: true, seconds: 8 });
    }
    $("file").value = "";
  }

  take(kind) {
    const other = this.#voice.kind !== kind;
    this.#voice.kind = kind;
    for (const radio of sources()) radio.checked = radio.value === kind;
    $("for-microphone").hidden = kind !== "microphone";
    $("for-file").hidden = kind !== "file";
    if (other && kind === "microphone") this.#voice.pause();
    if (kind === "microphone" || this.#voice.recording) this.#changed();
  }

  playOrPause() {
    if (this.#start()) return;
    if (this.#voice.playing) this.#voice.pause();
    else this.#voice.play();
  }

  /** The names of microphones are told once one was allowed. */
  async showDevices() {
    const devices = await this.#voice.devices();
    const options = devices.map(({ deviceId, label }, at) => new Option(label || `Microphone ${at + 1}`, deviceId));
    $("device").replaceChildren(new Option("System default", ""), ...options);
    $("device").value = this.#voice.device;
  }

  #seek(share) {
    const { recording, playing } = this.#voice;
    if (!recording) return;
    const wasPlaying = playing;
    this.#voice.play(share * recording.buffer.duration);
    if (!wasPlaying) this.#voice.pause();
  }

  #show() {
    const { recording, playing } = this.#voice;
    $("player").hidden = !recording;
    if (!recording) return;
    $("drop-title").textContent = recording.name;
    $("drop-text").textContent = `${clock(recording.buffer.duration)}; drop another one to exchange it`;
    showIcon($("play"), playing ? "pause" : "play");
    $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  }

  #draw() {
    const level = this.#voice.muted ? 0 : this.#voice.level();
    $("meter").style.clipPath = `inset(0 ${100 * (1 - level)}% 0 0)`;
    const disc = $("mute").firstElementChild;
    disc.style.boxShadow =
      level > 0.35 ? `0 0 0 ${Math.round(9 * level)}px color-mix(in srgb, var(--accent) 26%, transparent)` : "";
    const { recording, position } = this.#voice;
    if (recording && !$("panel-voice").hidden && !$("for-file").hidden) {
      const share = position / recording.buffer.duration;
      drawWave($("wave"), recording.buffer, share, colour("accent"), colour("line-strong"));
      $("play-time").textContent = clock(position);
      if (document.activeElement !== $("seek") || this.#voice.playing) $("seek").value = share;
      $("seek").setAttribute("aria-valuetext", clock(position));
    }
    // Twenty looks a second are enough for an eye; a frame's time belongs to the video.
    setTimeout(() => requestAnimationFrame(() => this.#draw()), 50);
  }
}

const sources = () => document.querySelectorAll('input[name="source"]');
