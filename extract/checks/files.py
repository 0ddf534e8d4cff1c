"""What lies in the folders.

Twins of macOS, files that are named and not there, pointers instead of files, files nobody names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from embeddings_store.corpus.manifest import resolve_media
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
    if release.manifest.root is None:
        return
    twins = [
        str(Path(folder, name).relative_to(release.manifest.root))
        for folder, _, names in os.walk(release.manifest.root)
        for name in names
        if name.startswith("._")
    ]
    if twins:
        yield CorpusFinding(
            "warning",
            "hidden twins",
            "file of macOS beside the real one, which is skipped",
            len(twins),
            tuple(sorted(twins)),
            "delete them with: find ROOT -name '._*' -delete",
        )


def media_there(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Find files that rows name and that are missing, lead elsewhere, or are pointers of Git LFS."""
    root, noted = release.manifest.root, release.noted(POINTER)
    for medium in ("audio", "video") if root is not None else ():
        absent, outside, pointers = [], [], []
        for name in release.files(medium):
            try:
                path = resolve_media(root or Path(), name)
            except UnsafePathError:
                outside.append(name)
                continue
            if not path.is_file():
                absent.append(name)
            elif name not in noted and path.stat().st_size < POINTER_BYTES and is_lfs_pointer(path):
                pointers.append(name)
        named = len(release.files(medium))
        for names, sentence, advice in (
            (
                absent,
                f"{medium} file that rows name and that is not there, of {named:,}",
                "unpack the release again",
            ),
            (
                outside,
                f"{medium} file behind a link that leaves the corpus' folder",
                "move them into it",
            ),
            (
                pointers,
                f"{medium} file that is a Git-LFS pointer",
                "run 'git lfs pull' in the release's repository",
            ),
        ):
            if names:
                yield CorpusFinding(
                    "error",
                    f"{medium} there",
                    sentence,
                    len(names),
                    tuple(names),
                    advice,
                    INCOMPLETE,
                )


def unnamed_media(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Count media that lie beside named ones and that no row names.

    Left out by the label set, or without a label at all.
    """
    if release.manifest.root is None:
        return
    named = {*release.files("audio"), *release.files("video")}
    kinds = {Path(name).suffix.lower() for name in named} & (SOUND | CONTAINER_SUFFIXES)
    others = []
    for folder in sorted({Path(name).parent for name in named}):
        place = release.manifest.root / folder
        if place.is_dir():
            others += [
                (folder / entry.name).as_posix()
                for entry in sorted(place.iterdir())
                if entry.suffix.lower() in kinds and not entry.name.startswith(".")
            ]
    strangers = [name for name in others if name not in named]
    if strangers:
        yield CorpusFinding(
            "fact",
            "media without a row",
            "media file beside named ones that no row names",
            len(strangers),
            tuple(strangers),
        )
