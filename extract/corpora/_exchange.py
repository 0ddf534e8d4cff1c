"""What readers and writers of other projects' formats share: rows, roles, paths, lengths."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from embeddings_store.corpus.column_names import STRINGS, TIMES
from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest, safe_name
from embeddings_store.corpus.media_paths import BACKSLASH, settle_path
from embeddings_store.errors import (
    ManifestError,
    MediaError,
    MissingDependencyError,
    UnsafePathError,
)
from embeddings_store.folds.plan import ROLES, FoldPlan
from extract.corpora._notes import Notes

Row = dict[str, Any]
# A list of training rows of one project is a list of validation rows of another; these words are
# one here.
ROLE_WORDS = {
    "train": "train",
    "dev": "valid",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "test": "test",
}


def rows_of(manifest: Manifest) -> list[Row]:
    """Return one dict per row with what it gives.

    Strings that are not empty, times and numbers that are not ``nan``.
    """
    rows: list[Row] = [{} for _ in range(len(manifest))]
    for name in manifest.table:
        for row, value in zip(rows, manifest.table[name].tolist(), strict=True):
            is_nan = value != value
            if value not in ("", None) and not is_nan:
                row[str(name)] = value
    return rows


def to_manifest(
    name: str,
    rows: Sequence[Row],
    root: Path,
    notes: Notes,
    roles: Mapping[int, Mapping[str, str]] | None = None,
    labels: LabelSet | None = None,
) -> Manifest:
    """Make a manifest from rows that may have different keys.

    Keys that are no column of a manifest become ``meta_*``.

    Args:
        name: The corpus' name, made safe.
        rows: Values by column.
        root: The folder that media paths are relative to, or that absolute ones must lie in.
        notes: What the reader noticed.
        roles: By fold, the role of each id. One fold becomes the column ``split``; several become
            ``meta_fold_1`` and so on, which the plan ``given`` uses as they are.
        labels: The label set; by default the labels that occur.

    Raises:
        ManifestError: There is no row, or a row breaks a promise.
    """
    if not rows:
        raise ManifestError(
            f"{root}: no utterance in it; {'; '.join(notes.lines()) or 'check --root'}"
        )
    folds = dict(sorted((roles or {}).items()))
    for row in rows:
        for medium in ("audio", "video"):
            if row.get(medium):
                path, odd = settle_path(str(row[medium]), root)
                if odd == BACKSLASH:
                    notes.count(odd, str(row[medium]))
                row[medium] = _inside(path, root)
        _enter_roles(row, folds)
    columns: dict[str, object] = {}
    # A dictionary keeps the order in which rows name their keys, and each key once.
    keys: dict[str, None] = {}
    for row in rows:
        keys.update(dict.fromkeys(row))
    for key in keys:
        known = key in {*STRINGS, *TIMES} or key.startswith(("meta_", "vote_"))
        column = key if known else f"meta_{key}"
        columns[column] = _column([row.get(key) for row in rows], column)
    manifest = Manifest.from_columns(
        safe_name(name), columns, root=root.resolve(), notes=notes.lines(), labels=labels
    )
    given = any(column.startswith("meta_fold_") for column in columns)
    return replace(manifest, protocol="given" if given else manifest.guess_protocol())


def _enter_roles(row: Row, folds: Mapping[int, Mapping[str, str]]) -> None:
    """Write the row's role in each fold into it: one fold is a split, several are metadata."""
    if len(folds) == 1:
        (of_id,) = folds.values()
        row.setdefault("split", of_id.get(row["id"], ""))
        return
    for number, of_id in folds.items():
        row[f"meta_fold_{number}"] = of_id.get(row["id"], "")


def _column(values: list[Any], name: str) -> list[Any]:
    """Return a column as a manifest holds it: texts, or numbers with ``nan`` for none."""
    if name in STRINGS:
        return ["" if value is None else str(value) for value in values]
    if name in TIMES or all(value is None or _is_number(value) for value in values):
        return [float("nan") if value in (None, "") else value for value in values]
    return [_as_text(value) for value in values]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _inside(path: str, root: Path) -> str:
    """Return a relative path in its plain form.

    Raises:
        UnsafePathError: It is absolute: it does not lie in ``root``, or climbs.
    """
    if Path(path).is_absolute():
        raise UnsafePathError(
            f"{path!r} does not lie in {root}; name the folder of the media with --corpus-option "
            "media=DIR"
        )
    return PurePosixPath(path).as_posix()


def media_folder(root: Path, media: str) -> Path:
    """Return the folder that media paths are relative to.

    The option ``media`` where it is given, else ``root``.

    Raises:
        ManifestError: There is no such folder.
    """
    folder = Path(media).expanduser() if media else root
    if not folder.is_dir():
        raise ManifestError(
            f"{folder}: no such folder; media=DIR names the folder that the paths in the lists "
            "are relative to"
        )
    return folder


