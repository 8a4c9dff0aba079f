"""Settings and fixtures of every test.

Property tests are judged by what they find, never by how long a loaded machine takes.
"""

from pathlib import Path

import pytest
from hypothesis import settings

from engine.artefacts.bundle import Bundle, load_bundle, save_bundle
from tests.bundles import random_trained

settings.register_profile("mien", deadline=None, max_examples=50)
settings.load_profile("mien")


@pytest.fixture(scope="session")
def random_bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved bundle with random weights; skips where torch is not installed."""
    trained = random_trained()
    from export.bundle import build_bundle

    folder = tmp_path_factory.mktemp("bundle")
    save_bundle(build_bundle(trained), folder)
    return folder


@pytest.fixture(scope="session")
def random_bundle(random_bundle_folder: Path) -> Bundle:
    """The same, loaded."""
    return load_bundle(random_bundle_folder)
