"""The manifest: one row per utterance, in columns, checked once and then trusted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from embeddings_store.atomic import exclusive, remove_leftovers, replacing, write_json
from embeddings_store.errors import (
    ManifestError,
    StoreError,
    StoreMismatchError,
    StoreNotFoundError,
    UnsafePathError,
    did_you_mean,
)
from embeddings_store.labels import LabelSet

MEDIA = ("text", "audio", "video")
STRINGS = ("id", "label", "speaker", "group", "session", "split", "language", *MEDIA)
TIMES = ("start_s", "end_s")
INPUTS = ("id", *MEDIA, *TIMES)
CHUNK_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Utterance:
    """One row of a manifest; an empty string means "not given", a missing time is ``nan``."""

    id: str
    label: str = ""
    speaker: str = ""
    group: str = ""
    session: str = ""
    split: str = ""
    language: str = ""
    text: str = ""
    audio: str = ""
    video: str = ""
    start_s: float = float("nan")
    end_s: float = float("nan")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A corpus as a table: who says what, where its media lie, and which label it has.

    Attributes:
        name: The corpus' name, used as a folder name in the store.
        table: Columns ``id, label, speaker, group, session, split, language, text, audio, video`` (strings, empty
            where not given), ``start_s, end_s`` (seconds, ``nan`` where the whole file is meant) and any ``meta_*``.
        labels: The label set, or none for a corpus without labels.
        protocol: The fold plan that belongs to the corpus, see :func:`embeddings_store.folds.make_plan`.
        root: The folder that the media paths are relative to; not part of any digest.
        notes: What the reader noticed: rows skipped, counts, known defects.

    True by construction: ids unique and non-empty, ``start_s < end_s``, labels in the set, no path leaves the root.

    >>> m = Manifest.from_columns("mine", {"id": ["a", "b"], "label": ["sad", "happy"], "text": ["oh", "yes"]})
    >>> len(m), m.labels.classes, m.row(1).text
    (2, ('happy', 'sad'), 'yes')
    """

    name: str
    table: pd.DataFrame
    labels: LabelSet | None = None
    protocol: str = ""
    root: Path | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Bring the columns into their fixed form and check every row."""
        if not self.name or self.name != safe_name(self.name):
            raise ManifestError(f"corpus name {self.name!r} cannot be a folder name; use letters, digits, '-', '_', '.'")
        object.__setattr__(self, "table", _normalise(self.table))
        _check_ids(self.table["id"])
        _check_times(self.table)
        for column in ("audio", "video"):
            _check_paths(self.table[column], column)
        if self.labels is not None:
            self.labels.encode(self.table["label"].unique())

    @classmethod
    def from_columns(cls, name: str, columns: dict[str, object], **fields: object) -> Manifest:
        """Make a manifest from columns; the label set is what occurs unless ``labels`` is given."""
        table = pd.DataFrame(columns)
        labels = fields.pop("labels", None)
        if labels is None and "label" in table and (table["label"].astype(str) != "").any():
            labels = LabelSet.from_labels(name, table["label"].fillna("").astype(str))
        return cls(name, table, labels, **fields)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: Path, name: str = "", protocol: str = "") -> Manifest:
        """Read a CSV or Parquet manifest; media paths are relative to its folder.

        Raises:
            ManifestError: The file is missing, is not a table, or a row breaks a promise.
        """
        table = read_table(path)
        extra = [c for c in table.columns if c not in STRINGS + TIMES and not str(c).startswith("meta_")]
        if extra:
            hint = did_you_mean(str(extra[0]), STRINGS + TIMES)
            raise ManifestError(f"{path}: unknown column {extra[0]!r}{hint} (columns are {', '.join(STRINGS + TIMES)} "
                                "and meta_*); rename it, or prefix it with meta_ to keep it as metadata")
        if not any(c in table and (table[c].astype(str) != "").any() for c in MEDIA):
            raise ManifestError(f"{path}: needs a column text, audio or video with something in it")
        name = name or safe_name(path.stem)
        manifest = cls.from_columns(name, {str(c): table[c] for c in table}, root=path.resolve().parent)
        return replace(manifest, protocol=protocol or manifest.guess_protocol())

    def __len__(self) -> int:
        return len(self.table)

    def row(self, position: int) -> Utterance:
        """Return the view of one row."""
        values = self.table.iloc[position]
        return Utterance(**{c: str(values[c]) for c in STRINGS}, **{c: float(values[c]) for c in TIMES})  # type: ignore[arg-type]

    @property
    def ids(self) -> NDArray[np.str_]:
        """Ids in row order, shape (N,)."""
        return self.column("id")

    def column(self, name: str) -> NDArray[np.str_]:
        """Return a string column as an array, shape (N,)."""
        return np.asarray(self.table[name].to_numpy(dtype=str))

    def codes(self) -> NDArray[np.int64]:
        """Return the class code of each row (N,), -1 where it has no label in the set."""
        if self.labels is None:
            return np.full(len(self), -1, dtype=np.int64)
        return self.labels.encode(self.table["label"].to_numpy(dtype=object))

    def has(self, column: str) -> bool:
        """Say whether any row gives this column."""
        return bool((self.table[column] != "").any())

    def guess_protocol(self) -> str:
        """Name the fold plan that the columns suggest: split, then session, speaker, group."""
        if self.has("split"):
            return "split"
        for column in ("session", "speaker", "group"):
            count = self.table[column].nunique()
            if self.has(column) and count >= 3:
                return f"leave-one-{column}-out" if count <= 10 else f"{column}-kfold:5"
        return ""

    @property
    def inputs_digest(self) -> str:
        """Twelve hex digits over what encoders are given: ids, text, media paths, times; not labels."""
        return self._digest(INPUTS)

    @property
    def digest(self) -> str:
        """Twelve hex digits over every column and the label set."""
        hasher = hashlib.sha256(self._digest(tuple(sorted(self.table.columns))).encode())
        hasher.update((self.labels.digest if self.labels else "").encode())
        return hasher.hexdigest()[:12]

    def _digest(self, columns: tuple[str, ...]) -> str:
        hasher = hashlib.sha256(str(len(self)).encode())
        for name in columns:
            hasher.update(f"\x00{name}\x00".encode())
            for piece in _column_bytes(self.table[name]):
                hasher.update(piece)
        return hasher.hexdigest()[:12]

    def save(self, folder: Path) -> None:
        """Write ``manifest.parquet`` and ``corpus.json`` into ``folder``, each whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / "manifest.parquet") as temporary:
            self.table.to_parquet(temporary, index=False)
        write_json(folder / "corpus.json", {
            "format": "emotion-corpus", "version": 1, "name": self.name, "rows": len(self), "protocol": self.protocol,
            "labels": self.labels.to_dict() if self.labels else None, "digest": self.digest,
            "inputs_digest": self.inputs_digest, "notes": list(self.notes)})

    def enter(self, store: Path) -> None:
        """Put the corpus into a store, or check that the store already holds the very same one.

        Raises:
            StoreMismatchError: The store holds another corpus under this name.
        """
        folder = store / self.name
        with exclusive(folder / ".corpus.lock", f"corpus {self.name!r}", wait_s=60.0):
            remove_leftovers(folder)
            if not (folder / "corpus.json").is_file():
                self.save(folder)
                return
            there = Manifest.load(folder)
            if there.digest != self.digest:
                raise StoreMismatchError(_difference(there, self, folder))

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read what :meth:`save` wrote and compare its digest.

        Raises:
            StoreNotFoundError: There is no corpus in ``folder``.
            StoreError: The files are damaged or do not belong together.
        """
        record = folder / "corpus.json"
        if not record.is_file():
            raise StoreNotFoundError(f"{folder}: no corpus here (no corpus.json); run extract-features or "
                                     "embeddings-store import first, or check --store and --corpus")
        try:
            data = json.loads(record.read_text(encoding="utf-8"))
            table = pd.read_parquet(folder / "manifest.parquet")
            labels = LabelSet.from_dict(data["labels"]) if data["labels"] else None
            manifest = cls(data["name"], table, labels, data["protocol"], notes=tuple(data["notes"]))
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(f"{folder}: corpus.json or manifest.parquet is damaged ({error}); "
                             "run the extraction again, it keeps the vectors that fit") from error
        if manifest.digest != data["digest"]:
            raise StoreError(f"{folder}: manifest.parquet (digest {manifest.digest}) is not the one that corpus.json "
                             f"describes ({data['digest']}); restore both files from the same run")
        return manifest


def safe_name(name: str) -> str:
    """Turn a hub id or file stem into one folder name.

    >>> safe_name("facebook/wav2vec2-base")
    'facebook--wav2vec2-base'
    """
    kept = "".join(c if c.isalnum() or c in "-_." else "_" for c in name.replace("/", "--"))
    return kept.lstrip(".")


def read_table(path: Path) -> pd.DataFrame:
    """Read CSV (UTF-8, every cell a string) or Parquet, by the file's suffix.

    Raises:
        ManifestError: Missing, empty, not UTF-8, or not a table.
    """
    if not path.is_file():
        raise ManifestError(f"{path}: no such file")
    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error
    except (ValueError, OSError) as error:
        raise ManifestError(f"{path}: cannot be read as a table: {error}") from error


def resolve_media(root: Path, relative: str) -> Path:
    """Return the file that a manifest row names; links that leave the root are refused.

    Raises:
        UnsafePathError: The resolved path lies outside ``root``.
    """
    path = (root / relative).resolve()
    if not path.is_relative_to(root.resolve()):
        raise UnsafePathError(f"{relative!r} leads outside the manifest's root {root}; move the file below the root")
    return path


def _difference(there: Manifest, new: Manifest, folder: Path) -> str:
    """Say how a corpus differs from the one of the same name in the store, and what to do."""
    head = f"{folder} already holds another version of corpus {new.name!r}"
    apart = "; use another --store, or another --corpus-name"
    if not np.array_equal(there.ids, new.ids):
        only = np.setxor1d(there.ids, new.ids)
        first = f", first difference {only[0]!r}" if len(only) else " in another order"
        return f"{head}: {len(there)} rows there, {len(new)} now{first}{apart}"
    if set(there.table.columns) == set(new.table.columns):
        changed = [c for c in there.table.columns if not there.table[c].equals(new.table[c])]
    else:
        changed = sorted(set(there.table.columns) ^ set(new.table.columns))
    if there.inputs_digest == new.inputs_digest:
        what = f"columns {', '.join(changed)}" if changed else "the label set"
        return (f"{head}: same inputs, but {what} differ; vectors depend on inputs alone, so to adopt the new ones remove "
                f"{folder / 'corpus.json'} and run this again (or{apart.removeprefix(';')})")
    rows = np.flatnonzero(np.logical_or.reduce([(there.table[c] != new.table[c]).to_numpy() for c in changed]))
    return f"{head}: {', '.join(changed)} differ in {len(rows)} rows, first {there.ids[rows[0]]!r}{apart}"


def _normalise(table: pd.DataFrame) -> pd.DataFrame:
    if "id" not in table:
        raise ManifestError(f"a manifest needs a column 'id'; got {', '.join(map(str, table.columns)) or 'no columns'}")
    columns: dict[str, pd.Series] = {}
    for name in STRINGS:
        source = table[name] if name in table else pd.Series("", index=table.index)
        columns[name] = source.astype("str").fillna("").astype("str")
    for name in TIMES:
        source = table[name] if name in table else pd.Series(np.nan, index=table.index)
        try:
            columns[name] = pd.to_numeric(source.replace("", np.nan)).astype(np.float64)
        except (ValueError, TypeError) as error:
            raise ManifestError(f"column {name!r} must hold seconds as numbers: {error}") from error
    columns |= {str(name): table[name] for name in table.columns if str(name).startswith("meta_")}
    return pd.DataFrame(columns).reset_index(drop=True)


def _check_ids(ids: pd.Series) -> None:
    empty = np.flatnonzero(ids == "")
    if len(empty):
        raise ManifestError(f"{len(empty)} of {len(ids)} rows have an empty id, first row {empty[0] + 1}")
    twice = ids[ids.duplicated()]
    if len(twice):
        rows = np.flatnonzero(ids == twice.iloc[0]) + 1
        raise ManifestError(f"{len(twice)} duplicate ids, first {twice.iloc[0]!r} in rows {rows[0]} and {rows[1]}; "
                            "an id names one utterance (put the split or dialogue into it where numbers repeat)")


def _check_times(table: pd.DataFrame) -> None:
    start, end = table["start_s"].fillna(0.0), table["end_s"].fillna(np.inf)
    bad = np.flatnonzero((start < 0) | ~(start < end) | np.isinf(start))
    if len(bad):
        row = table.iloc[bad[0]]
        raise ManifestError(f"{len(bad)} rows need 0 <= start_s < end_s, first {row['id']!r} with "
                            f"start_s={row['start_s']}, end_s={row['end_s']}")


def _check_paths(paths: pd.Series, column: str) -> None:
    for value in paths.unique():
        if not value:
            continue
        parts = PurePosixPath(value).parts
        if value.startswith(("/", "\\")) or ".." in parts or "\\" in value or ":" in parts[0] or "\x00" in value:
            raise UnsafePathError(f"column {column!r} holds {value!r}; media paths are relative to the manifest, with '/', "
                                  "and may not leave its folder")


def _column_bytes(column: pd.Series) -> Iterator[bytes]:
    """Yield a column as bytes in which neighbouring cells cannot run into each other."""
    for start in range(0, len(column), CHUNK_ROWS):
        part = column.iloc[start:start + CHUNK_ROWS]
        if pd.api.types.is_numeric_dtype(part.dtype):
            yield part.to_numpy(dtype="<f8").tobytes()
        else:
            cells = [str(value).encode() for value in part]
            yield np.array([len(cell) for cell in cells], dtype="<i8").tobytes() + b"".join(cells)
