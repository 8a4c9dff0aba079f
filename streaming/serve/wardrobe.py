"""The styles that a server offers: those that ship beside the avatars."""

from pathlib import Path
from typing import Final

from engine.artefacts.style import Style, load_style
from engine.lanes import Lane
from streaming.serve.messages import StyleView
from streaming.serve.serve_errors import RequestError
from streaming.styles import PLAIN, STYLES, shipped_styles

NO_STYLE: Final = PLAIN
"""The id of no style."""


class Wardrobe:
    """Styles by id."""

    def __init__(self, lane: Lane, folder: Path = STYLES) -> None:
        """Look where the styles lie; a folder that is not there has none.

        Args:
            lane: Where styles are read.
            folder: Of the styles that ship.
        """
        self._lane = lane
        self._shipped = shipped_styles(folder)
        self._opened: dict[str, Style] = {}

    def views(self) -> list[StyleView]:
        """All there are; the first is none."""
        named = [StyleView(id=key, name=key.replace("_", " ").title()) for key in self._shipped]
        return [StyleView(id=NO_STYLE, name="As taught"), *named]

    async def load(self, key: str) -> Style | None:
        """A style by its id; None for none.

        Raises:
            RequestError: 404: there is no style of that name.
            ArtefactError: It is damaged.
        """
        if key == NO_STYLE:
            return None
        if key not in self._shipped:
            raise RequestError(
                404, f"There is no style of that name; there are {', '.join([NO_STYLE, *self._shipped])}."
            )
        if key not in self._opened:
            self._opened[key] = await self._lane.run(load_style, self._shipped[key])
        return self._opened[key]
