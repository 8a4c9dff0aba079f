// Frame rate, lookahead and latency: fixed while a session runs, so a change asks for a new connection.

import { $, kept } from "./dom.js";

const MS_PER_FRAME = 1000 / 60;

/** Raises "apply" when the visitor wants the change now. */
export class Quality extends EventTarget {
  /** Set by the page: whether a session runs. */
  running = () => false;
  #used = "";

  constructor() {
    super();
    const before = kept.get("quality", {});
    for (const radio of radios("fps")) radio.checked = Number(radio.value) === (before.fps ?? 30);
    $("lookahead").value = before.lookahead ?? 6;
    for (const radio of radios("latency"))
      radio.checked = (radio.value === "auto") === ((before.latency ?? "auto") === "auto");
    if (Number.isFinite(before.latency)) $("latency-ms").value = before.latency;
    for (const input of [...radios("fps"), ...radios("latency"), $("lookahead"), $("latency-ms")]) {
      input.addEventListener("input", () => this.#changed());
    }
    $("apply-now").addEventListener("click", () => this.dispatchEvent(new Event("apply")));
    this.#show();
  }

  /** The part of POST /api/sessions that is chosen here. */
  get values() {
    const fixed = chosen("latency") === "fixed";
    return {
      fps: Number(chosen("fps")),
      lookahead: Number($("lookahead").value),
      latency: fixed ? Number($("latency-ms").value) : "auto",
    };
  }

  /** A session begins with what is chosen now. */
  connected() {
    this.#used = JSON.stringify(this.values);
    this.#show();
  }

  #changed() {
    kept.set("quality", this.values);
    this.#show();
  }

  #show() {
    const frames = Number($("lookahead").value);
    const text = `${Math.round(frames * MS_PER_FRAME)} ms`;
    $("lookahead-out").textContent = text;
    $("lookahead").setAttribute("aria-valuetext", text);
    $("latency-field").hidden = chosen("latency") !== "fixed";
    $("apply").hidden = !this.running() || JSON.stringify(this.values) === this.#used;
  }
}

const radios = (name) => [...document.querySelectorAll(`input[name="${name}"]`)];
const chosen = (name) => radios(name).find((radio) => radio.checked)?.value;
