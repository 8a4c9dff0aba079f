// The latency display: what the engine promises, what the way adds, and what was measured instead of declared.

import { $, make, toast } from "./dom.js";
import { between, percentile, read, way } from "./figures.js";
import { Pictures } from "./pictures.js";

const EXPLAIN =
  "The solid parts are the engine's promise: constant, and the same for sound and picture. The striped parts are measured on this connection. " +
  "Measured is the voice against itself: how long after leaving this page it comes back.";

export class LatencyView {
  #ears;
  #pictures;
  #before = null;
  #lags = [];
  #trips = [];
  #snapshot = null;
  #fps = 30;

  constructor(ears, video) {
    this.#ears = ears;
    this.#pictures = new Pictures(video);
    $("l-explain").textContent = EXPLAIN;
    $("copy").addEventListener("click", () => this.#copy());
  }

  begin(fps) {
    this.#before = this.#snapshot = null;
    this.#lags = [];
    this.#trips = [];
    this.#fps = fps;
    this.#pictures.reset();
  }

  /** A look at the call: the server's figures and the browser's reports. */
  update({ told, reports }, budget) {
    const looked = read(reports);
    const network = between(this.#before, looked);
    this.#before = looked;
    // The browser tells its last probe alone, and a busy machine answers one of them late.
    if (Number.isFinite(network.rttMs)) this.#trips = [...this.#trips, network.rttMs].slice(-30);
    if (this.#trips.length) network.rttMs = percentile(this.#trips, 0.5);
    const heard = this.#ears.lag();
    if (heard) this.#lags = [...this.#lags, heard.ms].slice(-30);
    const parts = way(told.budget ?? budget, told, network);
    const expected = parts.reduce((sum, part) => sum + part.ms, 0);
    const measured = this.#lags.length
      ? { ms: percentile(this.#lags, 0.5), correlation: heard?.correlation, looks: this.#lags.length }
      : null;
    const shown = this.#pictures.summary(told.stats?.fps || this.#fps);
    this.#snapshot = {
      budget: told.budget ?? budget,
      expected_ms: expected,
      measured,
      parts,
      network,
      stages: told.stages,
      stats: told.stats,
      pictures: shown,
    };
    this.#vitals(told, network, expected, measured);
    $("latency-live").hidden = $("copy").disabled = false;
    $("latency-idle").hidden = true;
    if (!$("panel-latency").hidden) this.#draw(parts, expected, measured, told, network, shown);
  }

  #vitals(told, network, expected, measured) {
    $("v-latency").replaceChildren(
      `${Math.round(measured?.ms ?? expected)} `,
      make("small", { textContent: measured ? "ms" : "ms exp." }),
    );
    $("v-latency").title = measured ? "Measured on the sound" : "Promised by the engine, with what the network adds";
    $("v-fps").replaceChildren(number(network.fps), " ", make("small", { textContent: "fps" }));
    $("v-freezes").textContent = number(network.freezes);
    const { missed = 0, frames = 0 } = told.stats ?? {};
    $("v-misses").replaceChildren(
      `${missed} `,
      make("small", { textContent: frames ? `of ${frames.toLocaleString("en")}` : "" }),
    );
  }

  #draw(parts, expected, measured, told, network, shown) {
    $("l-total").textContent = Math.round(expected);
    $("l-measured").textContent = measured ? Math.round(measured.ms) : "–";
    $("l-measured-text").textContent = measured
      ? "ms measured, voice to voice"
      : "ms measured: needs a few seconds of voice";
    $("stack").replaceChildren(...parts.map(segment));
    $("stack").setAttribute("aria-label", parts.map(({ label, ms }) => `${label} ${ms.toFixed(0)} ms`).join(", "));
    const promised = parts.filter((part) => part.promised).reduce((sum, part) => sum + part.ms, 0);
    $("parts").tBodies[0].replaceChildren(
      ...parts.filter((part) => part.promised).map(partRow),
      sumRow("Engine's budget", promised),
      ...parts.filter((part) => !part.promised).map(partRow),
      sumRow("Expected, voice to picture", expected),
      ...(measured ? measuredRows(measured.ms, promised, told, network) : []),
    );
    this.#stages(told.stages ?? {});
    this.#pictures.draw($("intervals"), told.stats?.fps || this.#fps);
    $("intervals-text").textContent = shown
      ? `Each bar is the time since the picture before; lines are whole periods. p50 ${shown.p50.toFixed(1)} ms, p99 ${shown.p99.toFixed(1)} ms, ${shown.late} of ${shown.of} late by half a period or more.`
      : "This browser does not tell when a picture is shown.";
    figures("network", networkFigures(network, told.peers?.find(({ role }) => role === "call")?.voice));
    figures("engine", engineFigures(told.stats ?? {}));
  }

  #stages(stages) {
    const rows = Object.entries(stages).sort(([, a], [, b]) => b.p99 - a.p99);
    const most = Math.max(1, ...rows.map(([, times]) => times.p99));
    $("stages").tBodies[0].replaceChildren(
      ...rows.map(([name, times]) => {
        const bar = make("span", { className: "bar" }, make("i"), make("i"));
        bar.lastChild.style.width = `${(100 * times.p99) / most}%`;
        bar.firstChild.style.width = `${(100 * times.p50) / most}%`;
        const cells = [times.p50, times.p99, times.max].map((value) => make("td", { textContent: number(value, 1) }));
        return make(
          "tr",
          {},
          make("th", { scope: "row", textContent: name.replaceAll("_", " ") }),
          make("td", {}, bar),
          ...cells,
        );
      }),
    );
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText(JSON.stringify(this.#snapshot, null, 2));
      toast("Copied.");
    } catch {
      toast("This browser lets no page write to the clipboard here.", { bad: true });
    }
  }
}

function segment({ name, label, ms, promised }) {
  const part = make("span", { title: `${label} ${ms.toFixed(1)} ms`, className: promised ? "" : "striped" });
  part.style.flexGrow = Math.max(0.5, ms);
  part.style.backgroundColor = `var(--c-${name})`;
  return part;
}

function partRow({ name, label, ms, promised }) {
  const key = make("i", { className: promised ? "" : "striped" });
  key.style.backgroundColor = `var(--c-${name})`;
  return make("tr", {}, make("th", { scope: "row" }, key, label), make("td", { textContent: `${ms.toFixed(1)} ms` }));
}

function sumRow(label, ms) {
  return make(
    "tr",
    { className: "sum" },
    make("th", { scope: "row", textContent: label }),
    make("td", { textContent: `${ms.toFixed(1)} ms` }),
  );
}

/** The sound's own way is measured: what its declared parts leave open is capture, packets and playout, or a surprise. */
function measuredRows(ms, promised, told, network) {
  // Sound leaves earlier than its picture, because the player holds it back longer.
  const early = told.budget?.sound_ahead_ms ?? 0;
  const declared = promised - early + (network.rttMs ?? 0) + (network.audioBufferMs ?? 0);
  const whole = sumRow("Measured, voice to its own sound", ms);
  // The buffer is that of the last second, the measurement of the last half minute: where the one has just grown, they
  // say nothing of each other.
  if (ms < declared) return [whole];
  const rest = sumRow("of it in no budget or buffer: capture, packets, playout", ms - declared);
  rest.className = "rest";
  return [whole, rest];
}

function figures(id, rows) {
  const known = rows.filter(([, value]) => value !== undefined && value !== "" && value !== "–");
  $(id).replaceChildren(
    ...known.flatMap(([name, value, bad]) => [
      make("dt", { textContent: name }),
      make("dd", { textContent: value, className: bad ? "bad" : "" }),
    ]),
  );
}

function networkFigures(n, voice) {
  return [
    ["Round trip", unit(n.rttMs, "ms", 1)],
    ["Jitter here, at the server", `${unit(n.jitterMs, "ms", 1)}, ${unit(n.uplinkJitterMs, "ms", 1)}`],
    ["Buffer of pictures, of sound", `${unit(n.videoBufferMs, "ms")}, ${unit(n.audioBufferMs, "ms")}`],
    ["Packets lost on the way here", number(n.lost), n.lost > 0],
    [
      "Packets lost on the way up",
      voice ? `${voice.lost} of ${voice.packets.toLocaleString("en")}` : number(n.uplinkLost),
      (voice?.lost ?? n.uplinkLost) > 0,
    ],
    ["Of them rebuilt, concealed", voice && `${voice.recovered}, ${number(voice.concealed_ms)} ms`],
    ["Frames received", n.received?.toLocaleString("en")],
    ["Frames dropped by the player", number(n.dropped), n.dropped > 0],
    ["Freezes", n.freezes === undefined ? undefined : `${n.freezes} (${number(n.frozenS, 1)} s)`, n.freezes > 0],
    ["Sound concealed", unit(n.concealedMs, "ms")],
    [
      "Picture",
      [n.size, n.codec, n.mbps === undefined ? "" : `${n.mbps.toFixed(2)} Mbit/s`].filter(Boolean).join(", "),
    ],
    ["Route", n.route.trim() === "to" ? "" : `${n.route}, ${n.protocol}`],
  ];
}

function engineFigures(s) {
  return [
    ["Frames due", s.frames?.toLocaleString("en")],
    ["Missed, repeated an earlier picture", number(s.missed), s.missed > 0],
    ["Skipped", number(s.skipped), s.skipped > 0],
    ["Frame rate now", unit(s.fps, "fps")],
    ["Steps down or up under load", number(s.ladder_steps), s.ladder_steps > 0],
    [
      "Gaps in the voice",
      s.gaps === undefined ? undefined : `${s.gaps} (${number(s.gap_ms)} ms concealed)`,
      s.gaps > 0,
    ],
    ["Drift of your clock", unit(s.drift_ppm, "ppm")],
    [
      "Sound waiting to be heard, to leave",
      s.intake_ms === undefined ? undefined : `${number(s.intake_ms)} ms, ${number(s.output_ms)} ms`,
    ],
  ];
}

const number = (value, digits = 0) => (Number.isFinite(value) ? value.toFixed(digits) : "–");
const unit = (value, name, digits = 0) => (Number.isFinite(value) ? `${value.toFixed(digits)} ${name}` : "–");
