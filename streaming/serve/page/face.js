// Steering the face: pads for eyes and head, sliders for the rest. Raises "steer" with what changed, ten times a second at most.

import { $ } from "./dom.js";

const SEND_MS = 100;
const REST = {
  gaze_yaw: 0,
  gaze_pitch: 0,
  head_yaw: 0,
  head_pitch: 0,
  head_roll: 0,
  head_motion: 1,
  mouth: 1,
  blink: 1,
};
const NAMES = Object.keys(REST);
const DEGREES = 180 / Math.PI;

export class Face extends EventTarget {
  #pending = {};
  #timer = 0;

  constructor() {
    super();
    for (const name of NAMES) $(name).addEventListener("input", () => this.#moved(name));
    this.#pad("gaze-pad", "gaze_yaw", "gaze_pitch");
    this.#pad("head-pad", "head_yaw", "head_pitch");
    $("face-reset").addEventListener("click", () => this.reset());
    $("frame").addEventListener("pointermove", (event) => $("follow").checked && this.#lookAt(event));
    $("frame").addEventListener("pointerleave", () => $("follow").checked && this.set({ gaze_yaw: 0, gaze_pitch: 0 }));
    NAMES.forEach((name) => this.#say(name));
  }

  /** What differs from a face at rest. */
  get values() {
    return Object.fromEntries(
      NAMES.map((name) => [name, Number($(name).value)]).filter(([name, value]) => value !== REST[name]),
    );
  }

  set(values) {
    for (const [name, value] of Object.entries(values)) {
      $(name).value = value;
      this.#moved(name);
    }
  }

  /** Move a control by steps of its slider. */
  nudge(name, steps) {
    this.set({ [name]: Number($(name).value) + steps * Number($(name).step) });
  }

  reset() {
    this.set(REST);
  }

  #moved(name) {
    this.#say(name);
    this.#pending[name] = Number($(name).value);
    // The first change leaves at once, the last one always.
    if (!this.#timer) this.#send();
  }

  #send() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (!Object.keys(this.#pending).length) return;
    this.dispatchEvent(new CustomEvent("steer", { detail: this.#pending }));
    this.#pending = {};
    this.#timer = setTimeout(() => this.#send(), SEND_MS);
  }

  #say(name) {
    const input = $(name);
    const value = Number(input.value);
    const output = document.querySelector(`output[for="${name}"]`);
    const turned = name.startsWith("gaze") || ["head_yaw", "head_pitch", "head_roll"].includes(name);
    const text = turned ? `${Math.round(value * DEGREES)}°` : `${Math.round(100 * value)} %`;
    if (output) output.textContent = text;
    input.setAttribute("aria-valuetext", turned ? direction(name, value) : text);
    const pad = input.closest(".pad");
    if (!pad) return;
    const thumb = pad.querySelector(".thumb");
    thumb.style[name.endsWith("yaw") ? "left" : "top"] = `${(100 * (value - input.min)) / (input.max - input.min)}%`;
  }

  #pad(id, across, down) {
    const pad = $(id);
    const point = (event) => {
      const box = pad.getBoundingClientRect();
      const at = (name, share) => Number($(name).min) + Math.min(1, Math.max(0, share)) * ($(name).max - $(name).min);
      this.set({
        [across]: at(across, (event.clientX - box.left) / box.width),
        [down]: at(down, (event.clientY - box.top) / box.height),
      });
    };
    pad.addEventListener("pointerdown", (event) => {
      pad.setPointerCapture(event.pointerId);
      $(across).focus();
      event.preventDefault();
      point(event);
    });
    pad.addEventListener("pointermove", (event) => pad.hasPointerCapture(event.pointerId) && point(event));
    pad.addEventListener("dblclick", () => this.set({ [across]: 0, [down]: 0 }));
    // Each of the two sliders moves one way; together the four arrow keys do what they say, wherever the focus is.
    pad.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [across, -1], ArrowRight: [across, 1], ArrowUp: [down, -1], ArrowDown: [down, 1] }[
        event.key
      ];
      if (!step) return;
      event.preventDefault();
      this.nudge(...step);
    });
  }

  #lookAt(event) {
    const box = $("frame").getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width - 0.5, (event.clientY - box.top) / box.height - 0.42];
    this.set({ gaze_yaw: 0.8 * x, gaze_pitch: 0.6 * y });
  }
}

function direction(name, value) {
  const amount = Math.round(Math.abs(value) * DEGREES);
  if (!amount) return "straight ahead";
  const [less, more] = name.endsWith("pitch") ? ["up", "down"] : ["left", "right"];
  return `${amount} degrees ${value < 0 ? less : more}`;
}
