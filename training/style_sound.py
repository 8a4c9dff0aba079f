"""What the networks of a bundle hear of a recording, offline and in torch: features of every motion frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.artefacts.bundle import Bundle
from engine.stages.log_mel import log_mel
from engine.stages.silence import SilenceGate
from engine.stages.style_mix import pole_keep
from models.apc import ApcEncoder
from models.headpose import HeadPoseNet
from models.motion import MotionGenerator
from models.spec import (
    MAX_LOOKAHEAD,
    MEL_HZ,
    MEL_LAG,
    MEL_WINDOW,
    MELS_PER_MOTION,
    MOTION_DIM,
    MOTION_HZ,
    SAMPLE_HZ,
)
from training.bundle_weights import load_networks
from training.train_manifold import project

_LEAD: Final = MEL_LAG * SAMPLE_HZ // MEL_HZ
"""Samples of silence before a recording, so that motion frame n goes with mel frames 2n and 2n + 1."""
_MOTION_SAMPLES: Final = SAMPLE_HZ / MOTION_HZ


@dataclass(frozen=True)
class Heard:
    """A recording as the networks hear it; n motion frames.

    Attributes:
        pairs: float32 (n + 18, 1024), two features of each motion frame, on the manifold; the lookahead's frames of
            silence follow the recording.
        features: float32 (n, 512), the feature that the head pose of each frame is conditioned on.
        speaking: bool (n,), whether the silence gate lets the mouth move.
    """

    pairs: Tensor
    features: Tensor
    speaking: NDArray[np.bool_]

    @property
    def frames(self) -> int:
        """Motion frames of the recording."""
        return len(self.features)


class Ear:
    """The networks of a bundle in torch, to hear and to move with."""

    def __init__(self, bundle: Bundle) -> None:
        """Read the bundle.

        Raises:
            ArtefactError: It is stored otherwise than as ``w8a8``.
        """
        networks: tuple[ApcEncoder, MotionGenerator, HeadPoseNet] = load_networks(bundle)
        self.apc, self.motion, self.headpose = networks
        for network in networks:
            network.requires_grad_(False)
        self._bank = torch.from_numpy(bundle.bank)
        self._settings = bundle.manifest.manifold
        self.scale, self.mean = bundle.motion_scale, torch.from_numpy(bundle.motion_mean)

    @torch.no_grad()
    def hear(self, audio: NDArray[np.float32]) -> Heard:
        """Listen to a recording.

        Args:
            audio: float32 (samples,), 16 kHz mono in [-1, 1].
        """
        frames = max(1, int(np.ceil(len(audio) / _MOTION_SAMPLES)))
        tail = round((frames + MAX_LOOKAHEAD + 1) * _MOTION_SAMPLES) + MEL_WINDOW - len(audio)
        mel = log_mel(np.pad(audio, (_LEAD, tail)).astype(np.float32))
        mel = mel[: MELS_PER_MOTION * (frames + MAX_LOOKAHEAD)]
        raw, _ = self.apc(torch.from_numpy(mel)[None], self.apc.init_state(1))
        raw = raw[0]
        near = project(raw, self._bank, self._settings.neighbours) if self._settings.strength else raw
        pairs = (raw + self._settings.strength * (near - raw)).reshape(frames + MAX_LOOKAHEAD, -1)
        return Heard(pairs, raw[1::MELS_PER_MOTION][:frames].clone(), _speaking(mel, frames))

    @torch.no_grad()
    def move(self, heard: Heard, motion: MotionGenerator | None = None, smoothing: float = 0.0) -> NDArray[np.float32]:
        """The motion of a recording at the full lookahead, without gate: float32 (n, 123) fu.

        Args:
            heard: The recording.
            motion: The generator; the bundle's if None.
            smoothing: Time constant in frames of the poles that its motion goes through.
        """
        network = motion or self.motion
        hidden, cell = network.init_state(1)
        output, _, _ = network(heard.pairs[None], torch.tensor([MAX_LOOKAHEAD]), hidden, cell)
        moved = smoothed_motion(output[0], smoothing)[MAX_LOOKAHEAD:] * self.scale + self.mean
        return np.asarray(moved.reshape(-1, MOTION_DIM).numpy(), np.float32)


def smoothed_motion(motion: Tensor, frames: float) -> Tensor:
    """Motion (..., n, width) through the two poles of the engine's smoothing, from its first frame on."""
    keep = pole_keep(frames)
    if not keep:
        return motion
    # The answer of two equal poles to a single frame: (1 - keep)^2 (k + 1) keep^k after k frames.
    ages = torch.arange(motion.shape[-2], device=motion.device)
    answer = (1 - keep) ** 2 * (ages + 1) * keep ** ages.to(motion.dtype)
    matrix = torch.where(ages[:, None] >= ages, answer[(ages[:, None] - ages).clamp(min=0)], 0.0)
    # Before the first frame it was as it is there.
    held = 1 - matrix.sum(1, keepdim=True)
    return matrix @ motion + held * motion[..., :1, :]


def speech_sample(seconds: float, seed: int) -> list[NDArray[np.float32]]:
    """Some of the corpus' synthesised speech, utterance by utterance with a pause after each.

    Args:
        seconds: At least so much in all.
        seed: Of the speakers and of what they say.

    Raises:
        MissingExtraError: No speech synthesiser is installed.
    """
    from training.corpus.speech import SpeechSource

    source, spoken, total = SpeechSource(seed), list[NDArray[np.float32]](), 0.0
    while total < seconds:
        audio = np.pad(source.utterance(len(spoken)).audio, (SAMPLE_HZ // 10, SAMPLE_HZ // 2)).astype(np.float32)
        spoken.append(audio)
        total += len(audio) / SAMPLE_HZ
    return spoken


def speaking_frames(audio: NDArray[np.float32], frames: int) -> NDArray[np.bool_]:
    """In which motion frames of a recording somebody speaks: where the engine's silence gate is open, (frames,)."""
    tail = max(0, round((frames + 1) * _MOTION_SAMPLES) + MEL_WINDOW - len(audio))
    return _speaking(log_mel(np.pad(audio, (_LEAD, tail)).astype(np.float32)), frames)


def _speaking(mel: NDArray[np.float32], frames: int) -> NDArray[np.bool_]:
    """The same of log-mel whose frames 2n and 2n + 1 go with motion frame n."""
    gate = SilenceGate(0)
    state, open_ = gate.init_state(), np.zeros(frames, np.bool_)
    for number in range(frames):
        openness, state = gate.step(mel[MELS_PER_MOTION * number : MELS_PER_MOTION * (number + 1)], state)
        open_[number] = openness > 0.5
    return open_


def concatenated(parts: Sequence[NDArray[np.float32]], masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.float32]:
    """The frames of several recordings in which somebody speaks, one after the other."""
    return np.concatenate([part[mask] for part, mask in zip(parts, masks, strict=True)])