def roles_by_fold(plan: FoldPlan) -> Iterator[tuple[int, dict[str, list[int]]]]:
    """Yield each fold's number and the positions of its rows by role, unused ones left out."""
    for fold in plan:
        positions: dict[str, list[int]] = {}
        for role in ROLES[1:]:
            rows = np.flatnonzero(fold.mask(role)).tolist()
            if rows:
                positions[role] = rows
        yield fold.number, positions


def write_json_lines(path: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as handle:
        handle.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)


def write_json_file(path: Path, data: object) -> None:
    """Write one JSON file for people and programs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


class Lengths:
    """Length, rate and channels of sound files, from their headers; each file is looked at once."""

    def __init__(self, manifest: Manifest, notes: Notes) -> None:
        self._manifest, self._notes = manifest, notes
        self._known: dict[str, tuple[float, int, int] | None] = {}

    def of(self, row: Row) -> tuple[float, int, int] | None:
        """Return seconds of the whole file, Hz and channels of a row's sound.

        None where its header cannot be read.
        """
        name = row["audio"]
        if name not in self._known:
            self._known[name] = self._look(name)
        return self._known[name]

    def span(self, row: Row) -> tuple[float | None, float | None, float | None]:
        """Return where a row's sound starts, ends and how long it is, in seconds.

        None, noted, where that is not known.
        """
        facts, start_s, end_s = self.of(row), row.get("start_s"), row.get("end_s")
        if facts is None:
            self._notes.count(
                "row without a length, because its file is not there or cannot be read", row["id"]
            )
        whole_s = facts[0] if facts else None
        if start_s is None and end_s is None:
            return None, None, whole_s
        stop_s = end_s if end_s is not None else whole_s
        return (
            start_s or 0.0,
            stop_s,
            None if stop_s is None else round(stop_s - (start_s or 0.0), 6),
        )

    def _look(self, name: str) -> tuple[float, int, int] | None:
        from extract.media.header import probe_sound

        if self._manifest.root is None:
            return None
        try:
            return probe_sound(self._manifest.media_path(name))
        except MediaError:
            return None


def listed_rows(manifest: Manifest, notes: Notes, project: str) -> dict[int, Row]:
    """Return the rows that a list of labelled sound files can hold, by position.

    Rows without a sound file or without a class are left out and noted, and so is what a reader of
    such lists ignores.

    Args:
        manifest: The corpus.
        notes: Gets what is left out.
        project: Whose list it is, for the notes.

    Returns:
        Position in the manifest to the row, whose ``class`` is the label set's.

    Raises:
        ManifestError: No row has both a sound file and a class.
    """
    kept: dict[int, Row] = {}
    classes = manifest.labels.classes if manifest.labels else ()
    rows, codes = rows_of(manifest), manifest.codes().tolist()
    for position, (row, code) in enumerate(zip(rows, codes, strict=True)):
        if not row.get("audio"):
            notes.count(
                f"row left out, because {project} lists sound files and it has none", row["id"]
            )
        elif code < 0:
            notes.count(f"row left out, because {project} takes no row without a class", row["id"])
        else:
            kept[position] = {**row, "class": classes[code]}
    if not kept:
        raise ManifestError(
            f"corpus {manifest.name!r} has no row with both a sound file and a class, and "
            f"{project} lists nothing else; {'; '.join(notes.lines())}"
        )
    if manifest.has("video"):
        notes.say(
            f"{project} reads no pictures; their paths are kept beside, under the key 'video'"
        )
    return kept


def label_set(name: str, rows: Sequence[Row], classes: Sequence[str] = ()) -> LabelSet | None:
    """Return the label set of rows that have both a ``class`` and a raw ``label``.

    The pairs are the mapping; the key ``class`` is taken out of the rows.

    Args:
        name: Of the label set.
        rows: Those with a ``class`` and perhaps a ``label``.
        classes: An order; by default the classes are sorted.

    Returns:
        The label set, none where the rows hold fewer than two classes.
    """
    mapping: dict[str, str] = {}
    for row in rows:
        chosen = str(row.pop("class", ""))
        if chosen:
            mapping[str(row.setdefault("label", chosen))] = chosen
    found = set(mapping.values())
    order = tuple(c for c in classes if c in found) or tuple(sorted(found))
    return LabelSet(name, order, mapping) if len(order) > 1 else None


def missing(package: str) -> MissingDependencyError:
    """Return the error for a library of the extra ``interchange``."""
    return MissingDependencyError(
        f"this needs the package {package}, which is not installed; install the extra: "
        "pip install 'emotion-fusion[extract,interchange]'"
    )


def fold_number(text: str) -> int:
    """Return the number at the end of a folder's name, 0 where there is none.

    >>> fold_number("fold_12"), fold_number("Session3"), fold_number("other")
    (12, 3, 0)
    """
    match = re.search(r"(\d+)$", text)
    return int(match[1]) if match else 0
