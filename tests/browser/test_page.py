"""The page in a real browser, with a recording as its microphone."""

import base64
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from benchmarks.browser import browser, missing
from benchmarks.recording import at_48k, load_speech
from benchmarks.served import served
from benchmarks.webrtc_bench import call, write_wav
from engine.images import encode_png
from engine.outlet import VideoFrame
from streaming.serve.probe import NONE, mark

ROOT = Path(__file__).parents[2]
HELLO = ROOT / "models" / "pretrained" / "demo" / "hello.flac"
SERVE = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.browser.light_server import main; main()"
PATIENCE_MS = 60_000
LIPS = """async ([least, patience]) => {
  const video = document.getElementById("video");
  const canvas = new OffscreenCanvas(96, 64);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const brightness = (left, top) => {
    pen.drawImage(video, left, top, 96, 64, 0, 0, 96, 64);
    const { data } = pen.getImageData(0, 0, 96, 64);
    return data.reduce((sum, value, at) => (at % 4 === 1 ? sum + value : sum), 0) / (96 * 64);
  };
  const spread = (values) => Math.max(...values) - Math.min(...values);
  const lips = [], corner = [];
  const end = performance.now() + patience;
  do {
    if (video.readyState >= 2) {
      lips.push(brightness(208, 240));
      corner.push(brightness(8, 8));
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  } while (performance.now() < end && !(spread(lips) >= least));
  return [spread(lips), spread(corner), Math.min(...lips)];
}"""
"""Looks until the lips' region has changed by so much in brightness; how much it did, and a corner beside it."""

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(command=(sys.executable, "-u", "-c", SERVE)) as found:
        yield found


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser; closed with this module, for Playwright keeps an event loop running in this thread."""
    microphone = tmp_path_factory.mktemp("voice") / "hello.wav"
    write_wav(microphone, at_48k(load_speech(HELLO)))
    with browser(microphone) as context:
        context.set_default_timeout(PATIENCE_MS)
        yield context


@pytest.fixture
def page(visitor: Any, address: str) -> Iterator[Any]:
    """The page, opened; it must have said nothing to the console, nor asked anybody else, when the test ends."""
    opened = visitor.new_page()
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(address)
    opened.wait_for_selector("#gallery img:not([hidden])")
    yield opened
    opened.close()
    assert said == []
    assert [url for url in asked if not url.startswith((f"{address}/", f"blob:{address}/"))] == []
    assert any(url.endswith("picture.png") for url in asked)


def test_narrow_screens_have_nothing_beside_them(page: Any) -> None:
    for width in (320, 390, 768):
        page.set_viewport_size({"width": width, "height": 844})
        for tab in ("avatar", "voice", "face", "quality", "latency"):
            page.click(f"#tab-{tab}")
            assert page.is_visible(f"#panel-{tab}")
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width, f"{tab} at {width}"
    page.keyboard.press("?")
    assert page.is_visible("#help")
    page.keyboard.press("Escape")
    assert not page.is_visible("#help")


def test_everything_that_can_be_used_has_a_name(page: Any) -> None:
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, [role=img], [role=tab]")].filter((one) => {
          const labels = [...(one.labels ?? [])].map((label) => label.textContent);
          return !(one.getAttribute("aria-label") || one.textContent || labels.join("")).trim();
        }).map((one) => one.outerHTML)"""
    )
    assert nameless == []


def test_the_avatar_speaks_and_is_recorded(page: Any, tmp_path: Path) -> None:
    page.click("#tab-quality")
    page.check('input[name="fps"][value="20"]', force=True)
    call(page)
    page.keyboard.press("r")
    lips, corner, darkest = page.evaluate(LIPS, [12, PATIENCE_MS])
    assert lips > 12, "the lips do not move"
    assert corner < lips / 3
    assert darkest > 20, "there is no picture"
    page.wait_for_timeout(1500)
    with page.expect_download() as download:
        page.keyboard.press("r")

    kept = tmp_path / download.value.suggested_filename
    download.value.save_as(kept)
    assert kept.name.startswith("mien-ada-")
    with av.open(str(kept)) as film:
        assert {stream.type for stream in film.streams} == {"video", "audio"}
        assert next(film.decode(video=0)).width == 512

    page.keyboard.press("m")
    assert page.inner_text("#state") == "Live, muted"
    page.click("#tab-latency")
    page.wait_for_selector("#parts tr.sum")
    assert "Engine's budget" in page.inner_text("#parts")
    page.click("#start")
    page.wait_for_selector('#stage[data-state="idle"]')


def test_a_recording_is_a_voice(page: Any) -> None:
    page.click("#tab-voice")
    page.set_input_files("#file", HELLO)
    page.wait_for_selector("#player:not([hidden])")
    assert page.is_checked('input[name="source"][value="file"]')
    assert page.inner_text("#drop-title") == "hello.flac"
    assert page.inner_text("#caption") == "Start, and Ada speaks hello.flac."
    page.set_input_files("#file", {"name": "note.wav", "mimeType": "audio/wav", "buffer": b"no sound at all"})
    page.wait_for_selector("#toasts .bad")
    assert "note.wav" in page.inner_text("#toasts .bad")
    assert page.inner_text("#drop-title") == "hello.flac"


def test_the_delay_of_a_voice_is_found_by_its_loudness(page: Any) -> None:
    found = page.evaluate(
        """async () => {
          const { lagOf } = await import("/ears.js");
          // Loudness as of speech: it wanders, and has pauses. A generator of numbers, so that it is always the same.
          let state = 7;
          const random = () => (state = (state * 16807) % 2147483647) / 2147483647;
          const sent = [];
          for (let at = 0, level = 0; at < 750; at++) {
            level = 0.9 * level + 0.3 * (random() - 0.5);
            sent.push(at % 90 < 25 ? 1e-8 : 10 ** (-3 + 3 * level));
          }
          const delayed = [...Array(42).fill(1e-8), ...sent].slice(0, sent.length).map((energy) => 0.5 * energy);
          const other = sent.map(() => 10 ** (-4 + 2 * random()));
          const silence = sent.map(() => 1e-8);
          return [[sent, delayed], [sent, other], [silence, delayed], [[], []]].map((pair) => lagOf(...pair, 10));
        }"""
    )
    assert found[0]["ms"] == pytest.approx(420, abs=3)
    assert found[0]["correlation"] > 0.95
    assert found[1:] == [None, None, None]


def test_the_time_blocks_of_the_probe_are_read(page: Any) -> None:
    portrait = np.full((512, 512, 3), 130, np.uint8)
    drawn = [
        mark(VideoFrame(0, 48 * media, portrait, False), onset) for media, onset in ((0x1_A50F, 0x3C01), (7, NONE))
    ]
    drawn[1][16:32, 96:128] = 0
    found = page.evaluate(
        """async (pictures) => {
          const { readMarks } = await import("/probe.js");
          const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
          return Promise.all(pictures.map(async (text) => readMarks(await createImageBitmap(new Blob([bytes(text)])))));
        }""",
        [base64.b64encode(encode_png(picture)).decode() for picture in drawn],
    )
    assert found == [{"media": 0xA50F, "onset": 0x3C01}, {"media": None, "onset": NONE}]
