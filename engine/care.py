"""How carefully a picture is drawn: what an overloaded session gives up, step by step."""

from enum import IntEnum


class Care(IntEnum):
    """From the most to the least work, with the same geometry.

    Attributes:
        FULL: All that the session's renderer does.
        PLAIN: Without the network that refines the picture, where there is one.
        ECONOMY: And all but mouth and eyes at half resolution.
    """

    FULL = 0
    PLAIN = 1
    ECONOMY = 2
