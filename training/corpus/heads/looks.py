"""What a rendered person wears: skin, eyes, brows, lashes, hair, clothes, teeth, and their colours."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import ArtefactError
from training.corpus.heads.assets import Assets
from training.corpus.heads.identity import Person

Colour = tuple[float, float, float]

_HAIR_COLOURS: Final = (
    (0.012, 0.009, 0.008),
    (0.020, 0.013, 0.010),
    (0.035, 0.018, 0.010),
    (0.060, 0.030, 0.016),
    (0.100, 0.050, 0.024),
    (0.160, 0.090, 0.045),
    (0.280, 0.180, 0.090),
    (0.140, 0.040, 0.018),
)
"""Linear RGB from black to blond, then red."""
_GREY: Final = (0.22, 0.215, 0.21)
_FAIRNESS: Final = (0.86, 0.70, 0.18)
"""Mean of ``identity.ANCESTRIES``."""
_SKIN_COLOURS: Final = (
    (0.0, (0.085, 0.043, 0.028)),
    (0.35, (0.210, 0.115, 0.075)),
    (0.7, (0.430, 0.270, 0.190)),
    (1.0, (0.660, 0.450, 0.345)),
)
_COVERS_EYE: Final = ("bob01", "bob02", "short03")
"""Hair of the MakeHuman release that hangs over an eye."""
_LIGHT_BROWS: Final = ("eyebrow001", "eyebrow008", "eyebrow009", "eyebrow010", "eyebrow012", "eyebrow004", "eyebrow006")
"""Brows that let a face look friendly; the others are drawn less often."""
_DARK_EYES: Final = ("brown", "brownlight")


@dataclass(frozen=True)
class Look:
    """All that is not shape. Names are those of files in the data; colours are linear RGB factors.

    Attributes:
        skin: Material (.mhmat).
        skin_colour: Mean colour that its texture is brought to.
        fairness: 0 dark to 1 fair, for the exposure.
        bump: Depth of pores.
        mottling: Unevenness of colour.
        roughness: Of the skin's gloss.
        lip_tint: On the lips.
        stubble: 0 shaven to 1.
        eye: Material.
        eye_tint: On the eyeball.
        brow: Proxy (.mhclo), or None.
        brow_density: Of its hairs.
        lash: Proxy, or None.
        lash_density: Of its hairs.
        hair: Proxy, or None for none.
        hair_tint: Linear RGB.
        hair_sheen: Exponent of its gloss.
        cloth: Proxy, or None.
        cloth_kept: Share of its own colours, 0 to 1.
        cloth_tint: On its texture.
        teeth: Proxy.
        teeth_tint: On the enamel.
    """

    skin: str
    skin_colour: Colour
    fairness: float
    bump: float
    mottling: float
    roughness: float
    lip_tint: Colour
    stubble: float
    eye: str
    eye_tint: Colour
    brow: str | None
    brow_density: float
    lash: str | None
    lash_density: float
    hair: str | None
    hair_tint: Colour
    hair_sheen: float
    cloth: str | None
    cloth_kept: float
    cloth_tint: Colour
    teeth: str
    teeth_tint: Colour


def draw_look(rng: np.random.Generator, person: Person, assets: Assets) -> Look:
    """A random look that goes with a person.

    Raises:
        ArtefactError: The data holds no skin, no eyes or no teeth.
    """
    male = person.male >= 0.5
    dark_hair = person.ancestry[1] + person.ancestry[2] > 0.55
    hair = np.array(_HAIR_COLOURS[int(rng.integers(0, 3 if dark_hair else len(_HAIR_COLOURS)))])
    if person.age > 0.55 and rng.random() < 0.7:
        hair = np.array(_GREY) * rng.uniform(0.4, 1.3)
    fairness = float(np.clip(np.dot(person.ancestry, _FAIRNESS) + rng.normal(0, 0.10), 0, 1))
    lip = np.array([0.97, 0.82, 0.82]) if male else np.array([0.95, rng.uniform(0.5, 0.78), rng.uniform(0.55, 0.78)])
    return Look(
        skin=_skin(rng, person, assets),
        skin_colour=_colour(skin_colour(fairness) * (1 + rng.normal(0, 0.03, 3))),
        fairness=fairness,
        bump=float(rng.uniform(0.18, 0.42)),
        mottling=float(rng.uniform(0.2, 0.55) * (0.5 if person.ancestry[2] > 0.5 else 1)),
        roughness=float(rng.uniform(0.40, 0.60)),
        lip_tint=_colour(lip * (1 + rng.normal(0, 0.03, 3))),
        stubble=float(rng.uniform(0.1, 1.0)) if male and rng.random() < 0.6 else 0.0,
        eye=_eye(rng, dark_hair, assets),
        eye_tint=_colour(np.array([0.80, 0.76, 0.72]) * rng.uniform(0.9, 1.08)),
        brow=_brow(rng, assets),
        brow_density=float(rng.uniform(0.75, 1.0)),
        lash=_one(rng, assets.names("eyelashes/", ".mhclo")),
        lash_density=float(rng.uniform(0.35, 0.7) if male else rng.uniform(0.7, 1.0)),
        hair=_hair(rng, person, assets),
        hair_tint=_colour(hair * rng.uniform(0.85, 1.2)),
        hair_sheen=float(rng.uniform(30, 90)),
        cloth=_cloth(rng, male, assets),
        cloth_kept=float(rng.choice([0.0, 0.2, 0.6, 1.0])),
        cloth_tint=_colour(rng.uniform(0.25, 1.2, 3) * np.exp(rng.uniform(-0.6, 0.6))),
        teeth=_required(rng, assets, "teeth/", "teeth"),
        teeth_tint=_colour(np.array([0.80, 0.755, 0.67]) * rng.uniform(0.85, 1.08) * (1 + rng.normal(0, 0.03, 3))),
    )


def neutral_look(person: Person, assets: Assets) -> Look:
    """The canonical neutral person's: bald, brown eyes, even skin.

    Raises:
        ArtefactError: The data holds no skin, no eyes or no teeth.
    """
    rng = np.random.default_rng(0)
    look = draw_look(rng, person, assets)
    values = {
        **look.__dict__,
        "hair": None,
        "stubble": 0.0,
        "bump": 0.2,
        "mottling": 0.2,
    }
    return Look(**values)


def skin_colour(fairness: float) -> NDArray[np.float64]:
    """Mean linear RGB (3,) of skin from dark (0) to fair (1).

    The MakeHuman textures of dark skin are far more saturated than skin is: red is six times green in one of them.
    """
    steps = [step for step, _ in _SKIN_COLOURS]
    return np.array([np.interp(fairness, steps, [colour[k] for _, colour in _SKIN_COLOURS]) for k in range(3)])


def _skin(rng: np.random.Generator, person: Person, assets: Assets) -> str:
    age = ("young", "middleage", "old")[min(2, int(person.age * 3))]
    folder = f"skins/{age}_{person.main_ancestry}_{'male' if person.male >= 0.5 else 'female'}/"
    fitting = [name for name in assets.names(folder, ".mhmat") if "special" not in name]
    chosen = _one(rng, fitting or assets.names("skins/", ".mhmat"))
    if chosen is None:
        raise ArtefactError(f"{assets.path} holds no skins/*.mhmat; see docs/heads.md for what it needs.")
    return chosen


def _eye(rng: np.random.Generator, dark: bool, assets: Assets) -> str:
    names = assets.names("eyes/materials/", ".mhmat")
    brown = [name for name in names if name.rsplit("/", 1)[1].removesuffix(".mhmat") in _DARK_EYES]
    chosen = _one(rng, brown if dark and brown else names)
    if chosen is None:
        raise ArtefactError(f"{assets.path} holds no eyes/materials/*.mhmat; see docs/heads.md for what it needs.")
    return chosen


def _brow(rng: np.random.Generator, assets: Assets) -> str | None:
    names = assets.names("eyebrows/", ".mhclo")
    friendly = [name for name in names if name.split("/")[1] in _LIGHT_BROWS]
    return _one(rng, friendly if friendly and rng.random() < 0.85 else names)


def _hair(rng: np.random.Generator, person: Person, assets: Assets) -> str | None:
    names = {name.split("/")[1]: name for name in assets.names("hair/", ".mhclo")}
    wanted = {name: 1.0 for name in names if name not in _COVERS_EYE}
    male = person.male >= 0.5
    for name in wanted:
        if name.startswith("short"):
            wanted[name] = 1.6 if male else 0.6
        elif name.startswith("afro"):
            wanted[name] = 1.5 if person.ancestry[2] > 0.4 else 0.1
        elif male:
            wanted[name] = 0.15
    bald = (0.35 if person.age > 0.4 else 0.15) if male else 0.02
    if not wanted or rng.random() < bald:
        return None
    weights = np.array(list(wanted.values()))
    return names[list(wanted)[int(rng.choice(len(wanted), p=weights / weights.sum()))]]


def _cloth(rng: np.random.Generator, male: bool, assets: Assets) -> str | None:
    names = assets.names("clothes/", ".mhclo")
    side = [name for name in names if name.startswith("clothes/male" if male else "clothes/female")]
    return _one(rng, side or names)


def _required(rng: np.random.Generator, assets: Assets, folder: str, what: str) -> str:
    chosen = _one(rng, assets.names(folder, ".mhclo"))
    if chosen is None:
        raise ArtefactError(f"{assets.path} holds no {what} ({folder}*/*.mhclo); see docs/heads.md for what it needs.")
    return chosen


def _one(rng: np.random.Generator, names: list[str]) -> str | None:
    return names[int(rng.integers(len(names)))] if names else None


def _colour(values: NDArray[np.float64]) -> Colour:
    red, green, blue = (float(max(value, 0.0)) for value in values)
    return red, green, blue
