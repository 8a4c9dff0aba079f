// The page: puts the call, the voice, the face and the displays together.

import { Call } from "./call.js";
import { $, clock, kept, showIcon, toast } from "./dom.js";
import { Ears } from "./ears.js";
import { Face } from "./face.js";
import { Gallery } from "./gallery.js";
import { listen } from "./keys.js";
import { LatencyView } from "./latency.js";
import { probe } from "./probe.js";
import { Quality } from "./quality.js";
import { Recorder } from "./recorder.js";
import { Styles } from "./styles.js";
import { showTab, startTabs } from "./tabs.js";
import { Voice } from "./voice.js";
import { VoicePanel } from "./voice_panel.js";

const call = new Call();
const voice = new Voice();
const ears = new Ears();
const face = new Face();
const gallery = new Gallery();
const styles = new Styles();
const quality = new Quality();
const recorder = new Recorder();
const latency = new LatencyView(ears, $("video"));
const voicePanel = new VoicePanel(
  voice,
  () => speakAgain(),
  () => !running() && (start(), true),
);

const running = () => call.state === "connecting" || call.state === "live";
const live = () => call.state === "live";
/** Whether the avatar is heard, once the visitor said so; else by the source: nobody likes to hear himself late. */
let hears = kept.get("hears", null);

function start() {
  // Within the gesture, so that the browser lets the page sound.
  void voice.context;
  quality.connected();
  latency.begin(quality.values.fps);
  const wanted = { avatar: gallery.chosen?.id, mode: "live", ...quality.values, ...styles.values };
  const first = Object.keys(face.values).length ? { controls: face.values } : {};
  void call.start(() => voice.track(), wanted, first);
}

async function speakAgain() {
  showSound();
  showCaption();
  if (!running()) return;
  try {
    await call.speakWith(await voice.track());
    if (voice.kind === "file" && live()) voice.play(0);
    if (live()) await hear();
  } catch (error) {
    toast(error.message, { bad: true, seconds: 8 });
  }
}

/** Show and hear what the server sends, and measure it against what is sent. */
async function hear() {
  probe.begin(ears, voice.context, $("video"), call);
  await ears.listen(voice.context, voice.stream, call.stream);
}

call.addEventListener("state", () => {
  showState();
  if (live()) {
    const video = $("video");
    video.srcObject = call.stream;
    showSound();
    video.play().catch(() => ($("unblock").hidden = false));
    hear().catch(() => toast("This browser cannot measure the voice against itself; the rest works."));
    if (voice.kind === "file") voice.play(0);
    else void voicePanel.showDevices();
  } else if (!running()) {
    recorder.stop();
    ears.stop();
    voice.release();
    $("video").srcObject = null;
    $("unblock").hidden = true;
  }
});
call.addEventListener("figures", ({ detail }) => latency.update(detail, call.session?.budget ?? {}));
call.addEventListener("quiet", ({ detail }) => toast(detail, { bad: true }));
voice.addEventListener("lost", () =>
  toast("The microphone was disconnected: choose another one, or a recording.", { bad: true, seconds: 10 }),
);
gallery.addEventListener("choose", ({ detail }) => {
  showCaption();
  if (!detail.quiet) steer({ avatar: gallery.chosen.id });
});
voice.addEventListener("change", showCaption);
face.addEventListener("steer", ({ detail }) => steer({ controls: detail }));
styles.addEventListener("steer", ({ detail }) => steer(detail));
quality.addEventListener("apply", () => start());
quality.running = running;

function steer(values) {
  if (live()) call.change(values).catch((error) => toast(error.message, { bad: true }));
}

function setMuted(muted) {
  voice.mute(muted);
  showState();
}

function interrupt() {
  if (!live()) return;
  if (voice.kind === "file") voice.pause();
  call.interrupt().catch((error) => toast(error.message, { bad: true }));
}

function record() {
  if (recorder.running) recorder.stop();
  else if (live() && recorder.possible) recorder.start(call.stream, `mien-${slug(gallery.chosen.name)}`);
}

/** A name as a file's name may be. */
const slug = (name) => name.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-");

function fullScreen() {
  if (document.fullscreenElement) void document.exitFullscreen();
  else
    $("stage")
      .requestFullscreen?.()
      .catch(() => toast("This browser does not go full screen here."));
}

function changeTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const theme = (document.documentElement.dataset.theme ?? system) === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  kept.set("theme", theme);
}

