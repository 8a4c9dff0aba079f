// /points?avatar=id: an avatar's 68 points over its portrait, to be looked at, dragged and saved.

import * as api from "./api.js";
import { $, make } from "./dom.js";
import { LINES, Points, SIZE } from "./points_model.js";

const DOT_PX = 4.5;
const REACH_PX = { mouse: 12, pen: 16, touch: 28 };
const NUDGE = 0.5;
const NUDGE_FAR = 5;
const CLOSEST = 48;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PARTS = { face: [0, 67], eyes: [17, 47], mouth: [48, 67] };
const FIRST_OF_IRISES = 68;

let avatar = null;
let points = null;
let chosen = 36;
let box = { x: 0, y: 0, size: SIZE };
let drag = null;

const view = $("view");
const shape = (tag, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};
const path = (line, closed) => `M${line.map(([x, y]) => `${x} ${y}`).join("L")}${closed ? "Z" : ""}`;
const facial = (of) =>
  points.facial.map(([members, closed]) => shape("path", { d: path(members.map((i) => of[i]), closed) }));
const reach = () => document.querySelector("input[name=reach]:checked").value;
const along = () => points.reach(chosen, reach());

// Showing.

/** Pixels of the picture in one pixel of the screen. */
const scale = () => box.size / (view.clientWidth || SIZE);

function look(x, y, size) {
  const held = Math.min(SIZE, Math.max(CLOSEST, size));
  const within = (value) => Math.min(SIZE - held, Math.max(0, value));
  box = { x: within(x), y: within(y), size: held };
  view.setAttribute("viewBox", `${box.x} ${box.y} ${held} ${held}`);
  draw();
}

function lookAt(part) {
  if (part === "all") return look(0, 0, SIZE);
  const [first, last] = PARTS[part];
  const some = points.now.slice(first, last + 1);
  const [xs, ys] = [0, 1].map((axis) => some.map((point) => point[axis]));
  const middle = [xs, ys].map((values) => (Math.min(...values) + Math.max(...values)) / 2);
  const size = 1.25 * Math.max(...[xs, ys].map((values) => Math.max(...values) - Math.min(...values)));
  look(middle[0] - size / 2, middle[1] - size / 2, size);
}

function draw() {
  if (!points) return;
  $("lines").replaceChildren(...facial(points.now));
  $("irises").replaceChildren(...points.irises.map(([cx, cy, r]) => shape("circle", { cx, cy, r })));
  const radius = DOT_PX * scale();
  points.now.forEach(([x, y], i) => {
    const dot = $("points").children[i];
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", y);
    dot.setAttribute("r", radius);
    const kinds = { iris: i >= FIRST_OF_IRISES, moved: points.moved(i), chosen: i === chosen };
    dot.setAttribute("class", Object.keys(kinds).filter((kind) => kinds[kind]).join(" "));
    dot.setAttribute("tabindex", i === chosen ? 0 : -1);
    dot.setAttribute("aria-label", told(i));
  });
  $("where").textContent = told(chosen);
  $("undo").disabled = !points.canUndo;
  $("redo").disabled = !points.canRedo;
  $("reset").disabled = $("save").disabled = !points.changed || Boolean(avatar.locked);
}

function told(index) {
  const line = points.lineOf(index);
  const number = points.lines[line][0].indexOf(index) + 1;
  const [x, y] = points.now[index];
  return `Point ${index + 1}: ${LINES[line]} ${number}, at ${x.toFixed(1)}, ${y.toFixed(1)}`;
}

function show(understood) {
  $("rest").replaceChildren(...facial(understood.rest));
  $("outline").replaceChildren(...understood.outline.map((piece) => shape("path", { d: path(piece, true) })));
  draw();
}

function say(text, bad = false) {
  $("said").textContent = text;
  $("said").className = bad ? "bad" : "";
}

async function open(id) {
  const understood = await api.points(id);
  avatar = understood;
  points = new Points(understood);
  history.replaceState(null, "", `?avatar=${encodeURIComponent(id)}${location.hash}`);
  document.title = `Mien: points of ${understood.name}`;
  $("portrait").setAttribute("href", understood.picture);
  $("points").replaceChildren(...points.now.map((_, i) => shape("circle", { role: "button", "data-index": i })));
  view.classList.toggle("locked", Boolean(understood.locked));
  $("file").textContent =
    understood.locked ?? (understood.file ? `Its file: ${understood.file}` : "Kept until the server ends: it has no file.");
  say("");
  look(0, 0, SIZE);
  show(understood);
}

// Changing.

function change(how) {
  if (!points || avatar.locked || drag) return;
  how();
  draw();
}

function choose(index, focus = false) {
  chosen = (index + points.now.length) % points.now.length;
  draw();
  if (focus) $("points").children[chosen].focus({ preventScroll: true });
}

