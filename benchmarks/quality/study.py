"""The paper's user studies (section 7.4) as a static page: blind, in random order, answers read back into means.

Two methods' clips of the same names are shown one at a time under meaningless names. Each participant opens the page,
answers on a scale of 1 to 4, and hands in the file that the page saves; nothing is sent anywhere. ``key.json`` says
which clip is whose and must stay with whoever runs the study.
"""

import json
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.lipsync import find_clips
from benchmarks.quality.methods import folder
from benchmarks.quality.report import write_text
from engine.errors import InputError, OutputError
from streaming.report import write_json

SCALE: Final = ("1: no", "2: no, but some parts are pleasing", "3: yes, but some parts are not good enough", "4: yes")
QUESTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "natural": (
        "Is the mouth of the talking person synchronized with the audio?",
        "Is the expression of the face appropriate for the audio?",
        "Is the head motion natural?",
    ),
    "style": (
        "How successful is the style of head pose transferred?",
        "How successful is the style of eye contact transferred?",
        "How successful is the style of mouth motions transferred?",
    ),
}
"""Of sections 7.4.1 and 7.4.2."""
# Two-sided 95 % points of Student's t for 1 to 30 degrees of freedom; beyond, the normal's with its usual correction.
_T95: Final = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


@dataclass(frozen=True)
class Rating:
    """Answers to one question about one method.

    Attributes:
        mean: 1 to 4, over participants (each one's mean over clips).
        low: Lower end of the 95 % confidence interval over participants; the mean itself with one participant.
        high: Its upper end.
        participants: How many.
    """

    mean: float
    low: float
    high: float
    participants: int


def make_study(
    methods: Mapping[str, Path], out: Path, kind: str = "natural", reference: Path | None = None, seed: int = 0
) -> int:
    """Write ``page/index.html`` with its clips, and ``key.json`` beside the page.

    Args:
        methods: Folder of clips for each method, the same names in each.
        out: Folder for the study; must be new or empty.
        kind: ``natural`` or ``style``.
        reference: For ``style``: folder with the style's clip for each name.
        seed: Of names and order.

    Returns:
        How many clips are shown.

    Raises:
        InputError: A folder is missing, or no names agree.
        OutputError: The folder is not empty, or cannot be written.
    """
    if (kind == "style") != (reference is not None):
        raise InputError("A study of style needs the folder of the styles' clips, and no other study takes one.")
    found = {method: {clip.stem: clip for clip in find_clips(path)} for method, path in methods.items()}
    shown = {} if reference is None else {clip.stem: clip for clip in find_clips(reference)}
    names = sorted(set.intersection(*(set(clips) for clips in found.values()), *([set(shown)] if shown else [])))
    if not names:
        raise InputError(f"No clip has the same name in {', '.join(str(path) for path in methods.values())}.")
    if out.exists() and any(out.iterdir()):
        raise OutputError(f"{out} is not empty; name a new folder for the study.")
    page = folder(out, "page")
    chance = random.Random(seed)
    trials = [(method, name) for method in methods for name in names]
    chance.shuffle(trials)
    key, entries = {}, []
    try:
        styles = {name: f"style{number:03d}{shown[name].suffix}" for number, name in enumerate(names) if name in shown}
        for name, target in styles.items():
            shutil.copyfile(shown[name], page / target)
        for number, (method, name) in enumerate(trials):
            blind = f"clip{number:03d}"
            source = found[method][name]
            shutil.copyfile(source, page / f"{blind}{source.suffix}")
            key[blind] = {"method": method, "clip": name}
            entries.append({"id": blind, "file": f"{blind}{source.suffix}", "style": styles.get(name)})
    except OSError as error:
        raise OutputError(f"The study cannot be written in {out}: {error.strerror or error}.") from error
    write_json(out / "key.json", {"kind": kind, "questions": list(QUESTIONS[kind]), "clips": key})
    write_text(page / "index.html", _page(kind, entries))
    return len(trials)


