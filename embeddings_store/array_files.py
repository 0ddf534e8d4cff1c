"""Reads ``.npy`` and ``.npz`` without running what is in them, and weighs them first.

A header of a hundred bytes can promise any shape, and a compressed archive of 8 MB unpacks to 8 GB:
what an array takes is compared with the bytes that are there before any memory is asked for.
"""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from embeddings_store.errors import ManifestError, ProjectError
from embeddings_store.reading import AGAIN, reading

Arrays = dict[str, NDArray[np.generic]]
# Vectors hardly compress and labels by ten; what unpacks to a hundred times its size is no data.
MOST_GROWTH = 100
# An archive of few and equal rows may grow by more, and does no harm up to here.
HARMLESS_BYTES = 1 << 28
AT_ONCE = 1 << 24  # bytes that are read at a time, so that an archive's are not held twice
LAST_LETTER = 0x10FFFF  # of Unicode
OBJECTS = (
    "it holds Python objects, which are never loaded: save ids and labels as strings, vectors as "
    "float32"
)


def read_npy(
    path: Path, advice: str = AGAIN, raises: type[ProjectError] = ManifestError
) -> NDArray[np.generic]:
    """Read one ``.npy`` file; the array has the shape that its header says.

    Args:
        path: The file.
        advice: What to do where it cannot be read.
        raises: The error to raise then.

    Raises:
        ProjectError: ``raises``: it is torn, holds objects, or promises more than is there.
    """
    with reading(path, "a .npy file", advice, raises), path.open("rb") as handle:
        return _read_array(handle, path.stat().st_size, str(path), raises)


def read_npz(
    path: Path,
    only: Collection[str] | None = None,
    advice: str = AGAIN,
    raises: type[ProjectError] = ManifestError,
) -> Arrays:
    """Read the arrays of an ``.npz`` file by their names, each in the shape of its header.

    Args:
        path: The file.
        only: The arrays to read, which must be there; none reads all.
        advice: What to do where it cannot be read.
        raises: The error to raise then.

    Raises:
        ProjectError: ``raises``: it is torn, holds objects, promises more than is there, or lacks
            an array.
    """
    found: Arrays = {}
    with (
        reading(path, "an .npz file", advice, raises),
        path.open("rb") as handle,
        zipfile.ZipFile(handle) as archive,
    ):
        _weigh(archive, path, raises)
        for name, member in _members(archive, only):
            with archive.open(member) as part:
                where = f"{path}: {name}"
                found[name] = _read_array(part, member.file_size, where, raises)
    return found


def _members(
    archive: zipfile.ZipFile, only: Collection[str] | None
) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    of_name = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
    for name in of_name if only is None else only:
        yield name, of_name[name]


def _weigh(archive: zipfile.ZipFile, path: Path, raises: type[ProjectError]) -> None:
    """Refuse an archive that would unpack to a multiple of its size."""
    whole = sum(member.file_size for member in archive.infolist())
    size = path.stat().st_size
    if whole > max(HARMLESS_BYTES, MOST_GROWTH * size):
        raise raises(
            f"{path}: unpacks from {size} to {whole} bytes, expected at most {MOST_GROWTH} times "
            "its size; if you trust its maker, save it with numpy.savez, which does not compress"
        )


def _read_array(
    handle: IO[bytes], size: int, where: str, raises: type[ProjectError]
) -> NDArray[np.generic]:
    """Read one array of ``size`` bytes, header included."""
    version = npy.read_magic(handle)
    if version == (1, 0):
        shape, by_column, dtype = npy.read_array_header_1_0(handle)
    else:
        shape, by_column, dtype = npy.read_array_header_2_0(handle)
    if dtype.hasobject:
        raise raises(f"{where}: {OBJECTS}")
    promised = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or promised > size - handle.tell():
        raise raises(
            f"{where}: its header promises the shape {shape} of {dtype}, {promised} bytes, and "
            f"{size - handle.tell()} are there; copy or save it again"
        )
    array = np.ndarray(shape, dtype, order="F" if by_column else "C")
    _fill(array.reshape(-1, order="F" if by_column else "C"), handle)
    if not _is_text(array):
        raise raises(f"{where}: it holds letters that do not exist; save it again")
    return array


def _fill(array: NDArray[np.generic], handle: IO[bytes]) -> None:
    """Fill an array (n,) with the next bytes of a file; ``numpy`` would read its header again."""
    if not array.nbytes:
        return
    content = array.view(np.uint8).data
    for start in range(0, len(content), AT_ONCE):
        part = content[start : start + AT_ONCE]
        if handle.readinto(part) != len(part):  # type: ignore[attr-defined]
            raise EOFError("it ends before its array does")


def _is_text(array: NDArray[np.generic]) -> bool:
    """Say whether every letter of an array of text is one; NumPy looks at none of them."""
    if array.dtype.kind != "U" or not array.dtype.itemsize:
        return True
    native = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("="), copy=False)
    letters = native.reshape(-1).view(np.uint32)
    return not ((letters > LAST_LETTER) | ((letters >= 0xD800) & (letters < 0xE000))).any()


def digest_of(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """Twelve hex digits over names, types, shapes and values, whatever the order of the arrays.

    >>> digest_of({"a": np.zeros(2)}) == digest_of({"a": np.ones(2)})
    False
    """
    hasher = hashlib.sha256()
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        hasher.update(f"{name} {values.dtype.str} {values.shape}".encode())
        hasher.update(values.tobytes())
    return hasher.hexdigest()[:12]