async function save() {
  if ($("save").disabled || drag) return;
  const saving = avatar.id;
  $("save").disabled = true;
  say("Saving");
  try {
    const understood = await api.putPoints(saving, points.face);
    if (avatar.id !== saving) return;
    avatar = understood;
    points.keep(understood);
    show(understood);
    say(understood.file ? `Saved to ${understood.file}.` : "Saved, until the server ends.");
  } catch (error) {
    say(error.message, true);
    const wrong = /Point (\d+)/i.exec(error.message);
    if (wrong) choose(Number(wrong[1]) - 1);
    draw();
  }
}

// Mouse, pen and finger.

function place({ clientX, clientY }) {
  const { left, top } = view.getBoundingClientRect();
  return [box.x + (clientX - left) * scale(), box.y + (clientY - top) * scale()];
}

function nearest([x, y], within) {
  const away = points.now.map(([px, py]) => Math.hypot(px - x, py - y));
  const least = Math.min(...away);
  // Where points lie upon each other, as lips that touch, the chosen one is meant.
  if (away[chosen] <= least + 0.01) return least <= within ? chosen : -1;
  return least <= within ? away.indexOf(least) : -1;
}

view.addEventListener("pointerdown", (event) => {
  if (!points || drag || event.button !== 0) return;
  const at = place(event);
  const found = nearest(at, (REACH_PX[event.pointerType] ?? REACH_PX.mouse) * scale());
  event.preventDefault();
  view.setPointerCapture(event.pointerId);
  if (found >= 0) choose(found, true);
  const moves = found >= 0 && !avatar.locked;
  if (moves) points.hold();
  drag = { id: event.pointerId, at, client: [event.clientX, event.clientY], box, moves };
  view.classList.toggle("dragging", moves);
});

view.addEventListener("pointermove", (event) => {
  if (event.pointerId !== drag?.id) return;
  const [dx, dy] = [event.clientX - drag.client[0], event.clientY - drag.client[1]].map((value) => value * scale());
  if (!drag.moves) return look(drag.box.x - dx, drag.box.y - dy, drag.box.size);
  points.drag(along(), dx, dy);
  draw();
});

for (const end of ["pointerup", "pointercancel"])
  view.addEventListener(end, (event) => {
    if (event.pointerId !== drag?.id) return;
    if (drag.moves) points.release();
    drag = null;
    view.classList.remove("dragging");
    draw();
  });

view.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    if (drag) return;
    const [x, y] = place(event);
    const size = Math.min(SIZE, Math.max(CLOSEST, box.size * 1.0015 ** event.deltaY));
    look(x - ((x - box.x) * size) / box.size, y - ((y - box.y) * size) / box.size, size);
  },
  { passive: false },
);

// Keys.

$("points").addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const way = ARROWS[event.key];
  const step = { PageDown: 1, PageUp: -1 }[event.key];
  if (way) {
    const far = event.shiftKey ? NUDGE_FAR : NUDGE;
    change(() => points.nudge(along(), way[0] * far, way[1] * far));
  } else if (step) choose(chosen + step, true);
  else return;
  event.preventDefault();
});

addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
  const key = event.shiftKey ? `shift+${event.key.toLowerCase()}` : event.key.toLowerCase();
  const action = {
    z: () => change(() => points.undo()),
    y: () => change(() => points.redo()),
    "shift+z": () => change(() => points.redo()),
    s: save,
  }[key];
  if (!action) return;
  event.preventDefault();
  action();
});

// Buttons.

$("undo").onclick = () => change(() => points.undo());
$("redo").onclick = () => change(() => points.redo());
$("reset").onclick = () => change(() => points.reset());
$("save").onclick = save;
for (const button of $("zooms").children) button.onclick = () => points && lookAt(button.dataset.zoom);
for (const layer of ["lines", "outline", "irises", "rest"]) {
  const shown = $(`show-${layer}`);
  const apply = () => $(layer).toggleAttribute("hidden", !shown.checked);
  shown.onchange = apply;
  apply();
}
$("avatars").onchange = async () => {
  const wanted = $("avatars").value;
  if (points?.changed && !confirm("What was moved is not saved. Leave it?")) return ($("avatars").value = avatar.id);
  open(wanted).catch((error) => say(error.message, true));
};
addEventListener("beforeunload", (event) => points?.changed && event.preventDefault());
addEventListener("resize", draw);

async function begin() {
  const all = await api.avatars();
  $("avatars").replaceChildren(...all.map(({ id, name }) => make("option", { value: id, textContent: name })));
  const wanted = new URLSearchParams(location.search).get("avatar") ?? all.at(-1).id;
  $("avatars").value = wanted;
  await open(wanted);
}

begin().catch((error) => say(error.message, true));
