"""The groups of the command line load in an environment that has the base dependencies alone."""

import subprocess
import sys

import pytest

BLOCKED = ("torch", "onnx", "scipy", "tflite", "moderngl", "safetensors", "tensorboard", "sounddevice", "pygame")
LOAD = """
import importlib, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Blocked())
importlib.import_module({group!r})
"""


@pytest.mark.parametrize(
    "group", ["benchmarks.bench_cli", "export.cli", "streaming.live.cli", "training.cli", "training.style_cli"]
)
def test_a_group_loads_without_extras(group):
    code = LOAD.format(blocked=BLOCKED, group=group)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
