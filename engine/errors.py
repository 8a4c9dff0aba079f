"""The one error tree of Mien.

::

    MienError
    ├── InputError        what a user handed in cannot be used
    │   ├── AudioError        not audio, empty, undecodable
    │   ├── PortraitError     no face, several faces, too small, unreadable
    │   └── ArtefactError     a bundle, avatar or style that is missing, damaged or of another version
    ├── ConfigError       options that contradict each other or leave their range
    ├── MissingExtraError a library or tool that an optional feature needs is not installed
    ├── OutputError       the result cannot be written
    ├── SessionError      a live session has ended: closed, or something it needs failed
    └── CapacityError     the machine cannot carry another live session

A message is one sentence or two for the user: what is wrong, and what to do. The command line prints it on one
line and exits with 2 for what the user can mend (InputError, ConfigError, MissingExtraError), 1 otherwise.
"""


class MienError(Exception):
    """Root of every error that Mien raises on purpose."""

    exit_code = 1


class InputError(MienError):
    """Something handed in by the user cannot be used."""

    exit_code = 2


class AudioError(InputError):
    """The sound is missing, empty or cannot be decoded."""


class PortraitError(InputError):
    """The picture cannot become an avatar."""


class ArtefactError(InputError):
    """A bundle, avatar or style is missing, damaged or of a version this engine does not read."""


class ConfigError(MienError):
    """Options contradict each other or leave their range."""

    exit_code = 2


class MissingExtraError(MienError):
    """An optional feature needs something that is not installed."""

    exit_code = 2


class OutputError(MienError):
    """The result cannot be written."""


class SessionError(MienError):
    """A live session has ended: it was closed, or something that it needs failed."""


class CapacityError(MienError):
    """The machine cannot carry another session beside those that run."""
