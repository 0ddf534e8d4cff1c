"""Datasets as save_to_disk of the library ``datasets`` writes them: Arrow tables and lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from embeddings_store.errors import ManifestError
from embeddings_store.reading import read_json, reading
from extract.corpora._dataset_part import BATCH, Cells, DatasetPart
from extract.corpora._exchange import missing

LISTS = ("dataset_dict.json", "dataset_info.json")


def is_saved(folder: Path) -> bool:
    """Say whether a folder is what save_to_disk wrote."""
    return any((folder / name).is_file() for name in LISTS)


def saved_parts(root: Path, datasets: Any) -> Iterator[DatasetPart]:
    """Yield the splits of a saved dataset.

    Args:
        root: The folder.
        datasets: The library, see :func:`library`.

    Raises:
        ManifestError: It is no such dataset, or its lists lead out of the folder.
    """
    _check_references(root)
    with _reading(root, datasets):
        loaded = datasets.load_from_disk(str(root))
    parts = dict(loaded.items()) if isinstance(loaded, datasets.DatasetDict) else {"": loaded}
    for name, part in parts.items():
        yield _part(root, datasets, name, part)


@contextmanager
def library() -> Iterator[Any]:
    """Import ``datasets``, quiet.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import datasets
    except ImportError:
        raise missing("datasets") from None
    shown = datasets.utils.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield datasets
    finally:
        if not shown:
            datasets.enable_progress_bars()


def _part(root: Path, datasets: Any, name: str, part: Any) -> DatasetPart:
    kinds = dict(part.features)
    with _reading(root, datasets):
        part.data.validate(full=True)  # Arrow follows lengths beyond the end of the file
        for column, kind in kinds.items():
            if isinstance(kind, datasets.Audio):
                part = part.cast_column(column, datasets.Audio(decode=False))
        # Pictures and films are no part of a row, and decoding them would open what they name.
        opened = [
            column
            for column, kind in kinds.items()
            if _opens_files(kind) and not isinstance(kind, datasets.Audio)
        ]
        part = part.remove_columns(opened)

    def rows(columns: Sequence[str]) -> Iterator[Cells]:
        with _reading(root, datasets):  # The tables are read row by row.
            for batch in part.select_columns(list(columns)).iter(BATCH):
                for cells in zip(*batch.values(), strict=True):
                    yield dict(zip(batch, cells, strict=True))

    classes = {
        column: kind.names
        for column, kind in kinds.items()
        if isinstance(kind, datasets.ClassLabel)
    }
    several = [c for c, kind in kinds.items() if isinstance(kind, list) or hasattr(kind, "feature")]
    return DatasetPart(name, tuple(part.column_names), classes, tuple(several), rows)


def _reading(root: Path, datasets: Any) -> AbstractContextManager[None]:
    """Turn what Arrow, JSON and the library's own checks raise into one error."""
    fault = f"is no dataset that datasets {datasets.__version__} reads"
    return reading(root, "", fault=fault)


def _check_references(root: Path) -> None:
    """Refuse splits and tables that the dataset's own lists name outside of its folder.

    What cannot be read as such a list is left to the library, which says what is wrong.

    Raises:
        ManifestError: A list names something that is not in the same folder.
    """
    listed = _names_in(root / "dataset_dict.json", "splits")
    states = [root / "state.json"]
    for name in listed:
        if not _is_plain(name):
            raise ManifestError(
                f"{root / 'dataset_dict.json'}: names the split {name!r}, which leads out of the "
                "folder; expected the name of a folder in it: fetch the dataset again"
            )
        states.append(root / name / "state.json")
    for state in states:
        for entry in _names_in(state, "_data_files"):
            name = entry.get("filename") if isinstance(entry, dict) else entry
            if not _is_plain(name):
                raise ManifestError(
                    f"{state}: names the table {name!r}, which leads out of the folder; expected "
                    "the name of a file in it: fetch the dataset again"
                )


def _names_in(path: Path, key: str) -> list[Any]:
    """Return the list under ``key`` of a JSON file, empty where there is none."""
    with suppress(ManifestError), reading(path, "a dataset's list"):
        found = read_json(path)[key]
        return list(found) if isinstance(found, list) else []
    return []


def _is_plain(name: object) -> bool:
    return isinstance(name, str) and Path(name).name == name and name != ".." and ":" not in name


def _opens_files(kind: Any) -> bool:
    """Say whether values of a feature are decoded from paths or addresses that they name."""
    if isinstance(kind, dict):
        return any(_opens_files(part) for part in kind.values())
    if isinstance(kind, list | tuple):
        return any(_opens_files(part) for part in kind)
    return hasattr(kind, "decode") or _opens_files(getattr(kind, "feature", ()))
