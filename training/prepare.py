"""Makes prepared data: synthesised utterances, live-microphone augmentation and the teacher's motion, side by side."""

import os
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from rich.progress import track

from engine.stages.log_mel import log_mel
from models.spec import LANDMARKS, MEL_WINDOW, MELS_PER_MOTION, MOTION_HZ, POSE_DIM, SAMPLE_HZ
from training.corpus.articulation import perform
from training.corpus.augment import Augmenter
from training.corpus.shards import SHARD_SECONDS, read_shard, shard_path, write_shard
from training.corpus.speaker import Speaker
from training.corpus.utterance import Phone, Utterance

_GRAIN: Final = 800
"""Samples of three motion frames: the shortest stretch of sound that whole frames fill exactly."""


class PrepareConfig(BaseModel):
    """Options of ``mien train data``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    out: Path
    hours: float = Field(26.0, gt=0, description="the paper trains its encoder on 26 hours")
    seed: int = Field(0, ge=0)
    augmented: float = Field(0.7, ge=0, le=1, description="share of utterances heard through a microphone and a room")


def prepare(config: PrepareConfig) -> int:
    """Make the shards that are missing in ``config.out``; interrupted, it goes on where it stopped.

    The speech itself is cached in ``config.out / "speech"``, so that it can be prepared anew with other augmentation
    or another teacher.

    Returns:
        How many shards were made.

    Raises:
        MissingExtraError: A speech synthesiser is not installed.
    """
    shards = max(1, round(config.hours * 3600 / SHARD_SECONDS))
    speech = config.out / "speech"
    speech.mkdir(parents=True, exist_ok=True)
    missing = [i for i in range(shards) if not (config.out / f"{i:05d}").exists()]
    for index in track(missing, description="preparing speech and motion"):
        if not shard_path(speech, index).is_file():
            write_shard(speech, config.seed, index)
        _prepare_shard(config, read_shard(shard_path(speech, index)), index)
    return len(missing)


def _prepare_shard(config: PrepareConfig, utterances: list[Utterance], shard: int) -> None:
    """One shard, complete or not there at all."""
    augmenter = Augmenter()
    parts = []
    for number, utterance in enumerate(utterances):
        rng = np.random.default_rng((config.seed, shard, number))
        parts.append(prepare_utterance(utterance, augmenter, config.augmented, rng))
    mels, motions, poses = zip(*parts, strict=True)
    partial = config.out / f".{shard:05d}.part"
    partial.mkdir(exist_ok=True)
    np.save(partial / "mel.npy", np.concatenate(mels).astype(np.float16))
    np.save(partial / "motion.npy", np.concatenate(motions).astype(np.float16))
    np.save(partial / "pose.npy", np.concatenate(poses).astype(np.float32))
    os.replace(partial, config.out / f"{shard:05d}")


def prepare_utterance(
    utterance: Utterance, augmenter: Augmenter, augmented: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """One utterance with a pause before and after it.

    Args:
        utterance: Clean speech with timed phones.
        augmenter: What microphones and rooms do.
        augmented: Probability that this utterance is augmented.
        rng: Draws pauses, speaker and augmentation.

    Returns:
        Log-mel float32 (2n, 80), displacement float32 (n, 204) fu and pose float32 (n, 6).
    """
    before, after = _pause(rng), _pause(rng)
    audio = np.concatenate([np.zeros(before, np.float32), utterance.audio, np.zeros(after, np.float32)])
    audio = np.pad(audio, (0, -len(audio) % _GRAIN)).astype(np.float32)
    shift = before / SAMPLE_HZ
    end = len(audio) / SAMPLE_HZ
    spoken = [Phone(p.symbol, p.start_s + shift, p.end_s + shift, p.stress) for p in utterance.phones]
    phones = [Phone("sil", 0.0, spoken[0].start_s, 0), *spoken, Phone("sil", spoken[-1].end_s, end, 0)]
    performance = perform(phones, audio, Speaker.draw(rng), rng)
    heard = augmenter.apply(audio, rng) if rng.random() < augmented else audio
    frames = len(audio) * MOTION_HZ // SAMPLE_HZ
    # The last windows reach beyond the end, where it is silent.
    mel = log_mel(np.pad(heard, (0, MEL_WINDOW)).astype(np.float32))[: MELS_PER_MOTION * frames]
    assert len(mel) == MELS_PER_MOTION * frames and performance.pose.shape == (frames, POSE_DIM)
    return mel, performance.displacement.reshape(frames, 3 * LANDMARKS), performance.pose


def _pause(rng: np.random.Generator) -> int:
    """Samples of a pause: mostly short, now and then several seconds."""
    seconds = rng.uniform(1.5, 5.0) if rng.random() < 0.12 else rng.uniform(0.05, 0.7)
    return int(seconds * SAMPLE_HZ)
