"""Recognises a Git-LFS pointer: the lines of text in place of a large file that was not fetched."""

from __future__ import annotations

from pathlib import Path

from embeddings_store.errors import MediaError
from embeddings_store.reading import reading

_FIRST_LINE = b"version https://git-lfs.github.com/spec/"


def is_lfs_pointer(path: Path) -> bool:
    """Return whether the file is a pointer.

    See https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md.

    Raises:
        MediaError: The file cannot be opened.
    """
    with (
        reading(path, "", "check its permissions", MediaError, fault="cannot be opened"),
        path.open("rb") as file,
    ):
        return file.read(len(_FIRST_LINE)) == _FIRST_LINE
