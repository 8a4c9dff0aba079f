// Styles of speaking and their intensity: shown where the server has any.

import * as api from "./api.js";
import { $, kept, make } from "./dom.js";

/** Raises "steer" with what changed, as the server takes it. */
export class Styles extends EventTarget {
  async load() {
    const styles = await api.styles();
    // One alone is no choice.
    $("styles").hidden = styles.length < 2;
    const before = kept.get("style", styles[0]?.id);
    const chosen = styles.some(({ id }) => id === before) ? before : styles[0]?.id;
    $("style-list").replaceChildren(
      ...styles.map(({ id, name }) =>
        make(
          "label",
          {},
          make("input", { type: "radio", name: "style", value: id, checked: id === chosen }),
          make("span", { textContent: name }),
        ),
      ),
    );
    $("style-list").addEventListener("change", ({ target }) => this.#steer({ style: target.value }));
    $("intensity").addEventListener("change", ({ target }) =>
      this.#steer({ controls: { intensity: Number(target.value) } }),
    );
    $("intensity").addEventListener(
      "input",
      ({ target }) => ($("intensity-out").textContent = `${Math.round(100 * target.value)} %`),
    );
  }

  /** What a new session begins with. */
  get values() {
    const style = $("style-list").querySelector("input:checked")?.value;
    return style === undefined ? {} : { style, intensity: Number($("intensity").value) };
  }

  #steer(detail) {
    if (detail.style) kept.set("style", detail.style);
    this.dispatchEvent(new CustomEvent("steer", { detail }));
  }
}
