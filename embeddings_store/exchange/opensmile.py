"""The columns of openSMILE's tables, and whose vectors they hold.

``SMILExtract`` writes ``name;frameTime;...`` as CSV and ARFF, with names in single quotes; the
Python package ``opensmile`` and audformat write ``file,start,end,...``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.column_names import Renames
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError

if TYPE_CHECKING:
    import pandas as pd

FRAME = ("frameIndex", "frameTime")
# What SMILExtract writes behind the features for a class that it was not given.
CLASS = ("class", "emotion", "label")
# Two programs may round the end of a file to different samples.
SAME_TIME_S = 0.011


def own_columns(names: Sequence[str]) -> Renames:
    """Return what openSMILE's own columns are here, nothing for other tables.

    >>> own_columns(["name", "frameTime", "F0"])
    (('name', 'id'), ('frameTime', 'meta_frameTime'))
    >>> own_columns(["file", "start", "end", "F0"])
    (('file', 'audio'), ('start', 'start_s'), ('end', 'end_s'))
    """
    frame = [name for name in FRAME if name in names]
    if "name" in names and frame and "id" not in names:
        return (("name", "id"), *((name, f"meta_{name}") for name in frame))
    if {"file", "start", "end"} <= set(names) and not {"id", "audio"} & set(names):
        return (("file", "audio"), ("start", "start_s"), ("end", "end_s"))
    return ()


def plain_names(path: Path, ids: pd.Series) -> pd.Series:
    """Return the names of a ``name;frameTime`` table without their quotes.

    Raises:
        ManifestError: A name has several rows.
    """
    quoted = ids.str.len().ge(2) & ids.str.startswith("'") & ids.str.endswith("'")
    names = ids.str[1:-1] if quoted.all() else ids
    twice = names[names.duplicated()]
    if len(twice):
        count = int((names == twice.iloc[0]).sum())
        raise ManifestError(
            f"{path}: holds {count} rows of {twice.iloc[0]!r}, and one vector is taken of an "
            "utterance; extract functionals instead of frames, and give each file a name of its "
            "own with SMILExtract -instname"
        )
    return names


def ids_of_places(path: Path, rows: pd.DataFrame) -> NDArray[np.str_]:
    """Return an id for each row of a ``file,start,end`` table (n,): the file, or its part.

    Raises:
        ManifestError: A part stands there twice.
    """
    files = rows["audio"]
    parts = files + ":" + _short(rows["start_s"]) + "-" + _short(rows["end_s"])
    ids = parts if files.duplicated().any() else files
    twice = ids[ids.duplicated()]
    if len(twice):
        raise ManifestError(
            f"{path}: {twice.iloc[0]!r} is there more than once; one vector is taken of an "
            "utterance, so extract functionals instead of frames"
        )
    return np.asarray(ids.to_numpy(dtype=str))


def _short(times: pd.Series) -> pd.Series:
    return times.map(lambda value: "" if np.isnan(value) else f"{value:g}").astype("str")


def match_places(source: Path, places: pd.DataFrame, manifest: Manifest) -> NDArray[np.str_]:
    """Return the manifest's id for each row of a ``file,start,end`` table (n,).

    A file is the manifest's ``audio`` of the same path, or the only one whose path ends like it;
    without such a column, the id that is its path, name or stem. Among several utterances of a file
    the times decide.

    Args:
        source: The table, for messages.
        places: ``audio``, ``start_s`` and ``end_s`` of its rows.
        manifest: The corpus.

    Raises:
        ManifestError: A row belongs to no utterance, or to several.
    """
    column = "audio" if manifest.has("audio") else "id"
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(manifest.column(column).tolist()):
        rows_of[name].append(row)
    by_end = _by_end(rows_of)
    starts = manifest.table["start_s"].fillna(0.0).tolist()
    ends = manifest.table["end_s"].tolist()
    per_file = places["audio"].value_counts()
    found: list[int] = []
    for file, start, end in zip(places["audio"], places["start_s"], places["end_s"], strict=True):
        rows = rows_of[name] if (name := _name_of(file, rows_of, by_end)) else []
        if len(rows) > 1 or (rows and per_file[file] > 1):
            rows = [
                row
                for row in rows
                if abs(starts[row] - start) < SAME_TIME_S and abs(ends[row] - end) < SAME_TIME_S
            ]
        found.append(rows[0] if len(rows) == 1 else -1)
    lost = [place for place, row in enumerate(found) if row < 0]
    if lost:
        first = places.iloc[lost[0]]
        raise ManifestError(
            f"{source}: {len(lost)} of {len(found)} rows belong to no utterance or to several, "
            f"first {first['audio']!r} from {first['start_s']:g} to {first['end_s']:g} s; give the "
            f"rows that these vectors were made of with --rows, with their column audio (and "
            f"start_s, end_s where a file holds several), or name a column of ids with "
            f"--columns file=id"
        )
    return manifest.ids[found]


def _by_end(names: Collection[str]) -> dict[str, list[str]]:
    """Return the names by their last part."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if name:
            found[PurePath(name).name].append(name)
    return found


def _name_of(file: str, names: Collection[str], by_end: dict[str, list[str]]) -> str:
    """Return the one name that means a file, empty where none or several do."""
    if file in names:
        return file
    path = PurePath(file.replace("\\", "/"))
    fitting = []
    for name in by_end.get(path.name, []):
        if path.as_posix().endswith(f"/{name}") or name.endswith(f"/{path.as_posix()}"):
            fitting.append(name)
    if not fitting:
        fitting = [name for name in (path.name, path.stem) if name in names]
    return fitting[0] if len(set(fitting)) == 1 else ""
