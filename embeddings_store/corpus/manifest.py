"""The manifest: one row per utterance, in columns, checked once and then trusted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embeddings_store.atomic import exclusive, make_folder, remove_leftovers, replacing, write_json
from embeddings_store.corpus.column_names import (
    MEDIA,
    STRINGS,
    TIMES,
    Renames,
    check_names,
    read_from,
    rename,
)
from embeddings_store.corpus.columns import (
    LEAK_TAGS,
    UNTAGGED,
    check_table,
    check_tags,
    column_bytes,
    comma_notes,
    normalise,
    strings,
)
from embeddings_store.corpus.default_protocol import default_protocol
from embeddings_store.corpus.label_looks import label_notes, require_single
from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.media_paths import resolve_media, settle_paths, settled_lines
from embeddings_store.corpus.placeholders import without_placeholders
from embeddings_store.corpus.votes import Votes
from embeddings_store.errors import (
    LabelError,
    ManifestError,
    StoreError,
    StoreMismatchError,
    StoreNotFoundError,
)
from embeddings_store.reading import reading
from embeddings_store.tables import read_table

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "emotion-corpus"
VERSION = 1
# An array of strings takes four bytes for each letter of its longest cell in every row; beyond this
# it is no array of strings.
FIXED_WIDTH_BYTES = 1 << 28
# how the note begins of a corpus that no person spoke, so that whoever shows results can say so
GENERATED = "generated: "
INPUTS = ("id", *MEDIA, *TIMES)
# Which part of its film a row is, where that is not the part of its sound.
FILM_PARTS = ("meta_video_start_s", "meta_video_end_s", "meta_video_side")
RECORD_DIGEST = "record_digest"
DAMAGED = "corpus.json or manifest.parquet is damaged"
MAKE_AGAIN = (
    "restore it, or remove corpus.json and run the same command again: vectors that fit are kept"
)
NO_MEDIA = "needs a column text, audio or video with something in it"


@dataclass(frozen=True, slots=True)
class Utterance:
    """One row of a manifest; an empty string means "not given", a missing time is ``nan``.

    Attributes:
        id: Unique in its corpus.
        label: The raw label, as the corpus writes it.
        speaker: Who speaks.
        group: What must stay in one role, such as a dialogue or a video.
        session: The recording session.
        split: The corpus' own role for the row.
        language: The language spoken.
        text: The transcript.
        audio: Path of the sound, relative to the manifest's root.
        video: Path of the picture, relative to the manifest's root.
        start_s: Where the utterance begins in its files, in seconds.
        end_s: Where it ends, in seconds.
    """

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
        table: Columns ``id, label, speaker, group, session, split, language, text, audio, video``
            (strings, empty where not given), ``start_s, end_s`` (seconds, ``nan`` where the whole
            file is meant) and any ``meta_*``.
        labels: The label set, or none for a corpus without labels.
        protocol: The fold plan that belongs to the corpus, see
            :func:`embeddings_store.folds.rules.make_plan`.
        root: The folder that the media paths are relative to; not part of any digest.
        notes: What the reader noticed: rows skipped, counts, known defects.
        tags: Leak tag of metadata columns, ``safe``, ``context`` or ``leaky``; see :meth:`tag`. Not
            part of any digest.
        follow_links: Whether media may be behind symbolic links that leave ``root``; not part of
            any digest.

    True by construction: ids unique and non-empty, ``start_s < end_s``, labels in the set, no path
    leaves the root.

    >>> columns = {"id": ["a", "b"], "label": ["sad", "happy"], "text": ["oh", "yes"]}
    >>> m = Manifest.from_columns("mine", columns)
    >>> len(m), m.labels.classes, m.row(1).text
    (2, ('happy', 'sad'), 'yes')
    """

    name: str
    table: pd.DataFrame
    labels: LabelSet | None = None
    protocol: str = ""
    root: Path | None = None
    notes: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    follow_links: bool = False
    _known: dict[str, object] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Bring the columns into their fixed form and check every row."""
        check_name(self.name)
        object.__setattr__(self, "table", normalise(self.table))
        check_table(self.table)
        check_tags(self.tags, self.table.columns)
        if self.labels is not None:
            self.labels.encode(self.table["label"].unique())

    @classmethod
    def from_columns(cls, name: str, columns: dict[str, object], **fields: object) -> Manifest:
        """Make a manifest from columns; the label set is what occurs unless ``labels`` is given.

        Columns ``vote_*`` are kept as ``meta_vote_*``; where there is no column ``label``, their
        majority is the label, see :mod:`embeddings_store.corpus.votes`.

        Raises:
            ManifestError: A cell is no Unicode text, a row has several labels, or breaks a promise.
        """
        import pandas as pd

        try:
            table = pd.DataFrame(columns)
        except UnicodeEncodeError as error:
            raise ManifestError(
                f"{str(error.object)!r} is no Unicode text (half of a surrogate pair); read the "
                "source with its right encoding"
            ) from error
        votes = Votes()
        table = votes.settle(table)
        labels, odd = fields.pop("labels", None), votes.lines()
        if labels is None and "label" in table:
            raw = strings(table["label"], "label")
            found = pd.unique(raw)
            labels = LabelSet.from_labels(name, found) if (found != "").any() else None
            require_single(raw.value_counts().to_dict())
            odd += label_notes(raw)
        if odd:
            fields["notes"] = (*fields.get("notes", ()), *odd)  # type: ignore[misc]
        if votes.columns:  # Who voted heard the utterance, as who labelled it did.
            of_votes = dict.fromkeys(votes.kept, "leaky")
            fields["tags"] = {**of_votes, **fields.get("tags", {})}  # type: ignore[dict-item]
        return cls(name, table, labels, **fields)  # type: ignore[arg-type]

    @classmethod
    def read(
        cls,
        path: Path,
        name: str = "",
        protocol: str = "",
        tags: Mapping[str, str] | None = None,
        columns: Renames = (),
        media: Path | None = None,
    ) -> Manifest:
        """Read a CSV, ARFF or Parquet manifest.

        Args:
            path: The table.
            name: The corpus' name; the file's stem by default.
            protocol: The fold plan that belongs to it; guessed from the columns by default.
            tags: Metadata columns to their leak tags.
            columns: Old names and new names of columns, see
                :func:`embeddings_store.corpus.column_names.rename`.
            media: The folder that media paths are relative to, or that absolute ones lie in; the
                table's own by default.

        Raises:
            ManifestError: The file is missing, is not a table, or a row breaks a promise.
            UsageError: A column to rename is not there, or two would have one name.
        """
        root = media or path.absolute().parent
        table, settled = settle_paths(rename(read_table(path), columns), root)
        name = name or safe_name(path.stem)
        try:
            check_names([str(c) for c in table.columns])
            if not any(c in table and (strings(table[c], c) != "").any() for c in MEDIA):
                raise ManifestError(NO_MEDIA)
            manifest = cls.from_columns(
                name,
                {str(c): table[c] for c in table},
                root=media.resolve() if media else path.resolve().parent,
                tags=tags or {},
                notes=settled_lines(settled),
            )
        except (ManifestError, LabelError) as error:
            raise type(error)(f"{path}: {error}") from error
        # Not by replace(), which would check every row a second time.
        object.__setattr__(manifest, "protocol", protocol or manifest.guess_protocol())
        object.__setattr__(manifest, "notes", manifest.notes + comma_notes(manifest.table))
        return manifest

    def __len__(self) -> int:
        return len(self.table)

    def row(self, position: int) -> Utterance:
        """Return the view of one row."""
        values = self.table.iloc[position]
        fields: dict[str, Any] = {column: str(values[column]) for column in STRINGS}
        fields |= {column: float(values[column]) for column in TIMES}
        return Utterance(**fields)

    def media_path(self, relative: str) -> Path:
        """Return the file that a row names.

        See :func:`embeddings_store.corpus.media_paths.resolve_media`.

        Raises:
            UnsafePathError: It is behind a link that leaves the root.
        """
        return resolve_media(self.root or Path(), relative, self.follow_links)

    @property
    def ids(self) -> NDArray[np.str_]:
        """Ids in row order, shape (N,); one array for all callers, so it cannot be written to."""
        if "ids" not in self._known:
            ids = np.asarray(self.table["id"].to_numpy(dtype=str))
            ids.flags.writeable = False
            self._known["ids"] = ids
        return self._known["ids"]  # type: ignore[return-value]

    def column(self, name: str) -> NDArray[np.str_]:
        """Return a string column as an array, shape (N,).

        Of fixed width, unless one long cell among many short ones would multiply its size: then an
        array of Python strings, which compares, sorts and lists alike.
        """
        return _as_array(self.table[name])

    def named(self, column: str) -> NDArray[np.str_]:
        """Return speakers, groups or sessions (N,), ``""`` for placeholders such as ``unknown``.

        See :mod:`embeddings_store.corpus.placeholders`.
        """
        return _as_array(self.named_cells(column))

    def named_cells(self, column: str) -> pd.Series:
        """Return :meth:`named` as the table holds it, for counting: millions of cells are slow."""
        return without_placeholders(self.table[column])

    def given(self, name: str) -> NDArray[np.bool_]:
        """Say for each row whether it gives this string column, shape (N,)."""
        return np.asarray((self.table[name] != "").to_numpy(dtype=bool))

    def codes(self) -> NDArray[np.int64]:
        """Return the class code of each row (N,), -1 where it has no label in the set."""
        if self.labels is None:
            return np.full(len(self), -1, dtype=np.int64)
        return self.labels.encode(self.column("label"))

    def has(self, column: str) -> bool:
        """Say whether any row gives this column."""
        return bool((self.table[column] != "").any())

    def tag(self, column: str) -> str:
        """Return the leak tag of a metadata column.

        ``safe``, ``context``, ``leaky``, or ``unknown`` where nobody gave one.
        """
        return self.tags.get(column, UNTAGGED)

    def tagged(self, *tags: str) -> tuple[str, ...]:
        """Return the metadata columns that bear one of these tags.

        What may explain the label is ``("leaky", "unknown")``.

        >>> columns = {"id": ["a"], "meta_age": [30], "meta_cause": ["loss"]}
        >>> m = Manifest.from_columns("m", columns, tags={"meta_age": "safe"})
        >>> m.tagged("safe", "context"), m.tagged("leaky", "unknown")
        (('meta_age',), ('meta_cause',))
        """
        return tuple(
            c for c in map(str, self.table.columns) if c.startswith("meta_") and self.tag(c) in tags
        )

    def guess_protocol(self) -> str:
        """Name the fold plan that the columns suggest.

        See :func:`embeddings_store.corpus.default_protocol.default_protocol`.
        """
        return default_protocol(self.table)

    @property
    def inputs_digest(self) -> str:
        """Twelve hex digits over what encoders are given: ids, text, media paths, times.

        Not labels.
        """
        return self._digest(INPUTS)

    def inputs_digest_of(self, modality: str) -> str:
        """Return :attr:`inputs_digest`; scores of a checkpoint's own head have their inputs'.

        For a ``meta_*`` column, which a text encoder reads, the digest over ids and column; for
        video, where the films have parts of their own, the digest over these columns too.
        """
        modality = read_from(modality)
        if modality.startswith("meta_") and modality in self.table:
            return self.columns_digest([modality])
        parts = [name for name in FILM_PARTS if name in self.table]
        if modality == "video" and parts:
            return self._digest((*INPUTS, *parts))
        return self.inputs_digest

    def columns_digest(self, columns: Sequence[str]) -> str:
        """Return twelve hex digits over the ids and these columns."""
        return self._digest(("id", *columns))

    @property
    def digest(self) -> str:
        """Twelve hex digits over every column and the label set."""
        hasher = hashlib.sha256(self._digest(tuple(sorted(self.table.columns))).encode())
        hasher.update((self.labels.digest if self.labels else "").encode())
        return hasher.hexdigest()[:12]

    def _digest(self, columns: tuple[str, ...]) -> str:
        key = repr(columns)
        if key not in self._known:
            hasher = hashlib.sha256(f"{len(self)} rows".encode())
            for name in columns:
                for piece in column_bytes(name, self.table[name]):
                    hasher.update(piece)
            self._known[key] = hasher.hexdigest()[:12]
        return str(self._known[key])

    def save(self, folder: Path) -> None:
        """Write ``manifest.parquet`` and ``corpus.json``, each whole or not at all."""
        make_folder(folder)
        with replacing(folder / "manifest.parquet") as temporary:
            self.table.to_parquet(temporary, index=False)
        self._save_record(folder)

    def _save_record(self, folder: Path) -> None:
        record = {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            "rows": len(self),
            "protocol": self.protocol,
            "labels": self.labels.to_dict() if self.labels else None,
            "digest": self.digest,
            "inputs_digest": self.inputs_digest,
            "notes": list(self.notes),
            "tags": dict(self.tags),
        }
        write_json(folder / "corpus.json", {**record, RECORD_DIGEST: _record_digest(record)})

    def enter(self, store: Path) -> None:
        """Put the corpus into a store, or check that the store already holds the very same one.

        It then takes the new tags.

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
            if there.tags != self.tags:
                replace(there, tags=self.tags)._save_record(folder)

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read what :meth:`save` wrote and compare its digest.

        Raises:
            StoreNotFoundError: There is no corpus in ``folder``.
            StoreError: The files are damaged or do not belong together.
        """
        record = folder / "corpus.json"
        if not record.is_file():
            raise StoreNotFoundError(
                f"{folder}: no corpus here (no corpus.json); run extract-features or "
                "embeddings-store import first, or check --store and --corpus"
            )
        try:
            with reading(folder, "", MAKE_AGAIN, StoreError, fault=DAMAGED):
                data = json.loads(record.read_text(encoding="utf-8"))
                _check_version(record, data)
                table = read_table(folder / "manifest.parquet")
                labels = LabelSet.from_dict(data["labels"]) if data["labels"] else None
                tags = {}
                for column, tag in data.get("tags", {}).items():
                    if column in table and tag in LEAK_TAGS:
                        tags[column] = tag
                notes = tuple(data["notes"])
                name, protocol = data["name"], data["protocol"]
                manifest = cls(name, table, labels, protocol, notes=notes, tags=tags)
                recorded, inputs = str(data["digest"]), str(data["inputs_digest"])
                found = manifest.digest  # which a class of half a letter has not
        except (ManifestError, LabelError) as error:
            raise StoreError(f"{folder}: {DAMAGED} ({error}); {MAKE_AGAIN}") from error
        if folder.name and manifest.name != folder.name:
            raise StoreMismatchError(
                f"{folder}: holds corpus {manifest.name!r}; a corpus' folder has its name, rename "
                "it back"
            )
        if found != recorded:
            raise StoreError(
                f"{folder}: manifest.parquet (digest {manifest.digest}) is not the one that "
                f"corpus.json describes ({recorded}); restore both files from the same run"
            )
        if manifest.inputs_digest != inputs:
            raise StoreError(
                f"{record}: says inputs_digest {inputs}, and the inputs of manifest.parquet have "
                f"{manifest.inputs_digest}; restore both files from the same run"
            )
        _check_record(record, data)
        return manifest


def _as_array(cells: pd.Series) -> NDArray[np.str_]:
    longest = int(cells.str.len().max()) if len(cells) else 0
    wide = 4 * longest * len(cells) > FIXED_WIDTH_BYTES
    return np.asarray(cells.to_numpy(dtype=object if wide else str))


def safe_name(name: str) -> str:
    """Turn a hub id or file stem into one folder name.

    >>> safe_name("facebook/wav2vec2-base")
    'facebook--wav2vec2-base'
    """
    kept = "".join(c if c.isalnum() or c in "-_." else "_" for c in name.replace("/", "--"))
    return kept.lstrip(".")


def check_name(name: str) -> None:
    """Check that a corpus' name can be a folder's.

    Raises:
        ManifestError: It cannot.
    """
    if not name or name != safe_name(name):
        raise ManifestError(
            f"corpus name {name!r} cannot be a folder name; use letters, digits, '-', '_', '.'"
        )


def _difference(there: Manifest, new: Manifest, folder: Path) -> str:
    """Say how a corpus differs from the one of the same name in the store, and what to do."""
    head = f"{folder} already holds another version of corpus {new.name!r}"
    apart = "; use another --store, or another --corpus-name"
    if not np.array_equal(there.ids, new.ids):
        only = np.setxor1d(there.ids, new.ids)
        first = f", first difference {str(only[0])!r}" if len(only) else " in another order"
        return f"{head}: {len(there)} rows there, {len(new)} now{first}{apart}"
    shared = [c for c in there.table.columns if c in new.table.columns]
    changed = [c for c in shared if not there.table[c].equals(new.table[c])]
    inputs = [c for c in changed if c in (*INPUTS, *FILM_PARTS)]
    if inputs:
        rows = np.flatnonzero(
            np.logical_or.reduce([_differs(there.table[c], new.table[c]) for c in inputs])
        )
        return (
            f"{head}: {', '.join(inputs)} differ in {len(rows)} rows, first "
            f"{str(there.ids[rows[0]])!r}{apart}"
        )
    changed += sorted(set(there.table.columns) ^ set(new.table.columns))
    what = f"columns {', '.join(changed)}" if changed else "the label set"
    return (
        f"{head}: same inputs, but {what} differ; vectors depend on inputs alone, so to adopt the "
        f"new ones remove {folder / 'corpus.json'} and run this again (or{apart.removeprefix(';')})"
    )


def _differs(one: pd.Series, other: pd.Series) -> NDArray[np.bool_]:
    return np.asarray((one != other) & ~(one.isna() & other.isna()))


def _record_digest(record: Mapping[str, object]) -> str:
    """Return twelve hex digits over a record, the digest itself left out."""
    content = {key: value for key, value in record.items() if key != RECORD_DIGEST}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]


def _check_record(record: Path, data: Mapping[str, object]) -> None:
    """Refuse a record in which something was changed by hand; older ones have no digest."""
    if RECORD_DIGEST in data and data[RECORD_DIGEST] != _record_digest(data):
        raise StoreError(
            f"{record}: was changed after it was written (digest {_record_digest(data)}, written "
            f"{data[RECORD_DIGEST]}): protocol, tags and notes count too; {MAKE_AGAIN}"
        )


def _check_version(record: Path, data: dict[str, object]) -> None:
    if data["format"] != FORMAT:
        raise StoreError(
            f"{record}: is no corpus of this store (format {data['format']!r} instead of "
            f"{FORMAT!r})"
        )
    if int(str(data["version"])) > VERSION:
        raise StoreError(
            f"{record}: has format version {data['version']}, this program reads up to {VERSION}; "
            "update the program"
        )