def read_answers(key: Path, answers: Path) -> dict[str, list[Rating]]:
    """Ratings by method, one for each question.

    Args:
        key: ``key.json`` of the study.
        answers: Folder of the participants' files.

    Raises:
        InputError: A file is missing, damaged, of another study, or holds marks outside 1 to 4.
    """
    plan = _load(key)
    try:
        clips = {blind: str(clip["method"]) for blind, clip in plan["clips"].items()}
        count = len(plan["questions"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{key} is no key of a study; give the key.json that the study was made with.") from error
    files = sorted(answers.glob("*.json")) if answers.is_dir() else []
    if not files:
        raise InputError(f"{answers} holds no answers; collect the participants' files there.")
    marks: dict[str, list[list[float]]] = {method: [] for method in dict.fromkeys(clips.values())}
    for file in files:
        given = _marks(file, clips, count)
        for method, rows in given.items():
            marks[method].append(np.mean(rows, axis=0).tolist())
    return {
        method: [rate([row[question] for row in people]) for question in range(count)]
        for method, people in marks.items()
        if people
    }


def rate(values: Sequence[float]) -> Rating:
    """Mean and 95 % confidence interval (Student's t) of one mark for each participant."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return Rating(mean, mean, mean, n)
    t = _T95[n - 2] if n - 2 < len(_T95) else 1.960 + 2.4 / (n - 1)
    half = t * float(np.std(values, ddof=1)) / n**0.5
    return Rating(mean, mean - half, mean + half, n)


def _marks(file: Path, clips: Mapping[str, str], questions: int) -> dict[str, list[list[int]]]:
    """One participant's marks by method."""
    content = _load(file)
    rows: dict[str, list[list[int]]] = {}
    given = content.get("answers") if isinstance(content, dict) else None
    if not isinstance(given, dict) or not given:
        raise InputError(f"{file} holds no answers of this study; leave it out.")
    for blind, row in given.items():
        sound = isinstance(row, list) and len(row) == questions and all(mark in (1, 2, 3, 4) for mark in row)
        if blind not in clips or not sound:
            raise InputError(
                f"{file}: the answer to {blind!r} is not of this study, or not {questions} marks of 1 to 4."
            )
        rows.setdefault(clips[blind], []).append(row)
    return rows


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON; give the file as it was saved.") from error


def _page(kind: str, entries: Sequence[Mapping[str, Any]]) -> str:
    questions = "".join(
        f"<fieldset><legend>{escape(question)}</legend>"
        + "".join(
            f'<label><input type="radio" name="q{number}" value="{mark}" required> {escape(text)}</label>'
            for mark, text in enumerate(SCALE, 1)
        )
        + "</fieldset>"
        for number, question in enumerate(QUESTIONS[kind])
    )
    data = json.dumps({"kind": kind, "questions": len(QUESTIONS[kind]), "clips": list(entries)}).replace("<", "\\u003c")
    return _TEMPLATE.replace("@QUESTIONS@", questions).replace("@DATA@", data)


_TEMPLATE: Final = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Talking heads: a study</title>
<meta name="viewport" content="width=device-width"><style>
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:1080px;padding:24px;color:#1d2330;background:#fbfbfd}
h1{font-size:22px}video{width:100%;max-width:512px;border-radius:8px;background:#000}
#clips{display:flex;gap:16px;flex-wrap:wrap}figure{margin:0}figcaption{color:#667085}
fieldset{border:1px solid #e3e6ec;border-radius:8px;margin:12px 0;background:#fff}legend{font-weight:600}
label{display:block;padding:2px 0}button{font:inherit;padding:8px 20px;border-radius:8px;border:0;background:#3b6fd4}
button{color:#fff}#progress{color:#667085}</style></head><body>
<h1>Talking heads</h1><p id="progress"></p>
<form id="form"><div id="clips"></div>@QUESTIONS@<button>Next</button></form>
<div id="end" hidden><p>Thank you. Save your answers and hand the file in.</p>
<button id="save">Save answers</button></div>
<script>
const study = @DATA@;
const order = study.clips.map(clip => [crypto.getRandomValues(new Uint32Array(1))[0], clip]);
order.sort((a, b) => a[0] - b[0]);
const clips = order.map(pair => pair[1]), answers = {}, form = document.getElementById("form");
let at = 0;
function figure(file, text) {
  const holder = document.createElement("figure"), video = document.createElement("video");
  const caption = document.createElement("figcaption");
  video.src = file; video.controls = true; video.playsInline = true; caption.textContent = text;
  holder.append(video, caption);
  return holder;
}
function show() {
  document.getElementById("progress").textContent = `Clip ${Math.min(at + 1, clips.length)} of ${clips.length}`;
  if (at === clips.length) { form.hidden = true; document.getElementById("end").hidden = false; return; }
  form.reset();
  const place = document.getElementById("clips"), clip = clips[at];
  place.replaceChildren();
  if (clip.style) place.append(figure(clip.style, "The style that is meant"));
  place.append(figure(clip.file, clip.style ? "The clip to judge" : ""));
}
form.addEventListener("submit", event => {
  event.preventDefault();
  const given = new FormData(form);
  answers[clips[at].id] = Array.from({length: study.questions}, (_, i) => Number(given.get("q" + i)));
  at += 1; show(); scrollTo(0, 0);
});
document.getElementById("save").addEventListener("click", () => {
  const text = JSON.stringify({kind: study.kind, answers}), link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "application/json"}));
  link.download = `answers-${crypto.getRandomValues(new Uint32Array(1))[0].toString(16)}.json`;
  link.click();
});
show();
</script></body></html>
"""
