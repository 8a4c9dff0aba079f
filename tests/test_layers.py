"""The layers of the house, read from its imports (STYLE 1, 2, 3, 5)."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What the modules of a package may import from the house, low to high. An import never runs the other way.
MAY_IMPORT = {
    "models.spec": (),
    "models": ("models",),
    "engine": ("engine", "models.spec"),
    "streaming": ("streaming", "engine", "models.spec"),
    "export": ("export", "engine", "models"),
    "training": ("training", "engine", "models"),
    "benchmarks": ("benchmarks", "training", "export", "streaming", "engine", "models"),
}
PACKAGES = tuple(name for name in MAY_IMPORT if "." not in name)

# Where a library may be imported at run time: one or two places each.
DOORS = {
    "torch": ("models/", "training/", "export/", "benchmarks/"),
    "onnxruntime": (
        "engine/backend_onnx.py",
        "engine/backends/ort_graph.py",
        "engine/portrait/face_models.py",
        "export/",
        "training/",
        "benchmarks/quality/networks.py",
    ),
    "av": (
        "streaming/media_in.py",
        "streaming/media_out",
        "streaming/media_writer.py",
        "streaming/serve/media/",
        "benchmarks/",
        "training/",
    ),
    "cv2": ("engine/images.py", "engine/renderer/pixels.py", "engine/portrait/", "benchmarks/", "training/"),
    "tensorrt": ("engine/",),
    "aiortc": ("streaming/", "benchmarks/calls_bench.py"),
    "sounddevice": ("streaming/live/portaudio.py",),
    "moderngl": ("training/",),
    "pygame": ("streaming/live/window_process.py",),
    "pyvirtualcam": ("streaming/live/camera.py",),
    "platformdirs": ("streaming/live/live_config.py",),
    "tomli_w": ("streaming/live/live_config.py",),
    "playwright": ("benchmarks/",),
    "httpx": ("streaming/bots/", "benchmarks/calls_bench.py"),
    "livekit": ("streaming/bots/livekit_avatar.py",),
    "pipecat": ("streaming/bots/pipecat_avatar.py",),
    "ray": ("streaming/",),
    "rich": ("streaming/", "training/", "benchmarks/"),
    "typer": (
        "streaming/cli",
        "streaming/serve/cli.py",
        "streaming/bots/cli.py",
        "streaming/live/cli.py",
        "training/cli.py",
        "training/style_cli.py",
        "benchmarks/cli.py",
        "benchmarks/bench_cli.py",
        "benchmarks/renderer_cli.py",
        "benchmarks/style_cli.py",
        "export/cli.py",
    ),
}


def modules() -> Iterator[tuple[str, Path]]:
    """Dotted name and path of every module of the house."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Everything that a file imports, dotted, with its line; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def within(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == layer or name.startswith(f"{layer}.") for layer in allowed)


def test_no_import_runs_up() -> None:
    breaches = []
    for module, path in modules():
        allowed = MAY_IMPORT.get(module, MAY_IMPORT[module.split(".")[0]])
        for name, line in imports(path):
            if name.split(".")[0] in (*PACKAGES, "tests") and not within(name, allowed):
                breaches.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert breaches == []


def test_each_library_has_its_doors() -> None:
    breaches = []
    for _, path in modules():
        place = path.relative_to(ROOT).as_posix()
        for name, line in imports(path):
            doors = DOORS.get(name.split(".")[0])
            if doors is not None and not place.startswith(doors):
                breaches.append(f"{place}:{line} imports {name}")
    assert breaches == []


def test_spec_needs_the_standard_library_alone() -> None:
    used = {name.split(".")[0] for name, _ in imports(ROOT / "models" / "spec.py")}
    assert used <= set(sys.stdlib_module_names)


def test_packages_do_nothing_when_imported() -> None:
    full = [path for package in PACKAGES for path in (ROOT / package).rglob("__init__.py") if path.read_text().strip()]
    assert full == []


def test_no_module_takes_the_name_of_another_library() -> None:
    taken = set(sys.stdlib_module_names) | set(DOORS) | {"numpy", "onnx", "scipy", "pydantic", "tflite"}
    # Where a module is named in full, as all are here, the last part can only confuse the reader.
    allowed = {"engine.stages.base"}
    assert [name for name, _ in modules() if name.split(".")[-1] in taken and name not in allowed] == []


# Subclasses of what an extra brings: without it importing them raises the error that names the extra.
NEED_EXTRAS = {"streaming.bots.livekit_avatar", "streaming.bots.pipecat_avatar"}

BLOCKED = """
import importlib, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "training", "export", "benchmarks"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Block())
for name in sys.argv[1:]:
    importlib.import_module(name)
assert "torch" not in sys.modules
import threading
assert threading.active_count() == 1
"""


def test_the_runtime_imports_without_torch() -> None:
    runtime = [
        name for name, _ in modules() if name.split(".")[0] in {"engine", "streaming"} and name not in NEED_EXTRAS
    ]
    assert len(runtime) > 10
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKED, "models.spec", *runtime],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("package", PACKAGES)
def test_files_hold_one_concept(package: str) -> None:
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for name, path in modules()
        if name.split(".")[0] == package and (lines := len(path.read_text(encoding="utf-8").splitlines())) > 450
    }
    assert long == {}
