r"""A PulseAudio server of our own, with nothing but null sinks: a microphone and a cable that end in one recording.

::

    pacat -> mic_sink  --left--+
                               +-- desk (one null sink, one clock) --monitor--> parec: mouth left, cable right
    mien  -> mien_cable --right+          \\--left--> mien_mic -> mien

Whatever lies between the two channels of that recording is the latency from the mouth to the cable, sample by sample,
with every buffer of the sound system in it.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from engine.errors import MissingExtraError

MICROPHONE: Final = "mien_mic"
CABLE: Final = "mien_cable"
MOUTH: Final = "mic_sink"
BOTH: Final = "desk.monitor"
_SOURCE: Final = (
    f"module-remap-source source_name={MICROPHONE} master=desk.monitor channels=1 channel_map=mono "
    "master_channel_map=front-left remix=no"
)
_SINK: Final = "module-remap-sink master=desk channels=1 channel_map=mono remix=no"
_CABLE: Final = f"{_SINK} sink_name={CABLE} master_channel_map=front-right"
_SCRIPT: Final = f"""
load-module module-native-protocol-unix auth-anonymous=1
load-module module-null-sink sink_name=desk rate=48000 channels=2 channel_map=front-left,front-right
load-module {_SINK} sink_name={MOUTH} master_channel_map=front-left
load-module {_CABLE}
load-module {_SOURCE}
"""
_PATIENCE_S: Final = 10.0


@contextlib.contextmanager
def private_pulse() -> Iterator[None]:
    """Run the server; everything that this process opens meanwhile is on it.

    Raises:
        MissingExtraError: PulseAudio is not installed, or does not start.
    """
    for tool in ("pulseaudio", "pactl", "pacat", "parec"):
        if shutil.which(tool) is None:
            raise MissingExtraError(
                f"{tool} is not installed. Debian and Ubuntu: apt-get install pulseaudio pulseaudio-utils "
                "libportaudio2 libasound2-plugins."
            )
    # A short path: that of a socket has at most 107 letters.
    folder = Path(tempfile.mkdtemp(prefix="mien-"))
    before = dict(os.environ)
    os.environ.update({name: str(folder) for name in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME")})
    os.environ.pop("PULSE_SERVER", None)
    script = folder / "script.pa"
    script.write_text(_SCRIPT)
    # A desktop's server has real-time priority; ours is to have it too, where it may.
    options = ("--daemonize=no", "--exit-idle-time=-1", "--disable-shm=yes", "--use-pid-file=no", "--realtime=yes")
    server = subprocess.Popen(
        ["pulseaudio", "-n", "-F", str(script), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + _PATIENCE_S
        while MICROPHONE not in pactl("list", "short", "sources"):
            if time.monotonic() > deadline or server.poll() is not None:
                raise MissingExtraError("A PulseAudio server of our own does not start: try `pulseaudio -n` by hand.")
            time.sleep(0.05)
        yield
    finally:
        server.kill()
        server.wait()
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(folder)


def pactl(*words: str) -> str:
    """What ``pactl`` prints."""
    return subprocess.run(["pactl", *words], capture_output=True, text=True, check=False).stdout


def unplug(name: str) -> None:
    """Take the microphone or the cable away."""
    for line in pactl("list", "short", "modules").splitlines():
        if f"_name={name} " in f"{line} ":
            pactl("unload-module", line.split("\t")[0])


def plug(name: str) -> None:
    """Give it back."""
    pactl("load-module", *{MICROPHONE: _SOURCE, CABLE: _CABLE}[name].split(" "))
