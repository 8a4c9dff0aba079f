"""Schemathesis: requests made of the API's own description, good and bad, against a live server; nothing may break."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import status_code_conformance

from streaming.serve.config import ServeConfig
from streaming.serve.run import serve
from tests.streaming.serve.serve_fakes import PATIENCE_S, make_server

schemathesis.serializer.alias(["application/sdp", "application/trickle-ice-sdpfrag"], "text/plain")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a server on a thread of its own."""
    said: Future[str] = Future()
    ends: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def main() -> None:
        end = asyncio.Event()
        ends.set_result((asyncio.get_running_loop(), end))
        config = ServeConfig(port=0, max_sessions=256, idle_s=600, drain_s=0)
        await serve(config, said.set_result, make=lambda asked: make_server(**asked.model_dump()), end=end)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    yield said.result(PATIENCE_S).split()[3].rstrip("/")
    loop, end = ends.result()
    loop.call_soon_threadsafe(end.set)
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def described(address: str) -> Any:
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    made = httpx.post(f"{address}/api/sessions", json={"avatar": "ada"}, timeout=PATIENCE_S).json()["id"]

    @schema.hook("map_path_parameters")
    def sometimes_there(context: Any, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
        """A name that was made up finds nothing: half of them are of a session that is there."""
        if parameters and len(str(parameters.get("session", ""))) % 2:
            return {**parameters, "session": made}
        return parameters

    return schema


def test_no_request_breaks_a_door(described: Any) -> None:
    checks = [not_a_server_error, status_code_conformance]
    doors = set()
    for found in described.get_all_operations():
        operation = found.ok()
        doors.add(operation.label)

        @settings(max_examples=8, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
        @given(operation.as_strategy())
        def ask(case: Any) -> None:
            case.call_and_validate(checks=checks, timeout=PATIENCE_S)

        ask()
    assert {"POST /api/sessions", "POST /whip/{session}", "PATCH /whep/{session}/{peer}", "GET /metrics"} <= doors
