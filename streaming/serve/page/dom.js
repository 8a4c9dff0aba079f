// Small helpers over the document, and what the visitor chose before.

export const $ = (id) => document.getElementById(id);

/** An element with properties and children; text is never read as markup. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.append(document.createElementNS("http://www.w3.org/2000/svg", "use"));
  svg.firstChild.setAttribute("href", `#i-${name}`);
  return svg;
}

/** Exchange the icon inside a button. */
export function showIcon(button, name) {
  button.querySelector("use").setAttribute("href", `#i-${name}`);
}

export function toast(text, { bad = false, seconds = 5 } = {}) {
  const note = make("p", { className: bad ? "bad" : "", textContent: text });
  $("toasts").append(note);
  setTimeout(() => note.remove(), 1000 * seconds);
}

/** Seconds as 1:05 or 1:02:05. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 60) % 60, whole % 60];
  if (whole >= 3600) parts.unshift(Math.floor(whole / 3600));
  return parts.map((part, place) => (place ? String(part).padStart(2, "0") : part)).join(":");
}

/** A colour of the theme as a canvas takes it. */
export function colour(name) {
  const probe = make("span", { hidden: true });
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** Choices that outlive the visit, where the browser keeps any. */
export const kept = {
  get(name, otherwise) {
    try {
      const stored = localStorage.getItem(`mien.${name}`);
      return stored === null ? otherwise : JSON.parse(stored);
    } catch {
      return otherwise;
    }
  },
  set(name, value) {
    try {
      localStorage.setItem(`mien.${name}`, JSON.stringify(value));
    } catch {
      // A browser that keeps nothing still works; it only asks again.
    }
  },
};
