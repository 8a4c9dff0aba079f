"""Light on a head: a key that casts shadows, a fill, a rim, and what comes from sky and ground."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.spec import EYE_MIDPOINT

Vector = NDArray[np.float32]
_SHADOW_RADIUS: Final = 2.7
"""fu around the face that the key's shadows cover."""


@dataclass(frozen=True)
class Light:
    """All light of a scene; directions point to the light, in world face coordinates, colours are linear.

    Attributes:
        key_to: float32 (3,) unit.
        key: float32 (3,) RGB.
        fill_to: float32 (3,) unit.
        fill: float32 (3,) RGB.
        rim_to: float32 (3,) unit.
        rim: float32 (3,) RGB.
        above: float32 (3,) RGB from the sky.
        below: float32 (3,) RGB from the ground.
        softness: Of the key's shadows, as a share of the shadow map.
    """

    key_to: Vector
    key: Vector
    fill_to: Vector
    fill: Vector
    rim_to: Vector
    rim: Vector
    above: Vector
    below: Vector
    softness: float

    def uniforms(self) -> dict[str, Vector]:
        """The vectors by the names that the shaders use."""
        names = ("key_to", "key", "fill_to", "fill", "rim_to", "rim", "above", "below")
        return {name: getattr(self, name) for name in names}


def towards(azimuth_deg: float, elevation_deg: float) -> Vector:
    """Unit vector to a light: 0, 0 is at the camera, positive azimuth to the picture's right, elevation upwards."""
    azimuth, elevation = np.radians((azimuth_deg, elevation_deg))
    flat = np.cos(elevation)
    return np.array([np.sin(azimuth) * flat, -np.sin(elevation), -np.cos(azimuth) * flat], np.float32)


def shadow_view(direction: Vector) -> NDArray[np.float32]:
    """World to the clip coordinates of the key's shadow map, float32 (4, 4)."""
    centre = np.array(EYE_MIDPOINT, np.float32) + np.array([0, 0.8, 0.8], np.float32)
    return parallel_view(direction, centre, _SHADOW_RADIUS)


def parallel_view(direction: Vector, centre: Vector, radius: float) -> NDArray[np.float32]:
    """World to clip coordinates seen from ``direction`` without perspective, float32 (4, 4).

    Args:
        direction: float32 (3,) unit, from the centre to the eye.
        centre: float32 (3,), in the middle.
        radius: Half the width that is seen; the depth reaches three of it before and behind.
    """
    helper = np.array([0.0, 1.0, 0.013]) if abs(direction[1]) < 0.95 else np.array([0.0, 0.0, 1.0])
    right = np.cross(direction, helper)
    right /= np.linalg.norm(right)
    down = np.cross(direction, right)
    view = np.eye(4)
    for row, (axis, reach) in enumerate(((right, radius), (down, radius), (-direction, 3 * radius))):
        view[row, :3] = axis / reach
        view[row, 3] = -float(axis @ centre) / reach
    return view.astype(np.float32)


def draw_light(rng: np.random.Generator) -> Light:
    """Random light: mostly a window or a lamp from the side, now and then flat from the front or hard."""
    manner = rng.choice(["soft", "side", "front", "hard"], p=[0.45, 0.2, 0.2, 0.15])
    side = float(rng.choice([-1, 1]))
    azimuth, elevation, strength, ambient, fill, softness = {
        "soft": (rng.uniform(10, 60), rng.uniform(15, 50), rng.uniform(0.9, 1.6), 0.50, 0.45, 0.016),
        "side": (rng.uniform(55, 95), rng.uniform(5, 40), rng.uniform(1.3, 2.2), 0.32, 0.30, 0.012),
        "front": (rng.uniform(0, 20), rng.uniform(5, 30), rng.uniform(0.6, 1.2), 0.65, 0.35, 0.020),
        "hard": (rng.uniform(15, 65), rng.uniform(25, 65), rng.uniform(1.8, 2.6), 0.35, 0.20, 0.004),
    }[str(manner)]
    warm = rng.uniform(-0.14, 0.16)
    ambient *= rng.uniform(0.7, 1.3)
    tone = _colour(rng)
    rim = rng.uniform(0, 1.2) * float(rng.random() < 0.6)
    return Light(
        key_to=towards(side * azimuth, elevation),
        key=_rgb((1 + warm, 1, 1 - warm), strength),
        fill_to=towards(-side * azimuth * 0.8 + rng.uniform(-20, 20), rng.uniform(0, 20)),
        fill=_rgb((1 - 0.6 * warm, 1, 1 + 0.6 * warm), fill * rng.uniform(0.5, 1.4)),
        rim_to=towards(180 - float(rng.choice([-1, 1])) * rng.uniform(25, 60), rng.uniform(15, 45)),
        rim=_rgb((1 + rng.normal(0, 0.1), 1, 1 + rng.normal(0, 0.1)), rim),
        above=_rgb(np.array([1, 1.01, 1.04]) * tone, ambient),
        below=_rgb(np.array([0.95, 0.86, 0.8]) * tone, 0.6 * ambient),
        softness=float(softness),
    )


def studio_light() -> Light:
    """Plain soft light from above and beside the camera: that of the canonical neutral person."""
    return Light(
        key_to=towards(-28, 28),
        key=_rgb((1.02, 1, 0.98), 1.1),
        fill_to=towards(35, 8),
        fill=_rgb((0.98, 1, 1.02), 0.45),
        rim_to=towards(150, 30),
        rim=_rgb((1, 1, 1), 0.4),
        above=_rgb((1, 1.01, 1.03), 0.5),
        below=_rgb((0.95, 0.9, 0.86), 0.3),
        softness=0.016,
    )


def _colour(rng: np.random.Generator) -> NDArray[np.float64]:
    """A tint near white; one scene in eight has a coloured surrounding."""
    return 1 + rng.normal(0, 0.12 if rng.random() < 0.12 else 0.025, 3)


def _rgb(colour: "NDArray[np.float64] | tuple[float, float, float]", strength: float) -> Vector:
    return (np.maximum(np.asarray(colour, np.float64), 0.02) * strength).astype(np.float32)
