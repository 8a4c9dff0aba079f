"""Runs a server until it is asked to end: uvicorn on an event loop of its own, and a graceful end.

The first SIGTERM or Ctrl-C begins the end: no new session is taken, those that run may go on for a while, then all are
told and closed. A second one ends them at once.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator

import uvicorn

from engine.errors import OutputError
from streaming.endings import ended_by_signals
from streaming.serve.app import Server, create_server
from streaming.serve.config import ServeConfig

logger = logging.getLogger(__name__)

_BACKLOG = 128
_WS_BYTES = 256 << 10


class _Uvicorn(uvicorn.Server):
    """Leaves the signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured."""
        yield


def _announce(text: str) -> None:
    # Whoever started us may be waiting for it at the other end of a pipe.
    print(text, flush=True)


def run_server(config: ServeConfig, *, say: Callable[[str], None] = _announce) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        config: How.
        say: Told, once, where the server is.

    Raises:
        OutputError: The address cannot be listened on.
    """
    asyncio.run(serve(config, say))


async def serve(
    config: ServeConfig,
    say: Callable[[str], None] = _announce,
    *,
    make: Callable[[ServeConfig], Server] = create_server,
    end: asyncio.Event | None = None,
) -> None:
    """The same, on a running event loop.

    Args:
        config: How.
        say: Told, once, where the server is.
        make: Puts the server together.
        end: Begins the end when it is set, as a signal does.

    Raises:
        OutputError: The address cannot be listened on.
    """
    listener = _listen(config.host, config.port)
    try:
        server, ending = make(config), end or asyncio.Event()
        web = _Uvicorn(
            uvicorn.Config(
                server.app,
                log_level="warning",
                access_log=False,
                ws="websockets-sansio",
                ws_max_size=_WS_BYTES,
                server_header=False,
                timeout_keep_alive=10,
                timeout_graceful_shutdown=5,
                h11_max_incomplete_event_size=64 << 10,
            )
        )

        def on_signal() -> None:
            """Begin the end with the first signal, force it with the second."""
            if ending.is_set():
                web.should_exit = True
            ending.set()

        draining = asyncio.create_task(_drain(server, web, ending), name="mien-drain")
        try:
            with ended_by_signals(on_signal):
                host, port = listener.getsockname()[:2]
                say(f"Mien listens on http://{f'[{host}]' if ':' in host else host}:{port}/ (end it with Ctrl-C)")
                await web.serve([listener])
        finally:
            draining.cancel()
            await asyncio.wait([draining])
            await server.close()
    finally:
        listener.close()


async def _drain(server: Server, web: uvicorn.Server, ending: asyncio.Event) -> None:
    await ending.wait()
    logger.info("the server ends")
    await server.rooms.drain(server.config.drain_s)
    web.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, number)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise OutputError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. Choose another --port."
        ) from error
    return listener
