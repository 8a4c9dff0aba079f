from pathlib import Path

import pytest

from engine.errors import MissingExtraError
from tests.training.corpus.heads.tiny_makehuman import write_tiny_makehuman, write_tiny_pack


@pytest.fixture(scope="session")
def makehuman(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up MakeHuman data folder."""
    return write_tiny_makehuman(tmp_path_factory.mktemp("makehuman"))


@pytest.fixture(scope="session")
def makehuman_pack(makehuman: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a pack, with speech."""
    return write_tiny_pack(makehuman, tmp_path_factory.mktemp("pack") / "heads.pack")


@pytest.fixture(scope="session")
def renderer():
    """A small renderer; skips where nothing can draw."""
    pytest.importorskip("moderngl", reason="moderngl is not installed")
    from training.corpus.heads.gl_renderer import HeadRenderer

    try:
        return HeadRenderer(64)
    except MissingExtraError as error:
        pytest.skip(str(error))
