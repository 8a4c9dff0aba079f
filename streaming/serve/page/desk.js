// The desk's page: shows the avatar, and steers it over the control protocol (docs/live.md). Keys do what the
// configuration says, as in the preview window.

import * as api from "./api.js";
import { $, make } from "./dom.js";
import { Viewer, socketAddress } from "./viewer.js";

const SESSION = "live";
const WATCH_HZ = 10;
const AGAIN_MS = 1000;

let socket = null;

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function connect() {
  socket = new WebSocket(socketAddress(`/ws/${SESSION}`));
  socket.onopen = () => {
    send({ type: "watch", hz: WATCH_HZ });
    send({ type: "set", controls: {} });
  };
  socket.onmessage = ({ data }) => take(JSON.parse(data));
  socket.onclose = () => {
    $("state").textContent = "The desk has gone; waiting for it.";
    setTimeout(connect, AGAIN_MS);
  };
}

function take(message) {
  if (message.type === "desk") showDesk(message);
  else if (message.type === "controls") showControls(message.controls);
  else if (message.type === "error") $("state").textContent = message.message;
  else if (message.type === "stats") showStats(message);
}

function press(button, on) {
  button.setAttribute("aria-pressed", String(on));
}

/** A field that is being used keeps what the user does with it. */
function fill(field, value) {
  if (document.activeElement !== field && field.value !== String(value)) field.value = value;
}

function showDesk({ microphone, voice, screens, recording, background, avatar, style, latency_ms }) {
  $("device").textContent =
    microphone.state === "open" ? microphone.name : `Waiting for the microphone: ${microphone.why}`;
  $("level").value = Math.max(-60, microphone.rms_db);
  $("level").low = microphone.gate_db ?? -60;
  $("level").title = microphone.gate_db === null ? "" : `The gate opens at ${microphone.gate_db} dB`;
  press($("mute"), microphone.muted);
  press($("ptt"), microphone.push_to_talk);
  $("talk").disabled = !microphone.push_to_talk;
  press($("talk"), microphone.push_to_talk && microphone.heard);
  fill($("gain"), microphone.gain_db);
  $("gain-value").textContent = `${microphone.gain_db} dB`;
  $("latency").textContent = `Mouth to frame ${latency_ms} ms`;
  press($("record"), recording.on);
  $("recording").textContent = recording.error || (recording.on ? `${recording.seconds} s` : recording.file);
  const ends = screens.filter(({ error }) => error).map(({ error }) => error);
  if (voice && voice.state !== "open") ends.push(`The voice's output: ${voice.why}`);
  $("screens").textContent = ends.join(" ");
  fill($("avatars"), avatar);
  $("points").href = `points?avatar=${encodeURIComponent(avatar)}`;
  fill($("styles"), style);
  fill($("background"), background.startsWith("#") ? "colour" : background);
  $("colour-row").hidden = $("background").value !== "colour";
}

function showControls(values) {

  for (const button of $("expressions").children) press(button, (values[button.dataset.name] ?? 0) > 0);
  press($("freeze"), values.freeze >= 0.5);
  for (const [id, name] of [
    ["head", "head_motion"],
    ["intensity", "intensity"],
  ]) {
    fill($(id), values[name]);
    $(`${id}-value`).textContent = values[name];
  }
}

function showStats({ frames, missed }) {
  $("state").textContent = `${frames} frames, ${missed} missed`;
}

async function choices() {
  const [avatars, styles] = await Promise.all([api.avatars(), api.styles()]);
  $("avatars").replaceChildren(...avatars.map(({ id, name }) => make("option", { value: id, textContent: name })));
  $("styles").replaceChildren(...styles.map(({ id, name }) => make("option", { value: id, textContent: name })));
}

for (const name of ["smile", "frown", "surprise", "wink"]) {
  const button = make("button", { type: "button", textContent: name[0].toUpperCase() + name.slice(1) });
  button.dataset.name = name;
  button.onclick = () => send({ type: "express", expression: name, toggle: true });
  $("expressions").append(button);
}
for (const button of document.querySelectorAll("[data-send]"))
  button.onclick = () => send(JSON.parse(button.dataset.send));
$("mute").onclick = () => send({ type: "mute" });
$("ptt").onclick = () => send({ type: "push_to_talk" });
$("record").onclick = () => send({ type: "record" });
$("talk").onpointerdown = () => send({ type: "talk", on: true });
for (const end of ["pointerup", "pointerleave", "pointercancel"])
  $("talk").addEventListener(end, () => send({ type: "talk", on: false }));
$("gain").oninput = () => send({ type: "gain", gain_db: Number($("gain").value) });
$("head").oninput = () => send({ type: "set", controls: { head_motion: Number($("head").value) } });
$("intensity").oninput = () => send({ type: "set", controls: { intensity: Number($("intensity").value) } });
$("avatars").onchange = () => send({ type: "change_avatar", avatar: $("avatars").value });
$("styles").onchange = () => send({ type: "change_style", style: $("styles").value });
$("background").onchange = () => {
  $("colour-row").hidden = $("background").value !== "colour";
  const chosen = $("background").value;
  send({ type: "background", background: chosen === "colour" ? $("colour").value : chosen });
};
$("colour").oninput = () => send({ type: "background", background: $("colour").value });

// Keys, but for those that are meant for a field.
const NAMES = { " ": "space" };
for (const [kind, down] of [
  ["keydown", true],
  ["keyup", false],
])
  addEventListener(kind, (event) => {
    if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest?.("input, select")) return;
    const key = NAMES[event.key] ?? event.key.toLowerCase();
    // Escape ends the desk in its window; on a page it is pressed for other reasons.
    if (key === "escape" || (key === "space" && event.target.closest?.("button"))) return;
    send({ type: "key", key, down });
    if (key === "space") event.preventDefault();
  });

const viewer = new Viewer($("avatar"), $("call"), { session: SESSION, picture: "desk" });
choices().catch((error) => ($("state").textContent = error.message));
connect();
viewer.run();
