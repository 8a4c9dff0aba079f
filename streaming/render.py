"""A speech file and an avatar in, a video out: the library's side of ``mien render``."""

import os
from pathlib import Path

from engine.artefacts.avatar import Avatar
from engine.artefacts.bundle import load_bundle, pick_renderer
from engine.artefacts.style import Style
from engine.backends.opening import network_opener, open_networks_on, resolve
from engine.card_workers import CardWorkers
from engine.drawing import Drawing, in_style
from engine.errors import ConfigError
from engine.pipeline import Pipeline
from engine.render_workers import WorkerRenderer
from models.spec import IMAGE_SIZE, MAX_LOOKAHEAD, MEDIA_HZ
from streaming.avatars import resolve_avatar
from streaming.media_in import SpeechFile
from streaming.media_out import Mp4Writer, check_output
from streaming.output_files import check_target
from streaming.progress import ProgressCallback
from streaming.render_loop import render_stream
from streaming.report import RenderReport, StageTimes, peak_memory_mb, write_json
from streaming.styles import StyledPipeline, resolve_style, steer

FRAME_RATES = (60, 30, 25)


def render_file(
    speech: str | Path,
    avatar: str | Path | Avatar,
    out: str | Path,
    *,
    fps: int = 60,
    lookahead: int = MAX_LOOKAHEAD,
    seed: int = 0,
    bundle: Path | None = None,
    style: str | Path | Style | None = None,
    intensity: float = 1.0,
    renderer: str | None = None,
    device: str = "cpu",
    head_motion: float = 1.0,
    eyes: bool = True,
    report: str | Path | None = None,
    progress: ProgressCallback | None = None,
) -> RenderReport:
    """Make ``avatar`` speak the sound of ``speech`` in the video ``out``.

    Everything is checked before work begins; the video and the report appear under their names when complete.

    Args:
        speech: Any sound or video file that FFmpeg reads.
        avatar: An avatar, or what ``streaming.avatars.resolve_avatar`` takes.
        out: The MP4 to write: 512x512, H.264 and AAC, as long as the sound to one frame.
        fps: 60, 30 or 25.
        lookahead: 0 to 18 motion frames (1/60 s) of sound that the lips may know beforehand.
        seed: Of the head's motion, 0 or more; the same seed moves it the same way.
        bundle: Folder of trained networks; by default those that ship.
        style: A style, or what ``streaming.styles.resolve_style`` takes; by default none.
        intensity: Of the style, 0 to 1.5.
        renderer: ``warp``, ``lite`` or ``paper``; by default what the bundle says is best.
        device: What computes; see ``engine.backends.devices``. What is missing is logged.
        head_motion: Factor on the head's motion and its idle sway, 0 to 4.
        eyes: Whether they blink and look about; else they are as the portrait has them.
        report: Where to write the report as JSON, if anywhere.
        progress: Called after every frame with frames done and frames in all.

    Returns:
        What was done, and how fast.

    Raises:
        ConfigError: An option is outside its range, or the output is also an input.
        AudioError: The speech cannot be used.
        ArtefactError: The avatar, the bundle or the style is missing or damaged.
        PortraitError: The picture cannot become an avatar.
        MissingExtraError: A picture was given and the [avatar] extra is not installed.
        OutputError: The video or the report cannot be written.
    """
    times = StageTimes()
    began = times.clock()
    _check_options(fps, lookahead, seed)
    inputs = [Path(speech), *([] if isinstance(avatar, Avatar) else [Path(avatar)])]
    target = check_output(Path(out), inputs)
    report_target = None if report is None else check_target(Path(report), inputs)
    if report_target == target:
        raise ConfigError(f"The video and the report have the same name {out}: choose another for one.")
    worn = style if style is None or isinstance(style, Style) else resolve_style(style)
    with SpeechFile(Path(speech)) as source:
        person = avatar if isinstance(avatar, Avatar) else resolve_avatar(avatar)
        networks, workers = load_bundle(bundle), _worker_count()
        network, computing = pick_renderer(networks, renderer), resolve(device).device
        with _drawer(computing, in_style(person, network, worn), workers) as drawn:
            # The workers fill the machine: more threads here would only trade places with them.
            pipeline = Pipeline(
                networks,
                person,
                lookahead,
                seed,
                sway=head_motion,
                head_motion=head_motion,
                eyes=eyes,
                networks=None if computing == "cpu" else open_networks_on(computing, networks),
                threads=1,
                observer=times.observe,
            )
            opened = network_opener(computing)
            motion = pipeline if worn is None else StyledPipeline(pipeline, steer(worn, networks, intensity, opened))
            with Mp4Writer(target, fps=fps, channels=source.channels) as writer:
                done = render_stream(
                    source,
                    motion,
                    drawn,
                    writer,
                    fps=fps,
                    workers=workers,
                    times=times,
                    progress=progress,
                )
                writer.finish()
        warnings = list(source.warnings)
    audio_seconds = done.ticks / MEDIA_HZ
    wall_seconds = (times.clock() - began) / 1e9
    result = RenderReport(
        frames=done.frames,
        fps=fps,
        width=IMAGE_SIZE,
        height=IMAGE_SIZE,
        audio_seconds=round(audio_seconds, 6),
        wall_seconds=round(wall_seconds, 3),
        realtime_factor=round(audio_seconds / wall_seconds, 3),
        stage_ms=times.percentiles_ms(),
        lookahead_frames=lookahead,
        latency_ms=round(pipeline.latency_ms, 3),
        seed=seed,
        avatar=person.name,
        renderer="warp" if network is None else network.name,
        peak_memory_mb=peak_memory_mb(workers),
        warnings=warnings,
    )
    if report_target is not None:
        write_json(report_target, result.to_json())
    return result


def _drawer(device: str, drawing: Drawing, workers: int) -> WorkerRenderer | CardWorkers:
    return WorkerRenderer(drawing, workers) if device == "cpu" else CardWorkers(device, drawing, workers)


def _worker_count() -> int:
    """Render processes that suit this machine: one a core, at most four."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
    return max(1, min(4, cores))


def _check_options(fps: int, lookahead: int, seed: int) -> None:
    if fps not in FRAME_RATES:
        raise ConfigError(f"The frame rate is 60, 30 or 25 fps, not {fps}.")
    if not 0 <= lookahead <= MAX_LOOKAHEAD:
        raise ConfigError(f"The lookahead is 0 to {MAX_LOOKAHEAD} frames of 1/60 s, not {lookahead}.")
    if seed < 0:
        raise ConfigError(f"The seed is a whole number from 0 up, not {seed}.")
