from dataclasses import replace
from pathlib import Path

import pytest

from engine.backends.cards import Card
from engine.backends.engine_cache import Recipe, cache_folder, engine_key, graph_digest, timing_key

CARD = Card("NVIDIA H200", "580.159.03", 143771, "9.0")
RECIPE = Recipe(graph_digest(b"graph"), "fp16", (1, 8, 32))
VERSIONS = {"tensorrt": "10.13", "onnxruntime-gpu": "1.31"}


def test_key_is_the_same_for_the_same():
    key = engine_key(RECIPE, CARD, VERSIONS)
    assert key == engine_key(replace(RECIPE), replace(CARD), dict(reversed(VERSIONS.items())))
    assert key == "ccb2bb4de208de038611cad9", "engines of earlier sessions would be built again"


@pytest.mark.parametrize(
    ("recipe", "card", "versions"),
    [
        (replace(RECIPE, graph_sha256=graph_digest(b"other")), CARD, VERSIONS),
        (replace(RECIPE, precision="fp32"), CARD, VERSIONS),
        (replace(RECIPE, batches=(1, 8, 16)), CARD, VERSIONS),
        (replace(RECIPE, options=(("workspace_mb", "4096"),)), CARD, VERSIONS),
        (RECIPE, replace(CARD, name="NVIDIA H100"), VERSIONS),
        (RECIPE, replace(CARD, driver="580.159.04"), VERSIONS),
        (RECIPE, replace(CARD, capability="8.9"), VERSIONS),
        (RECIPE, CARD, {**VERSIONS, "tensorrt": "10.14"}),
        (RECIPE, CARD, {"tensorrt": "10.13"}),
    ],
)
def test_whatever_an_engine_depends_on_changes_its_key(recipe, card, versions):
    assert engine_key(recipe, card, versions) != engine_key(RECIPE, CARD, VERSIONS)


def test_timings_are_for_all_graphs_and_drivers_of_a_card():
    assert timing_key(CARD, VERSIONS) == timing_key(replace(CARD, driver="1"), VERSIONS)
    assert timing_key(CARD, VERSIONS) != timing_key(replace(CARD, name="NVIDIA L4"), VERSIONS)


def test_folder():
    assert cache_folder({"MIEN_ENGINE_CACHE": "e", "HOME": "h"}) == Path("e")
    assert cache_folder({"XDG_CACHE_HOME": "c", "HOME": "h"}) == Path("c/mien/engines")
    assert cache_folder({"HOME": "h"}) == Path("h/.cache/mien/engines")
