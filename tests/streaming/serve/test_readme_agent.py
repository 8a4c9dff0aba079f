"""The README's agent, as it stands there, speaks to a server."""

import re
import runpy
import sys
import wave
from pathlib import Path

import httpx
import pytest

from benchmarks.served import served

ROOT = Path(__file__).parents[3]
SERVE = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.browser.light_server import main; main()"


def test_the_agent_of_the_readme_speaks_and_ends_its_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (agent,) = re.findall(r"^```\n(import asyncio.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert 15 <= len(agent.splitlines()) <= 22
    with wave.open(str(tmp_path / "speech.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 8000))
    with served(command=(sys.executable, "-u", "-c", SERVE)) as address:
        script = tmp_path / "agent.py"
        script.write_text(agent.replace("127.0.0.1:8000", address.removeprefix("http://")), encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        runpy.run_path(str(script), run_name="__main__")
        told = httpx.get(f"{address}/metrics").text
    assert "\nmien_serve_sessions_opened_total 1\n" in told and "\nmien_serve_sessions 0\n" in told
