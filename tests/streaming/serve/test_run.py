import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.backends.devices import DEVICES
from engine.errors import ConfigError, OutputError
from streaming.cli import run as mien
from streaming.serve import run as running
from streaming.serve.config import ServeConfig, is_loopback, split_ice
from streaming.serve.run import serve
from tests.streaming.serve.serve_fakes import begin, until
from tests.streaming.serve.test_socket_door import listening

ROOT = Path(__file__).parents[3]


def test_the_end_is_graceful() -> None:
    """No new session, those that run go on for a while, then all is closed."""

    async def main() -> None:
        async with listening() as (client, server, _):
            session = await begin(client)
            draining = asyncio.create_task(server.rooms.drain(600))
            await until(lambda: server.rooms.draining, "the end begins")
            assert (await client.get("/readyz")).json()["status"] == "draining"
            refused = await client.post("/api/sessions", json={"avatar": "ada"})
            assert refused.status_code == 503 and "shutting down" in refused.json()["message"]
            assert (await client.get(f"/api/sessions/{session}")).status_code == 200
            assert (await client.delete(f"/api/sessions/{session}")).status_code == 204
            await draining
            assert not len(server.rooms) and not server.engine.sessions

    asyncio.run(main())


def test_sigterm_ends_the_process_with_0() -> None:
    command = [sys.executable, "-W", "error", "-m", "streaming.serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            out, error = process.communicate(timeout=60)
        finally:
            process.kill()
    assert "listens on http://127.0.0.1:" in said, error
    assert (process.returncode, out, error) == (0, "", "")


def test_a_port_that_is_taken_is_said() -> None:
    async def main() -> None:
        async with listening() as (client, _, __):
            taken = client.base_url.port
            assert taken is not None
            with pytest.raises(OutputError, match="another --port"):
                await serve(ServeConfig(port=taken))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "0.0.0.0"], "set --token"),
        (["--token", "short"], "--token"),
        (["--token", "with blanks in it"], "--token"),
        (["--port", "70000"], "--port"),
        (["--ice-server", "http://x"], "stun:host:port"),
        (["--origin", "https://x/path"], "without a path"),
        (["--codec", "AV1"], "--codec"),
        (["--device", "gpu"], "--device"),
        (["--max-sessions", "0"], "--max-sessions"),
    ],
)
def test_options_that_cannot_be_are_refused(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "run_server", lambda config: pytest.fail("it runs"))
    assert mien(["serve", *arguments]) == ConfigError.exit_code
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1


def test_options_reach_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[ServeConfig] = []
    monkeypatch.setattr(running, "run_server", seen.append)
    turn = "turn:me:secret@example.net:3478?transport=tcp"
    arguments = ["--host", "::", "--token", "open-sesame", "--ice-server", "stun:example.net", "--ice-server", turn]
    assert (
        mien(
            ["serve", *arguments, "--origin", "*", "--probe", "--idle-s", "5", "--renderer", "lite", "--device", "auto"]
        )
        == 0
    )
    (config,) = seen
    assert config.probe and config.origins == ("*",) and config.idle_s == 5 and not config.on_loopback
    assert config.renderer == "lite" and config.device in DEVICES[1:]
    assert [split_ice(server) for server in config.ice_servers] == [
        ("stun:example.net", None, None),
        ("turn:example.net:3478?transport=tcp", "me", "secret"),
    ]


def test_what_loopback_is() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.5", "example.net", ""))
