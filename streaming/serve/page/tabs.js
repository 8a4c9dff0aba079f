// The panel's tabs, as the pattern for them asks: arrow keys move, one stop for the Tab key.

import { $ } from "./dom.js";

const tabs = () => [...document.querySelectorAll('[role="tab"]')];

export function showTab(name) {
  for (const tab of tabs()) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    $(tab.getAttribute("aria-controls")).hidden = !chosen;
  }
}

export function startTabs() {
  for (const tab of tabs()) tab.addEventListener("click", () => showTab(tab.id.replace("tab-", "")));
  document.querySelector('[role="tablist"]').addEventListener("keydown", (event) => {
    const all = tabs();
    const at = all.indexOf(event.target);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const tab = all.at(next % all.length);
    showTab(tab.id.replace("tab-", ""));
    tab.focus();
  });
}
