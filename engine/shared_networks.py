"""The trained networks that all sessions of an engine share: opened when first needed, once."""

import logging
from collections.abc import Sequence
from pathlib import Path

from engine.artefacts.avatar import Avatar
from engine.artefacts.bundle import Bundle, load_bundle, pick_renderer
from engine.artefacts.picture_network import PictureNetwork
from engine.artefacts.style import Style, load_style
from engine.backend import Networks
from engine.backends.opening import network_opener, open_networks_on, resolve
from engine.backends.painter import open_painter
from engine.card_room import CardRoom
from engine.drawing import Drawing
from engine.errors import ArtefactError
from engine.lanes import FrameRenderer
from engine.pipeline import Observer, Pipeline, open_manifold
from engine.stages.manifold import Manifold
from engine.stages.style_mix import OpenStyle
from engine.styles import Wardrobe

logger = logging.getLogger(__name__)


class SharedNetworks:
    """A bundle, opened piece by piece. It belongs to one thread."""

    def __init__(self, bundle: Bundle | None, device: str = "cpu", offered: Sequence[Style | Path] = ()) -> None:
        """Prepare.

        Args:
            bundle: The networks; by default those that ship, which are read when they are needed.
            device: What shall compute, as ``engine.backends.devices`` names it; looked for when it is needed.
            offered: Styles that are opened with the first networks, and stay open.
        """
        self._bundle, self._wanted = bundle, device
        self._offered = offered
        self._kept: list[OpenStyle] = []
        self._device: str | None = None
        self._opened: tuple[Networks, Manifold] | None = None
        self._rooms: dict[str | None, CardRoom] = {}
        self._wardrobe: Wardrobe | None = None

    def pipeline(self, avatar: Avatar, lookahead: int, seed: int, observe: Observer) -> Pipeline:
        """The signal path of one person; see ``engine.pipeline.Pipeline``."""
        bundle = self._open()
        if self._opened is None:
            self._opened = open_networks_on(self._on(), bundle), open_manifold(bundle)
            self._open_offered()
        networks, manifold = self._opened
        return Pipeline(bundle, avatar, lookahead, seed, networks=networks, manifold=manifold, observer=observe)

    def style(self, style: Style | Path | None) -> OpenStyle | None:
        """A style ready to run, shared with those who wear it already.

        Raises:
            ArtefactError: It cannot be read, or belongs to another bundle.
        """
        if style is None:
            return None
        if self._wardrobe is None:
            self._wardrobe = Wardrobe(self._open(), network_opener(self._on()))
        return self._wardrobe.open(load_style(style) if isinstance(style, Path) else style)

    def renderer(self, name: str | None) -> PictureNetwork | None:
        """What refines pictures; see ``engine.artefacts.bundle.pick_renderer``.

        Raises:
            ConfigError: The bundle does not hold it.
        """
        return pick_renderer(self._open(), name)

    def on_card(self, drawing: Drawing, transparent: bool) -> FrameRenderer | None:
        """What draws a session's frames on a graphics card; None where they are drawn on the processor.

        A person alone, without a background, is drawn there in any case.

        Raises:
            CapacityError: No more portraits fit on the card.
        """
        device = self._on()
        if device == "cpu" or transparent:
            return None
        network = drawing.network
        name = None if network is None else network.name
        if name not in self._rooms:
            self._rooms[name] = CardRoom(open_painter(device, network), network)
        return self._rooms[name].renderer(drawing.avatar, drawing.patterns)

    def close(self) -> None:
        """End the threads that draw on a card; closing twice is legal."""
        for room in self._rooms.values():
            room.close()

    def _open_offered(self) -> None:
        """Open the offered styles; one that cannot be worn is named in the log, and refused to whoever puts it on."""
        for style in self._offered:
            try:
                found = self.style(style)
            except ArtefactError as error:
                logger.warning("a style cannot be worn: %s", error)
            else:
                assert found is not None
                self._kept.append(found)

    def _on(self) -> str:
        """What computes."""
        if self._device is None:
            self._device = resolve(self._wanted).device
        return self._device

    def _open(self) -> Bundle:
        if self._bundle is None:
            self._bundle = load_bundle()
        return self._bundle
