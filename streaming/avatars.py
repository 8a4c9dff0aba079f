"""From what a user calls an avatar to the avatar: a shipped name, an artefact, or a picture."""

from pathlib import Path

import models.spec
from engine.artefacts.avatar import Avatar, load_avatar
from engine.errors import ArtefactError

AVATARS = Path(models.spec.__file__).parent / "pretrained" / "avatars"


def shipped_avatars(folder: Path = AVATARS) -> dict[str, Path]:
    """The avatars that ship, by name."""
    return {path.stem: path for path in sorted(folder.glob("*.avatar"))}


def resolve_avatar(wanted: str | Path, folder: Path = AVATARS) -> Avatar:
    """Load or build the avatar that the user named.

    Args:
        wanted: A shipped avatar's name, or the path of an ``.avatar`` file, of an avatar's folder, or of a
            picture of one face, which is made into an avatar on the spot.
        folder: Where the shipped avatars lie.

    Raises:
        ArtefactError: There is no such avatar, or it is damaged.
        PortraitError: The picture cannot become an avatar.
        MissingExtraError: Building from a picture needs the [avatar] extra.
    """
    shipped = shipped_avatars(folder)
    if str(wanted) in shipped:
        return load_avatar(shipped[str(wanted)])
    path = Path(wanted)
    try:
        exists, is_artefact = path.exists(), path.is_dir() or path.suffix == ".avatar"
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{str(wanted)!r} cannot name an avatar.") from error
    if not exists:
        names = ", ".join(shipped) or "none"
        raise ArtefactError(
            f"There is no avatar {str(wanted)!r}: give a shipped one ({names}), an .avatar file or a picture."
        )
    if is_artefact:
        return load_avatar(path)
    # Here, not above: this half of the engine is needed for new faces alone.
    from engine.portrait.build import build_avatar
    from engine.portrait.photo import load_photo

    photo = load_photo(path)
    provenance = {"source": path.name, "licence": "the user's own"}
    return build_avatar(photo.rgb, alpha=photo.alpha, name=path.stem, provenance=provenance)


def file_of(wanted: Path) -> Path | None:
    """Where an avatar that was resolved from a path is written to when it is changed.

    Args:
        wanted: An ``.avatar`` file, an avatar's folder, or a picture.

    Returns:
        The file or folder itself; of a picture the ``.avatar`` file beside it, or None where there already is one,
        which somebody else made.
    """
    path = wanted.resolve()
    if path.is_dir() or path.suffix == ".avatar":
        return path
    beside = path.with_suffix(".avatar")
    return None if beside.exists() else beside
