"""Rows on their way into the store.

Small immutable files, each renamed into place, so that a kill loses no finished row.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings_store.array_files import digest_of, read_npz
from embeddings_store.atomic import make_folder, remove_leftovers, replacing, write_json
from embeddings_store.errors import StoreError
from embeddings_store.reading import reading

DIGEST = "digest"  # of the other arrays of a part
REMOVE = "remove it and run the same command again"
Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class ShardFolder:
    """A folder of ``part-000000.npz`` files; each holds ``positions`` (n,) and columns of n rows.

    Each has a digest over them. A position is a row of the manifest. One process writes at a time:
    hold :func:`embeddings_store.atomic.exclusive` on :attr:`lock` meanwhile.
    """

    path: Path

    @property
    def lock(self) -> Path:
        """The lock file, beside the folder so that removing the folder does not free it early."""
        return self.path.with_name(f"{self.path.name}.lock")

    def start(self, about: Mapping[str, object]) -> list[str]:
        """Make the folder, clear what a kill left, and drop parts that cannot be read.

        Returns:
            One sentence for each dropped part.
        """
        make_folder(self.path)
        remove_leftovers(self.path)
        write_json(self.path / "about.json", dict(about))
        dropped = []
        for part in self._parts():
            try:
                _check(part)
            except StoreError as error:
                part.unlink()
                dropped.append(f"{error}; its rows are made again")
        return dropped

    def commit(self, positions: NDArray[np.int64], columns: Arrays) -> None:
        """Write rows as the next part; once this returns, they survive a kill and a power cut.

        Args:
            positions: Where the rows stand in the manifest (n,).
            columns: Name to the values of these rows (n, ...).

        Raises:
            ValueError: A column has another length than ``positions``.
            StoreFullError: The disk is full; earlier parts are safe.
        """
        for name, values in columns.items():
            if len(values) != len(positions):
                raise ValueError(
                    f"column {name!r} has {len(values)} rows for {len(positions)} positions"
                )
        number = max((_number(part) for part in self.path.glob("part-*.npz")), default=-1) + 1
        with (
            replacing(self.path / f"part-{number:06d}.npz", clear=False) as temporary,
            temporary.open("wb") as handle,
        ):
            whole = {"positions": positions, **columns}
            digest = np.array(digest_of(whole))
            np.savez(handle, **whole, **{DIGEST: digest})  # type: ignore[arg-type]

    def finished(self) -> NDArray[np.int64]:
        """Positions (n,) of all committed rows, sorted and unique.

        A part that cannot be read has none.
        """
        parts = [np.array([], dtype=np.int64)]
        for part in self._parts():
            with contextlib.suppress(StoreError):
                parts.append(_positions(part))
        return np.unique(np.concatenate(parts))

    def assemble(self, rows: int) -> dict[str, NDArray[np.generic]]:
        """Return every column in manifest order, shape (rows, ...).

        Where a row was committed twice, the later part counts: that is how a failed row is tried
        again. The parts are read one after the other, so this takes the memory of the result and
        one part.

        Raises:
            ValueError: A row is absent, a position is outside, or the parts hold different columns.
        """
        done = np.zeros(rows, dtype=bool)
        columns: dict[str, NDArray[np.generic]] = {}
        for part in self._parts():
            data = _read(part)
            positions = data.pop("positions")
            if len(positions) and not 0 <= positions.min() <= positions.max() < rows:
                raise ValueError(
                    f"{part}: holds row {positions.max()} of a corpus with {rows} rows; remove "
                    f"{self.path}"
                )
            if columns and data.keys() != columns.keys():
                raise ValueError(
                    f"{part}: holds the columns {sorted(data)}, the parts before it "
                    f"{sorted(columns)}; remove {self.path}"
                )
            for name, values in data.items():
                columns[name] = _filled(columns.get(name), values, positions, rows)
            done[positions] = True
        if not done.all():
            raise ValueError(f"{self.path}: {int((~done).sum())} of {rows} rows are not there yet")
        return columns

    def remove(self) -> None:
        """Delete the folder; call it when the assembled files are in place."""
        shutil.rmtree(self.path)

    def _parts(self) -> list[Path]:
        return sorted(self.path.glob("part-*.npz"), key=_number)


def _number(part: Path) -> int:
    return int(part.stem.removeprefix("part-"))


def _read(part: Path) -> dict[str, NDArray[np.generic]]:
    columns = read_npz(part, advice=REMOVE, raises=StoreError)
    digest = columns.pop(DIGEST, None)
    if digest is None or str(digest) != digest_of(columns):
        raise StoreError(f"{part}: is not what was written ({DIGEST} differs); {REMOVE}")
    return columns


def _positions(part: Path) -> NDArray[np.int64]:
    found = read_npz(part, only=("positions",), advice=REMOVE, raises=StoreError)
    return np.asarray(found["positions"], dtype=np.int64)


def _check(part: Path) -> None:
    """Raise :class:`StoreError` unless the part is whole."""
    columns = _read(part)
    with reading(part, "finished rows", REMOVE, StoreError):
        lengths = {name: len(values) for name, values in columns.items()}
        if len({*lengths.values(), lengths["positions"]}) != 1:
            raise ValueError(f"columns of different lengths, {lengths}")


def _filled(
    column: NDArray[np.generic] | None,
    values: NDArray[np.generic],
    positions: NDArray[np.generic],
    rows: int,
) -> NDArray[np.generic]:
    """Put ``values`` into their rows of ``column``.

    The column is made on first use, and widened where a string is longer than those before it.
    """
    if column is None:
        column = np.zeros((rows, *values.shape[1:]), dtype=values.dtype)
    wider = np.result_type(column, values)
    if wider != column.dtype:
        column = column.astype(wider)
    column[positions] = values
    return column
