"""The server: an engine, its sessions, and the doors to them.

``create_app`` puts it together; ``streaming.serve.cli`` runs it. The doors:

======================================  ==============================================================================
``/``                                   the page
``/healthz``, ``/readyz``, ``/metrics``  for whoever watches over the server
``/api/avatars``, ``/api/sessions``      see ``rest_doors``
``/whip/{session}``, ``/whep/{session}``  see ``whip_doors``
``/ws/{session}``                        see ``socket_door``
``/ws/{session}/pictures``               see ``picture_doors``
``/desk``, ``/obs``                      the pages of ``mien live``
``/points``                              the page where an avatar's points are corrected, and ``points_doors``
======================================  ==============================================================================
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from engine.clock import Clock, MonotonicClock
from engine.engine import Engine
from engine.errors import MienError
from engine.lanes import ThreadLane
from engine.scheduling import Role
from streaming.serve import picture_doors, points_doors, rest_doors, socket_doors, watch_doors, whip_doors
from streaming.serve.config import ServeConfig, split_ice
from streaming.serve.gallery import Gallery
from streaming.serve.guard import FAULT, LOOPBACK, Doors, Guard
from streaming.serve.peers import IceServer
from streaming.serve.probe import Probe
from streaming.serve.rooms import RoomLimits, Rooms
from streaming.serve.serve_errors import status_of
from streaming.serve.throttle import Rate
from streaming.serve.wardrobe import Wardrobe
from streaming.styles import shipped_styles

logger = logging.getLogger(__name__)

PAGE: Final = Path(__file__).parent / "page"
_CALL_CORES: Final = 0.2
"""What a call takes beside its session at 25 to 30 fps: pictures coded in 4 ms, sound, encryption, packets."""
_ENCODERS: Final = 2


@dataclass
class Server:
    """What a running server holds; there from its start to its end.

    Attributes:
        config: As it was set up.
        clock: The engine's.
        engine: Opens sessions.
        rooms: The sessions.
        app: The guarded application.
    """

    config: ServeConfig
    clock: Clock
    engine: Engine
    rooms: Rooms
    lanes: tuple[ThreadLane, ...]
    app: Guard = field(init=False)

    async def close(self) -> None:
        """End everything; closing twice is legal."""
        await self.rooms.close_all()
        await self.engine.close()
        for lane in self.lanes:
            lane.close()


def create_server(
    config: ServeConfig,
    *,
    make_engine: Callable[[Clock], Engine] | None = None,
    clock: Clock | None = None,
    requests: Rate | None = None,
    costly: Rate | None = None,
    page: Path = PAGE,
) -> Server:
    """Put a server together; ``Server.app`` is the ASGI application.

    Args:
        config: How.
        make_engine: Gives the engine; by default one on the shipped networks.
        clock: The time; by default the machine's.
        requests: Another limit on how often one address may ask.
        costly: Another limit on what takes seconds.
        page: Where the page lies.
    """
    time = clock or MonotonicClock()
    # Encoding goes before drawing: a picture that is coded is due now, one that is drawn is not.
    encoding = ThreadLane("mien-encode", _ENCODERS, role=Role.MOVES)
    reading = ThreadLane("mien-gallery", 2)
    engine = make_engine(time) if make_engine is not None else _engine(config, time)
    rooms = Rooms(
        engine,
        Gallery(reading),
        Wardrobe(reading),
        RoomLimits(sessions=config.max_sessions, idle_s=config.idle_s, total_s=config.limit_s),
        clock=time,
        lane=encoding,
        ice_servers=tuple(IceServer(*split_ice(server)) for server in config.ice_servers),
        codec=config.codec,
        retouch=Probe if config.probe else None,
    )
    server = Server(config, time, engine, rooms, (encoding, reading))
    usual = Doors()
    doors = Doors(
        token=config.token,
        origins=frozenset(config.origins),
        hosts=LOOPBACK | {config.host} if config.token is None else frozenset(),
        requests=requests or usual.requests,
        costly=costly or usual.costly,
    )

    def session_token(name: str) -> str | None:
        return next((room.token for room in rooms if room.id == name), None)

    server.app = Guard(_application(server, page), doors, time, session_token)
    return server


def _engine(config: ServeConfig, clock: Clock) -> Engine:
    from engine.artefacts.bundle import load_bundle

    bundle = None if config.bundle is None else load_bundle(config.bundle)
    return Engine(
        bundle,
        clock=clock,
        renderer=config.renderer,
        device=config.device,
        styles=list(shipped_styles().values()),
        beside=_CALL_CORES,
    )


def _application(server: Server, page: Path) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await server.close()

    # The pages that describe the API load their scripts from elsewhere, which the content security policy forbids.
    app = FastAPI(title="Mien", docs_url=None, redoc_url=None, lifespan=lifespan, version="1")
    app.add_exception_handler(MienError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_body)
    app.add_exception_handler(HTTPException, _refuse_route)
    app.add_exception_handler(Exception, _fail)
    app.include_router(watch_doors.router(server.engine, server.rooms))
    app.include_router(rest_doors.router(server.rooms, with_token=server.config.token is not None))
    app.include_router(points_doors.router(server.rooms, with_token=server.config.token is not None))
    app.include_router(whip_doors.router(server.rooms, server.config.ice_servers))
    app.include_router(picture_doors.router(server.rooms, server.lanes[0]))
    app.include_router(socket_doors.router(server.rooms, server.clock))
    if page.is_dir():
        for name in ("desk", "obs", "points"):
            app.add_api_route(f"/{name}", _page(page / f"{name}.html"), include_in_schema=False)
        app.mount("/", StaticFiles(directory=page, html=True), name="page")
    return app


def _page(path: Path) -> Callable[[], FileResponse]:
    def show() -> FileResponse:
        return FileResponse(path)

    return show


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, MienError)
    status, headers = status_of(error)
    if status >= 500:
        logger.warning("%s %s: %s", request.method, request.url.path, error)
    return JSONResponse({"message": str(error)}, status, headers)


async def _refuse_body(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    return JSONResponse({"message": f"{place}: {first['msg']}." if place else f"{first['msg']}."}, 422)


async def _fail(request: Request, error: Exception) -> JSONResponse:
    """A fault of ours, which the guard logs."""
    return JSONResponse({"message": FAULT}, 500)


async def _refuse_route(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"message": f"{error.detail}."}, error.status_code, error.headers)
