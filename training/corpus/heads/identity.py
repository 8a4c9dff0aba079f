"""Who a rendered person is: ancestry, sex, age, build and the local shape of the face."""

import re
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.corpus.heads.targets import Targets

ANCESTRIES: Final = ("caucasian", "asian", "african")
_LOCAL: Final = {
    "head": 0.25,
    "eyes": 0.28,
    "nose": 0.40,
    "mouth": 0.30,
    "chin": 0.35,
    "cheek": 0.40,
    "ears": 0.40,
    "forehead": 0.22,
    "eyebrows": 0.25,
    "neck": 0.15,
}
"""How far the local targets of a folder are taken, at one deviation."""
_LEFT_OUT: Final = re.compile("trans-in|trans-out|pointed|head-angle|brows-(angle|trans)-down")
"""Targets that move a part to one side, that nobody looks like, or that make every other face look angry."""
_ASYMMETRY: Final = 0.12


@dataclass(frozen=True)
class Person:
    """The choices that make an identity.

    Attributes:
        male: 0 female to 1 male.
        age: 0 (25 years) to 1 (90).
        ancestry: Shares of ``ANCESTRIES``, sum 1.
        muscle: -1 to 1.
        weight: -1 to 1.
        local: Target name -> weight.
        teeth_show: How far the upper teeth reach below the edge of the resting upper lip, decimetres.
    """

    male: float
    age: float
    ancestry: tuple[float, float, float]
    muscle: float
    weight: float
    local: dict[str, float]
    teeth_show: float = 0.025

    @property
    def main_ancestry(self) -> str:
        """The largest share's name."""
        return ANCESTRIES[int(np.argmax(self.ancestry))]


def average_person() -> Person:
    """Nobody in particular: between sexes and ancestries, young, of average build; the canonical neutral identity."""
    return Person(0.5, 0.15, (1 / 3, 1 / 3, 1 / 3), 0.0, 0.0, {})


def draw_person(rng: np.random.Generator, targets: Targets) -> Person:
    """A random person.

    Args:
        rng: Draws everything.
        targets: Which local shapes there are.
    """
    male = float(rng.random() < 0.5) if rng.random() < 0.85 else float(rng.random())
    shares = rng.dirichlet([0.4] * 3)
    local: dict[str, float] = {}
    sizes: dict[tuple[str, str], float] = {}
    for folder, amount in _LOCAL.items():
        for name in targets.names(folder):
            # Both sides of a face take the same draw.
            plain = re.sub(r"^[lr]-", "", name.split("/")[1])
            if (folder, plain) not in sizes:
                sizes[folder, plain] = min(max(0.0, rng.normal()), 1.6) * float(rng.random() < 0.5)
            if not _LEFT_OUT.search(plain) and sizes[folder, plain]:
                local[name] = amount * sizes[folder, plain]
    for name in targets.names("asym"):
        size = abs(rng.normal()) * float(rng.random() < 0.3)
        if size and "breast" not in name and "trunk" not in name:
            local[name] = _ASYMMETRY * size
    return Person(
        male=male,
        age=float(np.clip(rng.beta(1.1, 2.0), 0, 1)),
        ancestry=(float(shares[0]), float(shares[1]), float(shares[2])),
        muscle=float(np.clip(rng.normal(0, 0.35), -1, 1)),
        weight=float(np.clip(rng.normal(0, 0.4), -1, 1)),
        local=local,
        teeth_show=float(np.clip(rng.normal(0.025, 0.012), 0.0, 0.05)),
    )


def shape_person(base: NDArray[np.float32], person: Person, targets: Targets) -> NDArray[np.float32]:
    """The base mesh as that person, neutral.

    Args:
        base: float32 (V, 3) decimetres.
        person: The choices.
        targets: Where the shapes come from.

    Returns:
        float32 (V, 3) decimetres.

    Raises:
        ArtefactError: A target is missing or damaged.
    """
    points = base.copy()
    sexes = {"male": person.male, "female": 1 - person.male}
    ages = {"young": 1 - person.age, "old": person.age}
    for (sex, of_sex), (age, of_age) in product(sexes.items(), ages.items()):
        share = of_sex * of_age
        for ancestry, part in zip(ANCESTRIES, person.ancestry, strict=True):
            targets.add(points, f"macrodetails/{ancestry}-{sex}-{age}", share * part)
        for (muscle, of_muscle), (weight, of_weight) in product(
            _thirds(person.muscle).items(), _thirds(person.weight).items()
        ):
            name = f"macrodetails/universal-{sex}-{age}-{muscle}muscle-{weight}weight"
            targets.add(points, name, share * of_muscle * of_weight)
        ideal = f"macrodetails/proportions/{sex}-{age}-averagemuscle-averageweight-idealproportions"
        targets.add(points, ideal, 0.5 * share)
    for target, amount in person.local.items():
        targets.add(points, target, amount)
    # MakeHuman's upper teeth end at the lip's edge, so that no open mouth shows them, and its tongue fills the mouth.
    return points


def _thirds(value: float) -> dict[str, float]:
    """-1..1 as weights of MakeHuman's three steps."""
    return {"max": max(value, 0.0), "min": max(-value, 0.0), "average": 1 - abs(value)}
