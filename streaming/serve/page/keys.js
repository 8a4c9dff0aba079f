// Keyboard shortcuts, and the list of them.

import { $, make } from "./dom.js";

/**
 * @param {[string, string, (event: KeyboardEvent) => void][]} shortcuts key, what it does, and how.
 * @param {(held: boolean) => void} talk told when the space bar is held down, and let go.
 */
export function listen(shortcuts, talk) {
  // The space bar belongs to the button that the keyboard went to; one that was merely clicked leaves it to the talk.
  let walked = false;
  const isPressable = (target) => walked && target.matches("button, input, a, select");
  document.addEventListener("pointerdown", () => (walked = false));
  const actions = new Map(shortcuts.map(([key, , act]) => [key.toLowerCase(), act]));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Tab" || event.key.startsWith("Arrow")) walked = true;
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === " " && !isPressable(event.target)) {
      event.preventDefault();
      if (!event.repeat) talk(true);
      return;
    }
    const act = actions.get(event.key.toLowerCase()) ?? (/^[1-9]$/.test(event.key) ? actions.get("1 … 9") : undefined);
    if (!act || event.repeat) return;
    event.preventDefault();
    act(event);
  });
  document.addEventListener("keyup", (event) => {
    if (event.key !== " " || isTyping(event.target)) return;
    if (!isPressable(event.target)) event.preventDefault();
    talk(false);
  });
  // The key's release goes elsewhere when the window loses the keyboard.
  window.addEventListener("blur", () => talk(false));
  const rows = [
    ...shortcuts.map(([key, text]) => [key, text]),
    ["Space", "Hold to talk while muted"],
    ["Esc", "Close a dialog, leave full screen"],
  ];
  $("keys").replaceChildren(
    ...rows.flatMap(([key, text]) => [
      make("dt", {}, make("kbd", { textContent: key })),
      make("dd", { textContent: text }),
    ]),
  );
}

const isTyping = (target) => target.matches("input:not([type=range], [type=radio], [type=checkbox]), select, textarea");
