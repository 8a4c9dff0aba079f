from dataclasses import dataclass

import numpy as np
import pytest

from engine.errors import ArtefactError
from engine.snapshot import load_state, save_state, state_arrays


@dataclass(frozen=True)
class Inner:
    frame: int
    flag: bool
    level: float


@dataclass(frozen=True)
class Outer:
    inner: Inner
    network: dict[str, np.ndarray]


@dataclass(frozen=True)
class Empty:
    pass


def outer(frame: int = 0) -> Outer:
    return Outer(Inner(frame, frame > 0, frame / 3), {"hidden": np.full((1, 2), frame, np.float32)})


def test_round_trip_keeps_types_and_values():
    restored = load_state(save_state(outer(2**40)), like=outer())
    assert restored.inner == outer(2**40).inner
    assert type(restored.inner.frame) is int and type(restored.inner.flag) is bool
    np.testing.assert_array_equal(restored.network["hidden"], np.full((1, 2), 2**40, np.float32))


def test_leaves_are_named_by_their_path():
    assert set(state_arrays(outer())) == {"inner.frame", "inner.flag", "inner.level", "network.hidden"}
    assert state_arrays(Empty()) == {}
    assert load_state(save_state(Empty()), like=Empty()) == Empty()


@pytest.mark.parametrize("damage", [b"", b"no zip", None])
def test_damage_is_named(damage):
    data = save_state(outer())[:-30] if damage is None else damage
    with pytest.raises(ArtefactError, match="saved session"):
        load_state(data, like=outer())


def test_another_pipelines_state_is_refused():
    with pytest.raises(ArtefactError, match="another pipeline"):
        load_state(save_state(outer()), like=outer().inner)
    wrong = Outer(outer().inner, {"hidden": np.zeros((1, 2, 3), np.float32)})
    with pytest.raises(ArtefactError, match=r"network\.hidden"):
        load_state(save_state(wrong), like=outer())


def test_pickles_are_not_opened():
    evil = Outer(outer().inner, {"hidden": np.array([object()], dtype=object)})
    with pytest.raises((ArtefactError, ValueError)):
        load_state(save_state(evil), like=outer())
