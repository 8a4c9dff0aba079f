"""One phrase for why a media file could not be read or written."""


def reason(error: BaseException) -> str:
    """What the system or FFmpeg says, without error numbers and file names."""
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split()).rstrip(".") or type(error).__name__
