"""Judges that are networks: there only where the user supplies their weights."""

from pathlib import Path

from benchmarks.quality.identity import identity, load_embedding
from benchmarks.quality.pair import PairJudge
from benchmarks.quality.syncnet import judge_sync, load_syncnet
from benchmarks.quality.tracks import FaceTrack


def load_judges(syncnet: Path | None, embedding: Path | None) -> tuple[PairJudge, ...]:
    """The judges whose weights are given; none are fetched.

    Args:
        syncnet: SyncNet, for ``lse_d`` and ``lse_c`` of both clips.
        embedding: A face embedding network, for ``identity``.

    Raises:
        ArtefactError: A file is missing or something else.
        MissingExtraError: A checkpoint needs torch.
    """
    judges: list[PairJudge] = []
    if syncnet is not None:
        network = load_syncnet(syncnet)

        def by_sync(reference: Path, ref: FaceTrack, generated: Path, gen: FaceTrack) -> dict[str, float]:
            theirs = judge_sync(network, reference, ref)
            return judge_sync(network, generated, gen) | {f"{key}_reference": value for key, value in theirs.items()}

        judges.append(by_sync)
    if embedding is not None:
        embed = load_embedding(embedding)

        def by_face(reference: Path, ref: FaceTrack, generated: Path, gen: FaceTrack) -> dict[str, float]:
            return {"identity": identity(reference, ref, generated, gen, embed)}

        judges.append(by_face)
    return tuple(judges)
