"""Files with vectors that were made elsewhere.

Npz, .npy with ids, CSV, ARFF and Parquet, read without running anything in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings_store.array_files import read_npy, read_npz
from embeddings_store.corpus.column_names import STRINGS, TIMES, Renames
from embeddings_store.corpus.columns import strings
from embeddings_store.errors import ManifestError, UsageError
from embeddings_store.exchange.vector_tables import EXPORTED, read_vector_table
from embeddings_store.reading import is_file, read_text, reading
from embeddings_store.tables import TABLES

if TYPE_CHECKING:
    import pandas as pd

ROW_COLUMNS = (*STRINGS, *TIMES)
KINDS = {".npz": b"PK", ".npy": b"\x93NUMPY"}


@dataclass(frozen=True, slots=True)
class VectorSource:
    """What a file brings.

    Attributes:
        ids: Unique, shape (n,).
        arrays: Modality to float32 (n, D); a row of nothing but ``nan`` is a missing one.
        rows: Columns of the manifest that the file holds as well; ``id`` at least.
        by_place: The ids are files and times, which other rows may call otherwise.
    """

    ids: NDArray[np.str_]
    arrays: Mapping[str, NDArray[np.float32]]
    rows: pd.DataFrame
    by_place: bool = False


def read_source(
    path: Path, modality: str = "", ids: Path | None = None, columns: Renames = ()
) -> VectorSource:
    """Read vectors with their ids.

    Args:
        path: ``.npz`` (``ids``, one array (n, D) per modality, and perhaps labels, groups, splits),
            ``.npy`` (n, D), or a table, CSV, ARFF or Parquet (``id`` and one column per dimension,
            or openSMILE's columns).
        modality: What the vectors are, where the file does not say; of several arrays, the one to
            take.
        ids: ``.npy`` or text with one id per line, for a file without ids.
        columns: Old names and new names of a table's columns.

    Raises:
        UsageError: The file is of no known kind, or something must be said that was not.
        ManifestError: The file is damaged, holds objects, or its parts do not fit together.
    """
    import pandas as pd

    if not is_file(path):
        raise ManifestError(f"{path}: no such file")
    kind = path.suffix.lower()
    if kind == ".npz":
        source = _from_npz(path, modality, ids)
    elif kind == ".npy":
        listed, vectors = _read_ids(path, ids), _matrix(_load(path)[path.stem], str(path))
        rows = pd.DataFrame({"id": listed})
        source = VectorSource(listed, {_named(path, modality): vectors}, rows)
    elif kind in TABLES:
        table = read_vector_table(path, columns)
        listed = np.asarray(strings(table.rows["id"], "id").to_numpy(dtype=str))
        where = f"{path}: {table.vectors.shape[1]} columns"
        vectors = _matrix(table.vectors, where)
        source = VectorSource(listed, {_named(path, modality): vectors}, table.rows, table.by_place)
    else:
        raise UsageError(f"{path}: import reads .npz, .npy, {', '.join(TABLES[:-1])}, not {kind!r}")
    for name, values in source.arrays.items():
        if len(values) != len(source.ids):
            raise ManifestError(
                f"{path}: {name} has {len(values)} rows for {len(source.ids)} ids; both must have "
                "the same order"
            )
        _check_rows(path, name, values, source.ids)
    twice = len(source.ids) - len(set(source.ids.tolist()))
    if twice:
        raise ManifestError(
            f"{path}: ids are not unique ({twice} too many); an id names one utterance"
        )
    return source


def _from_npz(path: Path, modality: str, ids: Path | None) -> VectorSource:
    import pandas as pd

    arrays = _load(path)
    key = next((k for k in ("ids", "id") if k in arrays), "")
    listed = _text(arrays.pop(key), f"{path}: {key}") if key else _read_ids(path, ids)
    if "vectors" in arrays:
        named = str(arrays.pop("modality", np.array("")))
        arrays = {name: values for name, values in arrays.items() if name not in EXPORTED}
        arrays[modality or named or "vectors"] = arrays.pop("vectors")
    matrices = {
        name: _matrix(values, f"{path}: {name}")
        for name, values in arrays.items()
        if values.ndim > 1
    }
    if not matrices:
        raise ManifestError(
            f"{path}: no array with two dimensions (rows, width); it holds "
            f"{', '.join(f'{n} {v.shape}' for n, v in arrays.items()) or 'nothing'}"
        )
    if modality and len(matrices) == 1:
        matrices = {modality: next(iter(matrices.values()))}
    elif modality and modality not in matrices:
        raise UsageError(f"{path}: has no array {modality!r}; it holds {', '.join(matrices)}")
    elif modality:
        matrices = {modality: matrices[modality]}
    rows: dict[str, NDArray[np.generic]] = {"id": listed}
    for name, values in arrays.items():
        if values.shape == (len(listed),) and name in TIMES and values.dtype.kind in "fiu":
            rows[name] = values
        elif values.shape == (len(listed),):
            singular = name.removesuffix("s") if name.removesuffix("s") in ROW_COLUMNS else name
            rows[singular if singular in ROW_COLUMNS else f"meta_{name}"] = _text(
                values, f"{path}: {name}"
            )
    return VectorSource(listed, matrices, pd.DataFrame(rows))


def _load(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read a .npz or .npy file.

    Objects are refused, because to load them is to run what is in them.
    """
    kind = path.suffix.lower()
    with reading(path, f"a {kind} file"), path.open("rb") as handle:
        if not handle.read(8).startswith(KINDS[kind]):
            raise ManifestError(
                f"{path}: is no {kind} file (it does not begin like one); was it cut short or "
                "renamed?"
            )
    return {path.stem: read_npy(path)} if kind == ".npy" else read_npz(path)


def _named(path: Path, modality: str) -> str:
    if not modality:
        raise UsageError(
            f"{path}: does not say what its vectors are; add --modality text (or audio, video, ...)"
        )
    return modality


def _read_ids(path: Path, ids: Path | None) -> NDArray[np.str_]:
    if ids is None:
        raise UsageError(
            f"{path}: holds no ids; add --ids FILE (.npy, or text with one id per line, in row "
            "order)"
        )
    if not is_file(ids):
        raise ManifestError(f"{ids}: no such file")
    if ids.suffix.lower() == ".npy":
        return _text(_load(ids)[ids.stem], str(ids))
    text = read_text(ids, "a list of ids", "save it as UTF-8, with one id per line")
    return np.array(text.removesuffix("\n").split("\n"))


def _text(values: NDArray[np.generic], where: str) -> NDArray[np.str_]:
    if values.ndim != 1:
        raise ManifestError(
            f"{where} must have one dimension (rows,), not the shape {values.shape}"
        )
    try:
        return np.array(
            [str(v, "utf-8") if isinstance(v, bytes) else str(v) for v in values.tolist()],
            dtype=str,
        )
    except UnicodeDecodeError as error:
        raise ManifestError(f"{where} is not UTF-8 ({error.reason} in {error.object!r})") from error


def _matrix(array: NDArray[np.generic], where: str) -> NDArray[np.float32]:
    if array.ndim != 2 or array.dtype.kind not in "fiub" or array.shape[1] < 1:
        frames = "; average the frames, so that each row is one vector" if array.ndim == 3 else ""
        raise ManifestError(
            f"{where} must hold numbers in the shape (rows, width), not {array.dtype} "
            f"{array.shape}{frames}"
        )
    with np.errstate(
        over="ignore"
    ):  # What does not fit becomes infinite, and _check_rows names the row.
        return array.astype(np.float32)


def _check_rows(path: Path, name: str, values: NDArray[np.float32], ids: NDArray[np.str_]) -> None:
    """Refuse rows with some numbers that are not finite.

    A row of nothing but ``nan`` says that there is no vector.
    """
    torn = np.flatnonzero(~np.isfinite(values).all(axis=1) & ~np.isnan(values).all(axis=1))
    if len(torn):
        raise ManifestError(
            f"{path}: {len(torn)} of {len(ids)} rows of {name!r} hold nan or infinite beside other "
            f"numbers, first {str(ids[torn[0]])!r}; make the row whole, or all nan if there is no "
            "vector"
        )
