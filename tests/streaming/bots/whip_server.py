"""A small WHIP server that receives what is published: a real connection, and answers that a test may script."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from fastapi import FastAPI, Request, Response

from tests.streaming.serve.serve_fakes import Caller


@dataclass
class WhipServer:
    """Answers each request by the first of ``script`` that is left, and takes the offer when none is.

    Attributes:
        asked: (method, path, Authorization, Content-Type) of each request.
        callers: Those who published, with what they sent.
    """

    script: list[Response] = field(default_factory=list)
    asked: list[tuple[str, str, str | None, str | None]] = field(default_factory=list)
    callers: list[Caller] = field(default_factory=list)

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.api_route("/{path:path}", methods=["POST", "DELETE"])
        async def any_path(path: str, request: Request) -> Response:
            headers = request.headers
            self.asked.append((request.method, f"/{path}", headers.get("authorization"), headers.get("content-type")))
            if request.method == "DELETE":
                number = int(path.removeprefix("made/"))
                if number >= len(self.callers):
                    return Response(status_code=404)
                await self.callers[number].hang_up()
                return Response(status_code=200)
            if self.script:
                return self.script.pop(0)
            number = len(self.callers)
            connection = RTCPeerConnection(RTCConfiguration([]))
            self.callers.append(Caller(connection))
            await connection.setRemoteDescription(RTCSessionDescription((await request.body()).decode(), "offer"))
            await connection.setLocalDescription(await connection.createAnswer())
            answer = connection.localDescription.sdp
            return Response(
                answer,
                201,
                {"Location": f"/made/{number}", "ETag": f'"{number}"'},
                "application/sdp",
            )

        return app

    async def hang_up(self) -> None:
        await asyncio.gather(*(caller.hang_up() for caller in self.callers))


@contextlib.asynccontextmanager
async def whip_server(*script: Response) -> AsyncIterator[tuple[WhipServer, httpx.AsyncClient]]:
    """A server, and what reaches it."""
    server = WhipServer(list(script))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(server.app())) as http:
        try:
            yield server, http
        finally:
            await server.hang_up()