function showState() {
  const { state, detail } = call;
  const muted = live() && voice.muted;
  const words = { idle: "Ready", connecting: "Connecting", live: "Live", error: "Stopped" };
  $("state").dataset.state = muted ? "muted" : state;
  $("state-text").textContent = muted ? "Live, muted" : words[state];
  $("stage").dataset.state = state;
  $("connecting").hidden = state !== "connecting";
  $("connecting-text").textContent = `${detail} …`;
  $("problem").hidden = state !== "error";
  if (state === "error") $("problem-text").textContent = detail;
  $("start").dataset.state = state;
  $("start-text").textContent = { connecting: "Cancel", live: "End" }[state] ?? "Start";
  showIcon($("start"), running() ? "stop" : "phone");
  for (const id of ["mute", "interrupt"]) $(id).disabled = !live();
  $("record").disabled = !live() || !recorder.possible;
  $("mute").setAttribute("aria-pressed", voice.muted);
  $("mute").querySelector(".label").textContent = voice.muted ? "Unmute" : "Mute";
  showIcon($("mute"), voice.muted ? "mic-off" : "mic");
  $("muted-tag").hidden = !muted;
  $("timer").hidden = !live();
}

function showCaption() {
  const name = gallery.chosen?.name ?? "the avatar";
  const recording = voice.kind === "file" && voice.recording;
  $("caption").textContent = recording
    ? `Start, and ${name} speaks ${recording.name}.`
    : `Talk, and ${name} talks with you.`;
}

function showSound() {
  const heard = hears ?? voice.kind === "file";
  $("video").muted = !heard;
  $("listen").setAttribute("aria-pressed", heard);
  $("listen").querySelector(".label").textContent = heard ? "Sound on" : "Sound off";
  showIcon($("listen"), heard ? "ear" : "ear-off");
  $("sound-note").textContent = {
    microphone: heard
      ? "You hear yourself, late. Use headphones, or turn the avatar's sound off."
      : "The avatar's sound is off here, so that you do not hear yourself late. Who records or joins hears it.",
    file: heard ? "" : "The avatar's sound is off here.",
  }[voice.kind];
}

function setHeard(heard) {
  hears = heard;
  kept.set("hears", heard);
  showSound();
}

function wire() {
  startTabs();
  $("start").addEventListener("click", () => (running() ? call.stop() : start()));
  $("retry").addEventListener("click", start);
  $("mute").addEventListener("click", () => setMuted(!voice.muted));
  $("interrupt").addEventListener("click", interrupt);
  $("listen").addEventListener("click", () => setHeard($("video").muted));
  $("record").addEventListener("click", record);
  $("theme").addEventListener("click", changeTheme);
  $("open-help").addEventListener("click", () => $("help").showModal());
  $("unblock").addEventListener("click", () =>
    $("video")
      .play()
      .then(() => ($("unblock").hidden = true)),
  );
  $("full").addEventListener("click", fullScreen);
  $("frame").addEventListener("dblclick", fullScreen);
  for (const button of document.querySelectorAll("[data-close]"))
    button.addEventListener("click", () => button.closest("dialog").close());
  for (const [id, key] of [
    ["mute", "M"],
    ["interrupt", "I"],
    ["start", "S"],
    ["listen", "A"],
  ])
    $(id).title = `Key ${key}`;
  window.addEventListener("pagehide", () => void call.stop());
  setInterval(() => live() && ($("timer").textContent = clock((performance.now() - call.began) / 1000)), 500);
  drops();
  let held = false;
  const talk = (down) => {
    if (down && live() && voice.muted) held = true;
    else if (down || !held) return;
    else held = false;
    setMuted(!down);
  };
  listen(
    [
      ["S", "Start, or end", () => $("start").click()],
      ["M", "Mute", () => live() && setMuted(!voice.muted)],
      ["I", "Interrupt: the avatar stops speaking at once", interrupt],
      ["P", "Play or pause the recording", () => voice.recording && voicePanel.playOrPause()],
      ["A", "The avatar's sound on or off", () => setHeard($("video").muted)],
      ["R", "Record, or save the recording", record],
      ["F", "Full screen", fullScreen],
      ["L", "Show the latency", () => showTab("latency")],
      ["1 … 9", "Choose an avatar", (event) => gallery.chooseNumber(Number(event.key))],
      ["0", "Face to rest", () => face.reset()],
      ["D", "Light or dark", changeTheme],
      ["?", "This list", () => $("help").showModal()],
    ],
    talk,
  );
}

/** Anywhere on the page a recording becomes the voice, and a picture an avatar. */
function drops() {
  let depth = 0;
  const curtain = (shown) => ($("curtain").hidden = !shown);
  const files = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragenter", (event) => files(event) && (depth++, curtain(true)));
  document.addEventListener("dragleave", (event) => files(event) && --depth <= 0 && ((depth = 0), curtain(false)));
  document.addEventListener("dragover", (event) => files(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    depth = 0;
    curtain(false);
    const [file] = event.dataTransfer.files;
    if (!file) return;
    if (file.type.startsWith("image/")) {
      showTab("avatar");
      gallery.offer(file);
    } else {
      showTab("voice");
      void voicePanel.open(file);
    }
  });
}

async function load() {
  try {
    await Promise.all([gallery.load(), styles.load()]);
  } catch (error) {
    toast(error.message, { bad: true, seconds: 20 });
  }
}

wire();
showState();
showSound();
void load();
