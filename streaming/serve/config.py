"""How a server is set up."""

import ipaddress
import re
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from engine.artefacts.bundle import RendererName
from engine.backends.devices import Device
from streaming.serve.guard import LOOPBACK
from streaming.serve.media.encoders import VideoCodec

_ICE = re.compile(
    r"(stuns?|turns?):(?:(?P<user>[^:@\s]+):(?P<secret>[^@\s]+)@)?(?P<rest>[\w.\-\[\]:]+(?:\?transport=\w+)?)"
)


class ServeConfig(BaseModel):
    """What ``mien serve`` was asked for.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 for any that is free.
        token: That visitors must show; needed on any address but loopback.
        max_sessions: At once.
        ice_servers: ``stun:host:port`` or ``turn:user:secret@host:port?transport=udp``.
        idle_s: A session in which nobody is ends after this time.
        limit_s: No session is longer.
        origins: Of pages beside our own that may ask; ``*`` for all.
        codec: Of the picture, if the peer takes it.
        probe: Whether time blocks are drawn into the picture; see ``streaming.serve.probe``.
        drain_s: After SIGTERM, how long running sessions may go on.
        bundle: Networks that were trained elsewhere.
        renderer: What draws where a session does not say; by default the bundle's best that there is room for.
        device: What computes; see ``engine.backends.devices``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    token: str | None = Field(None, min_length=8, max_length=256, pattern=r"^[\x21-\x7e]+$")
    max_sessions: int = Field(4, ge=1, le=256)
    ice_servers: tuple[str, ...] = ()
    idle_s: float = Field(60.0, gt=0)
    limit_s: float = Field(4 * 3600.0, gt=0)
    origins: tuple[str, ...] = ()
    codec: VideoCodec = "VP8"
    probe: bool = False
    drain_s: float = Field(10.0, ge=0, le=3600)
    bundle: Path | None = None
    renderer: RendererName | None = None
    device: Device = "cpu"

    @property
    def on_loopback(self) -> bool:
        """Whether nobody but this machine can ask."""
        return is_loopback(self.host)

    @field_validator("ice_servers")
    @classmethod
    def _known_ice(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for server in given:
            if _ICE.fullmatch(server) is None:
                raise ValueError(
                    f"{server!r} is no ICE server: write stun:host:port, or turn:user:secret@host:port?transport=udp"
                )
        return given

    @field_validator("origins")
    @classmethod
    def _known_origins(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for origin in given:
            if origin != "*" and re.fullmatch(r"https?://[\w.\-\[\]]+(:\d+)?", origin) is None:
                raise ValueError(f"{origin!r} is no origin: write https://host or https://host:port, without a path")
        return given

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.token is None and not self.on_loopback:
            raise ValueError(
                f"listening on {self.host} lets others in: set --token, which they must then show, "
                "or listen on 127.0.0.1"
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine alone."""
    if host in LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def split_ice(server: str) -> tuple[str, str | None, str | None]:
    """URL, user name and credential of an ICE server as it is written in ``ServeConfig``."""
    found = _ICE.fullmatch(server)
    assert found is not None
    return f"{found[1]}:{found['rest']}", found["user"], found["secret"]
