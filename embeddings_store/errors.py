"""The one tree of errors.

Every message says what was seen, what was expected, where, and what to do.

Each class is also the builtin that people already catch, so ``except ValueError`` keeps working.

>>> try:
...     unknown_name("encoder", "wav2vec2-bose", ["wav2vec2-base", "hubert-base"])
... except KeyError as error:
...     print(error)
unknown encoder 'wav2vec2-bose'; did you mean 'wav2vec2-base'? Known: wav2vec2-base, hubert-base
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import NoReturn


class ProjectError(Exception):
    """Root of everything that this project raises on purpose; commands exit with ``exit_code``."""

    exit_code = 3

    def __str__(self) -> str:
        """Return the plain message; ``KeyError`` would show its repr."""
        return str(self.args[0]) if self.args else self.__class__.__name__


class UsageError(ProjectError, ValueError):
    """A command line or call asks for what does not exist or does not fit together."""

    exit_code = 2


class UnknownNameError(UsageError, KeyError):
    """A name is not in the table that it should come from."""


class ManifestError(ProjectError, ValueError):
    """A manifest's rows are not what a manifest promises."""


class UnsafePathError(ManifestError):
    """A path leaves the root of its manifest."""


class LabelError(ProjectError, ValueError):
    """A label is not in the label set, or two label sets do not agree."""


class FoldError(ProjectError, ValueError):
    """A fold plan cannot be made, or its roles are not disjoint or not complete."""


class StoreError(ProjectError, ValueError):
    """A store file is torn, of another version, or does not say what it must."""


class StoreMismatchError(StoreError):
    """Two files of a store do not belong together."""


class StoreNotFoundError(StoreError, FileNotFoundError):
    """No store file answers the request."""


class StoreBusyError(StoreError, BlockingIOError):
    """Another process is writing the same file."""


class StoreAccessError(StoreError, PermissionError):
    """A place cannot be written to, or a file may not be read."""


class StoreFullError(ProjectError, OSError):
    """The disk is full; everything committed so far is safe."""


class LeakError(ProjectError, ValueError):
    """The request would score or tune on rows that an encoder was trained on."""


class MediaError(ProjectError, ValueError):
    """A clip cannot be read or used: torn, empty, too short, not media at all."""


class NoFaceError(MediaError):
    """No face is in a clip, or in too few of its pictures; the same pictures never have one."""


class ModelLoadError(ProjectError, RuntimeError):
    """A checkpoint does not load as it should.

    Missing or mismatched weights, or not there at all.
    """


class MissingDependencyError(ProjectError, ImportError):
    """An optional package is needed for this; the message names the extra that brings it."""


def without_frames(error: MediaError) -> MediaError:
    """Return an error that remembers its words alone.

    One that is kept keeps alive whatever stood in the functions that it went through, such as the
    decoded pictures of a clip.

    Args:
        error: An error that was caught.
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, or an empty string.

    >>> did_you_mean("adio", ["audio", "text"])
    "; did you mean 'audio'?"
    >>> did_you_mean("zzz", ["audio", "text"])
    ''
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def unknown_name(what: str, name: str, known: Sequence[str]) -> NoReturn:
    """Raise :class:`UnknownNameError` with the nearest known name and the list of all.

    Args:
        what: The kind of thing, in the user's words: ``"encoder"``, ``"corpus"``.
        name: What was asked for.
        known: Every name that would have worked.

    Raises:
        UnknownNameError: Always.
    """
    hint = did_you_mean(name, known) or ";"
    raise UnknownNameError(f"unknown {what} {name!r}{hint} Known: {', '.join(known) or 'none'}")
