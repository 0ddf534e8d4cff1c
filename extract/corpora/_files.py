"""What all readers share: folders without hidden names, what a wrong root holds, text files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from embeddings_store.errors import ManifestError, MediaError
from embeddings_store.reading import reading
from embeddings_store.tables import TABLE
from extract.corpora._notes import DANGLING, EMPTY, HIDDEN, POINTER, Notes, listed
from extract.media.lfs_pointer import is_lfs_pointer

POINTER_BYTES = 1024
Cells = TypeVar("Cells")


def visible(folder: Path, notes: Notes | None = None) -> list[Path]:
    """Return the entries of ``folder`` in sorted order.

    Names starting with ``.`` are left out and counted.
    """
    with reading(folder, "a folder", "check its permissions"):
        entries = sorted(folder.iterdir())
    if notes is not None:
        for entry in entries:
            if entry.name.startswith("."):
                notes.count(HIDDEN, entry.name)
    return [entry for entry in entries if not entry.name.startswith(".")]


def folder_names(folder: Path) -> set[str]:
    """Return the visible names in ``folder``, none where it does not exist."""
    return {entry.name for entry in visible(folder)} if folder.is_dir() else set()


def relative(path: Path, root: Path) -> str:
    """Return ``path`` below ``root`` with ``/`` on every system, as manifests hold it."""
    return path.relative_to(root).as_posix()


def media(path: Path | None, root: Path, notes: Notes) -> str:
    """Return a media file's path below ``root``, empty for none.

    Git-LFS pointers, links of git-annex and empty files are counted and keep their path: the row
    has media, which has not been fetched, and an extraction says so of each clip. Only a file of a
    few bytes is looked into.

    Args:
        path: The file, or none.
        root: The corpus' root.
        notes: Gets what is odd about the file.
    """
    if path is None:
        return ""
    try:
        size = path.stat().st_size
        is_pointer = 0 < size < POINTER_BYTES and is_lfs_pointer(path)
    except (OSError, MediaError):  # A link to nowhere or in a circle, or a file that is closed.
        notes.count(DANGLING, relative(path, root))
        return relative(path, root)
    if size == 0:
        notes.count(EMPTY, relative(path, root))
    elif is_pointer:
        notes.count(POINTER, relative(path, root))
    return relative(path, root)


def check_root(root: Path, corpus: str, layout: str, recognise: Callable[[Path], bool]) -> None:
    """Check that ``root`` is a folder that ``recognise`` accepts.

    Args:
        root: What the user gave.
        corpus: The corpus, for the message.
        layout: What it looks like, for the message.
        recognise: Whether a folder holds it.

    Raises:
        ManifestError: It is missing, a file, empty or not this corpus; names a folder one level up
            or down that fits.
    """
    if not (root.is_dir() and recognise(root)):
        raise wrong_root(root, corpus, layout, recognise)


def wrong_root(
    root: Path, corpus: str, layout: str, recognise: Callable[[Path], bool]
) -> ManifestError:
    """Return the error for a root that is not this corpus' root.

    Args:
        root: As for :func:`check_root`, like all that follow.
        corpus: Likewise.
        layout: Likewise.
        recognise: Likewise.
    """
    expected = f"{corpus} is expected as {layout}"
    if not root.exists():
        return ManifestError(f"{root}: no such folder; {expected}. Check --root")
    if not root.is_dir():
        return ManifestError(f"{root}: is a file, not a folder; {expected}. Give the folder")
    entries = visible(root)
    if not entries:
        return ManifestError(
            f"{root}: is empty; {expected}. Unpack the release there, or check --root"
        )
    near = [path for path in (root.resolve().parent, *entries) if path.is_dir() and recognise(path)]
    hint = f"; try --root {near[0]}" if near else "; check --root"
    return ManifestError(
        f"{root}: does not hold {corpus}; found {listed([e.name for e in entries])}. "
        f"{expected}{hint}"
    )


def read_text(path: Path, fallback: str, notes: Notes) -> str:
    """Read a text file as UTF-8, or else in an 8-bit encoding, which is noted.

    Args:
        path: The file.
        fallback: The other encoding, for example ``cp1252``.
        notes: Gets the name of a file that is not UTF-8.

    Raises:
        ManifestError: The file is in neither encoding.
    """
    with reading(path, "a text"):
        data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        notes.count(f"file that is not UTF-8, read as {fallback}", path.name)
    try:
        return data.decode(fallback)
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path}: is neither UTF-8 nor {fallback} ({error.reason} at byte {error.start}); "
            "save it as UTF-8"
        ) from error


def read_lines(path: Path, fallback: str, notes: Notes) -> list[str]:
    r"""Read a text file as :func:`read_text` does, cut at line feeds only.

    ``str.splitlines`` would also cut at ``\x85``, which Latin-1 files of Windows users hold as an
    ellipsis.

    Args:
        path: As for :func:`read_text`, like all that follow.
        fallback: Likewise.
        notes: Likewise.
    """
    return [line.removesuffix("\r") for line in read_text(path, fallback, notes).split("\n")]


def read_rows(path: Path, columns: Sequence[str], notes: Notes) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file by column name in lower case, since releases differ in that.

    Args:
        path: The file, in UTF-8, else in cp1252, which is noted.
        columns: Those that must be there.
        notes: Gets what is odd.

    Raises:
        ManifestError: A column of ``columns`` is not there, or a row has another number of cells
            than the header.
    """
    text = io.StringIO(read_text(path, "cp1252", notes), newline="")
    with reading(path, TABLE):
        reader = csv.reader(text)
        header = [name.strip().lower() for name in next(reader, [])]
    absent = [column for column in columns if column.lower() not in header]
    if absent:
        raise ManifestError(
            f"{path}: lacks the column {absent[0]!r}; its header is {listed(header, 12)}, and "
            f"needed are {', '.join(columns)}"
        )
    for row in csv_rows(path, reader):
        if row and len(row) != len(header):
            raise ManifestError(
                f"{path}: line {reader.line_num} has {len(row)} cells, the header has "
                f"{len(header)}; is a quote missing, or a comma outside of quotes?"
            )
        if row:
            yield dict(zip(header, row, strict=True))


def csv_rows(path: Path, reader: Iterator[Cells]) -> Iterator[Cells]:
    """Yield the rows of a reader of the module ``csv``; a cell of 131 072 letters is no cell.

    Args:
        path: The file, for the message.
        reader: What reads it.

    Raises:
        ManifestError: A row cannot be read.
    """
    with reading(path, TABLE, "is a quote missing? Correct it, or fetch it again"):
        yield from reader


def as_columns(rows: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Turn rows that all have the keys of the first one into the columns of a manifest.

    >>> as_columns([{"id": "a", "label": "x"}, {"id": "b", "label": "y"}])
    {'id': ['a', 'b'], 'label': ['x', 'y']}
    """
    columns: dict[str, object] = {}
    for name in rows[0]:
        columns[name] = [row[name] for row in rows]
    return columns


def speaker_folds(speakers: int, folds: int) -> str:
    """Name the fold plan of a corpus of acted clips: by speaker, ``folds`` if there are enough.

    >>> speaker_folds(91, 5), speaker_folds(4, 5), speaker_folds(2, 5)
    ('speaker-kfold:5', 'leave-one-speaker-out', '')
    """
    if speakers >= folds:
        return f"speaker-kfold:{folds}"
    return "leave-one-speaker-out" if speakers >= 3 else ""
