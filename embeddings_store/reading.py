"""The one way to read a file: whatever a library raises over it becomes one error of ours.

A library that is handed a torn, odd or hostile file raises what its authors never thought of. So
every call that opens or parses a file stands inside :func:`reading`; ``tests/test_readers.py``
walks the source for one that does not.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from embeddings_store.errors import ManifestError, ProjectError

MOST_LETTERS = 300
AGAIN = "fetch or save it again"
_NOT_VISIBLE = (*range(32), *range(127, 160), 0xFFFE, 0xFFFF)
_CONTROLS = {code: f"\\x{code:02x}" for code in _NOT_VISIBLE if chr(code) not in "\n\t"}
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def reading(
    path: Path | str,
    expected: str,
    advice: str = AGAIN,
    raises: type[ProjectError] = ManifestError,
    *,
    own: tuple[type[Exception], ...] = (),
    fault: str = "",
) -> Iterator[None]:
    """Turn whatever is raised while a file is opened or parsed into one error of one line.

    Errors of this project, a full disk, Ctrl-C and a call to exit go through as they are.

    >>> with reading("about.json", "JSON"):
    ...     json.loads("{")
    Traceback (most recent call last):
    ...
    embeddings_store.errors.ManifestError: about.json: cannot be read as JSON (Expecting property \
name enclosed in double quotes: line 1 column 2 (char 1)); fetch or save it again

    Args:
        path: What is read, with its place within the file where that is known.
        expected: What it should be: ``"a Parquet table"``.
        advice: What to do about it.
        raises: The error to raise.
        own: Errors that the caller explains better.
        fault: What is said in the place of "cannot be read as ...", where more is known.

    Raises:
        ProjectError: ``raises``, with path, reason, expectation and advice.
    """
    try:
        yield
    except ProjectError:
        raise
    except own:
        raise
    except BaseException as error:
        if not _comes_from_a_library(error):
            raise
        what = fault or f"cannot be read as {expected}"
        raise raises(f"{path}: {what} ({reason_of(error)}); {advice}") from error


def _comes_from_a_library(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return False
    # Libraries in Rust (tokenizers, safetensors) let a panic pass by every ``except Exception``.
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def reason_of(error: BaseException) -> str:
    """Return an error's reason as a part of a line, never empty and never long.

    >>> reason_of(OSError(40, "Too many levels of symbolic links", "film.mp4"))
    'Too many levels of symbolic links'
    >>> reason_of(KeyError("version")), reason_of(MemoryError())
    ("'version' is not there", 'MemoryError')
    """
    words = getattr(error, "strerror", "")  # FFmpeg's errors have one too, and are no OSError.
    if isinstance(words, str) and words:
        return words
    if isinstance(error, RecursionError):
        return "it nests too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8: {error.reason} at byte {error.start}"
    text = " ".join(str(error).split())
    if isinstance(error, KeyError) and text:
        return f"{text[:MOST_LETTERS]} is not there"
    if len(text) > MOST_LETTERS:
        text = f"{text[:MOST_LETTERS]}..."
    return text or type(error).__name__


def read_text(
    path: Path,
    expected: str = "text in UTF-8",
    advice: str = AGAIN,
    raises: type[ProjectError] = ManifestError,
) -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark.

    Args:
        path: The file.
        expected: As for :func:`reading`, like all that follow.
        advice: Likewise.
        raises: Likewise.

    Raises:
        ProjectError: ``raises``: it is not there, may not be read, or is not UTF-8.
    """
    with reading(path, expected, advice, raises):
        return path.read_text(encoding="utf-8-sig")


def read_json(
    path: Path,
    expected: str = "JSON",
    advice: str = AGAIN,
    raises: type[ProjectError] = ManifestError,
) -> Any:
    """Return what a JSON file holds.

    Args:
        path: The file.
        expected: As for :func:`reading`, like all that follow.
        advice: Likewise.
        raises: Likewise.

    Raises:
        ProjectError: ``raises``: it is not there, or not JSON in UTF-8.
    """
    with reading(path, expected, advice, raises):
        return json.loads(read_text(path, expected, advice, raises))


def is_file(path: Path) -> bool:
    r"""Say whether a path leads to a file; a loop of links or an impossible name leads to none.

    ``Path.is_file`` raises for a name that is longer than a disk takes.

    >>> is_file(Path("x" * 300)), is_file(Path("a\0b"))
    (False, False)
    """
    try:
        return path.is_file()
    except (OSError, ValueError, RuntimeError):
        return False


def visible(text: str) -> str:
    r"""Return a text with control characters and half letters as their numbers.

    Lines and tabs stay. A terminal obeys the others, XML does not allow them, and JSON can hold
    halves of letters that no file can.

    >>> visible("\x1b[31mred\n \ud800")
    '\\x1b[31mred\n \\ud800'
    """
    return text.translate(_CONTROLS).encode("utf-8", "backslashreplace").decode("utf-8")


def as_one_line(message: str) -> str:
    r"""Return a message with the line feeds that it quotes as ``\n``.

    Lines that begin with two spaces stay: they point into an expression.

    >>> as_one_line("unknown column '\n'")
    "unknown column '\\n'"
    """
    return re.sub(r"\n(?!  )", r"\\n", message)


def printable(path: Path | str) -> str:
    r"""Return a name as it can be printed: bytes that are no UTF-8 as their numbers.

    >>> printable(os.fsdecode(b"caf\xe9.csv"))
    'caf\\xe9.csv'
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")
