"""Datasets as the Hugging Face hub serves them: Parquet tables by split, sound inside of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embeddings_store.corpus.columns import SPLIT_ROLES
from embeddings_store.errors import ManifestError, UnsafePathError, UsageError, unknown_name
from embeddings_store.reading import reading
from extract.corpora._dataset_part import BATCH, Cells, DatasetPart
from extract.media.lfs_pointer import is_lfs_pointer

if TYPE_CHECKING:
    import pyarrow as pa

SHARD = re.compile(r"(?P<split>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?:-[0-9a-f]+)?")
NUMBER = re.compile(r"\d{4,5}")  # of a table whose folder is the split: default/train/0000.parquet
DEEPEST = 3  # folders: config/split/0000.parquet
PICTURES = ("Image", "Video")
FETCH = "fetch the dataset again"


@dataclass(frozen=True, slots=True, order=True)
class _Table:
    """One Parquet file and what its path says.

    Attributes:
        config: Which of the dataset's variants it belongs to, empty where there are none.
        split: The split, empty where its name says none.
        number: Which of the split's tables it is, from 0; -1 where its name does not say.
        count: How many tables the split has, 0 where its name does not say.
        path: The file.
    """

    config: str
    split: str
    number: int
    count: int
    path: Path


def is_snapshot(folder: Path) -> bool:
    """Say whether a folder holds Parquet tables at the depths where the hub has them."""
    return next(_paths(folder), None) is not None


def snapshot_name(root: Path) -> str:
    """Return the dataset's name: the folder's, in the hub's cache that of the whole download.

    >>> snapshot_name(Path("/cache/datasets--me--moods/snapshots/3f2a"))
    'me--moods'
    """
    root = root.resolve()
    if root.parent.name == "snapshots":
        return root.parent.parent.name.removeprefix("datasets--")
    return root.name


def snapshot_parts(root: Path, config: str) -> Iterator[DatasetPart]:
    """Yield the splits of a snapshot.

    Args:
        root: Its folder.
        config: The variant that is meant, where there are several.

    Raises:
        UsageError: There are several variants, and none is named.
        UnknownNameError: There is no such variant.
        ManifestError: A table is missing, was not fetched or is none, or the tables of a split
            have different columns.
        UnsafePathError: A table is a link that leads out of the download.
    """
    tables = sorted(_table(root, path) for path in _paths(root))
    configs = list(dict.fromkeys(table.config for table in tables))
    if config and config not in configs:
        unknown_name("variant of the dataset", config, configs)
    if not config and len(configs) > 1:
        raise UsageError(
            f"{root}: holds {len(configs)} variants of the dataset ({', '.join(configs)}); name "
            "one with --corpus-option config=NAME"
        )
    chosen = [table for table in tables if table.config == (config or configs[0])]
    for split, group in groupby(chosen, key=lambda table: table.split):
        shards = list(group)
        _check_shards(root, shards)
        yield _part(split, [table.path for table in shards])


def _paths(root: Path) -> Iterator[Path]:
    for depth in range(DEEPEST):
        with reading(root, "a folder", "check its permissions"):
            found = sorted(root.glob("*/" * depth + "*.parquet"))
        for path in found:
            if not any(part.startswith(".") for part in path.relative_to(root).parts):
                yield path


def _table(root: Path, path: Path) -> _Table:
    """Return what the path of a table says.

    >>> home = Path("/moods")
    >>> found = _table(home, home / "en/train-00001-of-00002.parquet")
    >>> (found.config, found.split, found.number, found.count)
    ('en', 'train', 1, 2)
    >>> _table(home, home / "en/train/0000.parquet").split
    'train'
    >>> _table(home, home / "data/moods_test.parquet").split
    'test'
    """
    folders = [part for part in path.relative_to(root).parts[:-1] if part != "data"]
    number, count = -1, 0
    if match := SHARD.fullmatch(path.stem):
        split, number, count = match["split"], int(match["number"]), int(match["count"])
    elif NUMBER.fullmatch(path.stem) and folders:
        split, number = folders.pop(), int(path.stem)
    else:
        words = re.split(r"[^a-z]+", path.stem.lower())
        split = next((word for word in words if word and word in SPLIT_ROLES), "")
    return _Table("/".join(folders), split, number, count, path)


def _check_shards(root: Path, tables: Sequence[_Table]) -> None:
    """Check that all tables of a split are there, fetched, and in the download.

    Raises:
        ManifestError: One is not.
        UnsafePathError: One is a link that leads elsewhere.
    """
    counts = {table.count for table in tables}
    numbers = [table.number for table in tables]
    count = max(counts) or max(numbers) + 1
    numbered = max(numbers) >= 0
    if numbered and (len(counts) > 1 or numbers != list(range(count))):
        raise ManifestError(
            f"{root}: the split {tables[0].split!r} has the tables "
            f"{', '.join(table.path.name for table in tables)}; expected are {count}, each once: "
            f"{FETCH}"
        )
    home = root.resolve()
    homes = [home, home.parent.parent / "blobs"] if home.parent.name == "snapshots" else [home]
    for table in tables:
        with reading(table.path, "a Parquet table", FETCH):
            target = table.path.resolve(strict=True)
        if not any(target.is_relative_to(folder) for folder in homes):
            raise UnsafePathError(
                f"{table.path}: leads out of the dataset's folder, to {target}; put the table in "
                "its place"
            )
        if is_lfs_pointer(target):
            raise ManifestError(
                f"{table.path}: is a Git-LFS pointer, not the table itself; run git lfs pull"
            )


def _part(split: str, paths: Sequence[Path]) -> DatasetPart:
    import pyarrow as pa
    from pyarrow import parquet

    kinds: Mapping[str, dict[str, Any]] = {}
    columns: tuple[str, ...] = ()
    for path in paths:
        with (
            reading(path, "a Parquet table", FETCH),
            path.open("rb") as handle,
            parquet.ParquetFile(handle, pre_buffer=False) as file,
        ):
            schema = file.schema_arrow
            features = _features(path, schema)
        found = tuple(f.name for f in schema if _is_readable(f, features.get(f.name, {})))
        twice = [name for name in found if found.count(name) > 1]
        if twice:
            raise ManifestError(f"{path}: has the column {twice[0]!r} twice; {FETCH}")
        if columns and found != columns:
            odd = sorted(set(found) ^ set(columns)) or list(found)
            raise ManifestError(
                f"{path}: has other columns than {paths[0].name} ({odd[0]!r}), and both are of the "
                f"split {split!r}: {FETCH}"
            )
        columns, kinds = found, kinds or features

    def rows(wanted: Sequence[str]) -> Iterator[Cells]:
        for path in paths:
            yield from _rows(path, wanted)

    classes = {
        column: tuple(map(str, kind["names"]))
        for column, kind in kinds.items()
        if kind.get("_type") == "ClassLabel" and isinstance(kind.get("names"), list)
    }
    several = [f.name for f in schema if pa.types.is_list(f.type) or pa.types.is_large_list(f.type)]
    return DatasetPart(split, columns, classes, tuple(several), rows)


def _rows(path: Path, columns: Sequence[str]) -> Iterator[Cells]:
    from pyarrow import parquet

    with (
        reading(path, "a Parquet table", FETCH),
        path.open("rb") as handle,
        parquet.ParquetFile(handle, pre_buffer=False) as file,
    ):
        for batch in file.iter_batches(BATCH, columns=list(columns), use_threads=False):
            yield from batch.to_pylist()


def _features(path: Path, schema: pa.Schema) -> Mapping[str, dict[str, Any]]:
    """Return what the library that wrote a table noted of its columns; nothing where it did not."""
    noted = (schema.metadata or {}).get(b"huggingface")
    if noted is None:
        return {}
    with reading(path, "a table of a dataset, by the note on its columns", FETCH):
        features = json.loads(noted).get("info", {}).get("features", {})
        return {name: kind for name, kind in features.items() if isinstance(kind, dict)}


def _is_readable(field: pa.Field, feature: Mapping[str, Any]) -> bool:
    """Say whether a row can take the column's value: text, a number, or a sound."""
    import pyarrow as pa

    kind = field.type
    if pa.types.is_struct(kind):
        names = {kind.field(place).name for place in range(kind.num_fields)}
        return {"bytes", "path"} <= names and feature.get("_type") not in PICTURES
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(
        check(kind)
        for check in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_integer,
            pa.types.is_floating,
            pa.types.is_boolean,
        )
    )
