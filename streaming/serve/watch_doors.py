"""For whoever watches over the server: is it alive, does it take sessions, what does it do."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse

from engine.engine import Engine
from streaming.serve.rooms import Rooms


def router(engine: Engine, rooms: Rooms) -> APIRouter:
    """The doors ``/healthz``, ``/readyz`` and ``/metrics``."""
    doors = APIRouter()

    @doors.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @doors.get("/readyz", responses={503: {"description": "It takes no session now."}})
    async def readyz() -> JSONResponse:
        """Whether a session would be taken."""
        full = len(rooms) >= rooms.limits.sessions
        state = "draining" if rooms.draining else "full" if full else "ready"
        return JSONResponse({"status": state, "sessions": len(rooms)}, 200 if state == "ready" else 503)

    @doors.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Measurements in Prometheus's text format."""
        return PlainTextResponse(engine.prometheus() + _own(rooms), media_type="text/plain; version=0.0.4")

    return doors


def _own(rooms: Rooms) -> str:
    figures = {
        "mien_serve_sessions": ("gauge", "Sessions that run.", len(rooms)),
        "mien_serve_sessions_limit": ("gauge", "Sessions that may run.", rooms.limits.sessions),
        "mien_serve_peers": ("gauge", "WebRTC connections.", sum(room.peers for room in rooms)),
        "mien_serve_sockets": ("gauge", "WebSockets.", sum(len(room.sockets) for room in rooms)),
        "mien_serve_sessions_opened_total": ("counter", "Sessions begun.", rooms.opened),
        "mien_serve_sessions_failed_total": ("counter", "Sessions that something broke.", rooms.failed),
        "mien_serve_sessions_refused_total": ("counter", "Sessions refused for want of a place.", rooms.refused),
    }
    return "".join(
        f"# HELP {name} {text}\n# TYPE {name} {kind}\n{name} {value}\n" for name, (kind, text, value) in figures.items()
    )
