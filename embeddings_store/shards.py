"""Rows on their way into the store: small immutable files, each renamed into place, so that a kill loses no finished row."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings_store.atomic import remove_leftovers, replacing, write_json

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class ShardFolder:
    """A folder of ``part-000000.npz`` files; each holds ``positions`` (n,) and columns of n rows.

    A position is a row of the manifest. One process writes at a time: hold
    :func:`embeddings_store.atomic.exclusive` on :attr:`lock` meanwhile.
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
        self.path.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.path)
        write_json(self.path / "about.json", dict(about))
        dropped = []
        for part in self._parts():
            try:
                _read(part)
            except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
                part.unlink()
                dropped.append(f"{part}: is damaged ({error}); its rows are made again")
        return dropped

    def commit(self, positions: NDArray[np.int64], columns: Arrays) -> None:
        """Write rows as the next part; once this returns, they survive a kill and a power cut.

        Raises:
            ValueError: A column has another length than ``positions``.
            StoreFullError: The disk is full; earlier parts are safe.
        """
        for name, values in columns.items():
            if len(values) != len(positions):
                raise ValueError(f"column {name!r} has {len(values)} rows for {len(positions)} positions")
        parts = self._parts()
        number = int(parts[-1].stem.removeprefix("part-")) + 1 if parts else 0
        with replacing(self.path / f"part-{number:06d}.npz") as temporary, temporary.open("wb") as handle:
            np.savez(handle, positions=positions, **columns)  # type: ignore[arg-type]

    def finished(self) -> NDArray[np.int64]:
        """Positions of all committed rows, sorted and unique."""
        parts = [_read(part)["positions"] for part in self._parts()]
        return np.unique(np.concatenate(parts)).astype(np.int64) if parts else np.array([], dtype=np.int64)

    def assemble(self, rows: int) -> dict[str, NDArray[np.generic]]:
        """Return every column in manifest order, shape (rows, ...).

        Where a row was committed twice, the later part counts: that is how a failed row is tried again.

        Raises:
            ValueError: A row is absent.
        """
        parts = [_read(part) for part in self._parts()]
        source = np.full(rows, -1, dtype=np.int64)
        positions = np.concatenate([p["positions"] for p in parts]) if parts else np.array([], dtype=np.int64)
        source[positions] = np.arange(len(positions))
        if (source < 0).any():
            raise ValueError(f"{self.path}: {int((source < 0).sum())} of {rows} rows are not there yet")
        names = [name for name in parts[0] if name != "positions"]
        return {name: np.concatenate([p[name] for p in parts])[source] for name in names}

    def remove(self) -> None:
        """Delete the folder; call it when the assembled files are in place."""
        shutil.rmtree(self.path)

    def _parts(self) -> list[Path]:
        return sorted(self.path.glob("part-*.npz"))


def _read(part: Path) -> dict[str, NDArray[np.generic]]:
    with np.load(part, allow_pickle=False) as data:
        return {name: data[name] for name in data.files}
