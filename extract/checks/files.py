"""Checks of what lies in the folders.

Hidden files of macOS, files that are named and not there, pointers instead of files, files that no
row names.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from embeddings_store.corpus.media_paths import FOLLOW_LINKS
from embeddings_store.errors import UnsafePathError
from extract.checks.finding import INCOMPLETE, CorpusFinding, ReleaseUnderCheck
from extract.corpora._notes import POINTER
from extract.media.containers import CONTAINER_SUFFIXES
from extract.media.lfs_pointer import is_lfs_pointer

SOUND = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".aif", ".sph"})
# A pointer of Git LFS has three short lines; nothing longer is opened to look for one.
POINTER_BYTES = 300


def apple_double_files(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Count ``._*`` files, which macOS puts beside each file of an archive."""
    root = release.manifest.root
    if root is None:
        return
    hidden: list[str] = []
    for folder, _, names in os.walk(root):
        place = Path(folder).relative_to(root)
        hidden += [str(place / name) for name in names if name.startswith("._")]
    if hidden:
        yield CorpusFinding(
            "warning",
            "hidden twins",
            "file of macOS beside the real one, which is skipped",
            len(hidden),
            tuple(sorted(hidden)),
            "delete them with: find ROOT -name '._*' -delete",
        )


def media_there(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Find named files that are missing, lead out of the folder, or are pointers of Git LFS."""
    root = release.manifest.root
    if root is None:
        return
    known_pointers = release.noted(POINTER)
    for medium in ("audio", "video"):
        named = release.files(medium)
        absent: list[str] = []
        outside: list[str] = []
        pointers: list[str] = []
        for name in named:
            try:
                path = release.manifest.media_path(name)
            except UnsafePathError:
                outside.append(name)
                continue
            if not path.is_file():
                absent.append(name)
            elif name not in known_pointers and _is_pointer(path):
                pointers.append(name)
        yield from _not_there(
            medium,
            absent,
            f"{medium} file that rows name and that is not there, of {len(named):,}",
            "unpack the release again",
        )
        yield from _not_there(
            medium,
            outside,
            f"{medium} file behind a link that leaves the corpus' folder",
            f"add {FOLLOW_LINKS} to read them, or move them into it",
        )
        yield from _not_there(
            medium,
            pointers,
            f"{medium} file that is a Git-LFS pointer",
            "run 'git lfs pull' in the release's repository",
        )


def _is_pointer(path: Path) -> bool:
    return path.stat().st_size < POINTER_BYTES and is_lfs_pointer(path)


def _not_there(
    medium: str, names: Sequence[str], sentence: str, advice: str
) -> Iterator[CorpusFinding]:
    if names:
        yield CorpusFinding(
            "error", f"{medium} there", sentence, len(names), names, advice, INCOMPLETE
        )


def unnamed_media(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Count media that lie beside named ones and that no row names.

    Left out by the label set, or without a label at all.
    """
    if release.manifest.root is None:
        return
    named = {*release.files("audio"), *release.files("video")}
    letters = {unicodedata.normalize("NFC", name) for name in named}
    suffixes = {Path(name).suffix.lower() for name in named} & (SOUND | CONTAINER_SUFFIXES)
    unnamed: list[str] = []
    for folder in sorted({Path(name).parent for name in named}):
        place = release.manifest.root / folder
        if not place.is_dir():
            continue
        for entry in sorted(place.iterdir()):
            name = (folder / entry.name).as_posix()
            is_medium = entry.suffix.lower() in suffixes and not entry.name.startswith(".")
            if is_medium and unicodedata.normalize("NFC", name) not in letters:
                unnamed.append(name)
    if unnamed:
        yield CorpusFinding(
            "fact",
            "media without a row",
            "media file beside named ones that no row names",
            len(unnamed),
            tuple(unnamed),
        )
