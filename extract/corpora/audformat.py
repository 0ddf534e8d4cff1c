"""audformat: audEERING's databases, a header (db.yaml) and tables over files or their segments (file[, start, end]).

https://audeering.github.io/audformat, read and written with the project's own library (extra
``interchange``).
"""  # noqa: E501 - its first line is what --help shows

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, UsageError, unknown_name
from embeddings_store.folds.plan import ROLES, FoldPlan
from embeddings_store.reading import AGAIN, is_file, reading
from extract.corpora._exchange import (
    ROLE_WORDS,
    Row,
    label_set,
    media_folder,
    missing,
    rows_of,
    to_manifest,
)
from extract.corpora._files import check_root
from extract.corpora._notes import Notes
from extract.corpora._plain_yaml import read_plain_yaml

LAYOUT = "db.yaml with db.TABLE.parquet or db.TABLE.csv and the media beside it"
TABLE = "utterances"
# Columns of a database, and what they are here.
LABELS = ("label", "emotion")
TEXTS = ("text", "transcription", "transcript")
SPEAKERS = ("speaker",)
# Columns whose scheme lists the words that occur.
NAMED = {"label", "class", "speaker", "split"}
COLUMNS = ("id", "group", "session", "split", "language", "video")


def read(
    root: Path, *, table: str = "", label: str = "", name: str = "", media: str = ""
) -> Manifest:
    """Read a database: a table with a label per file or segment, and what others say of the files.

    Args:
        root: The folder with ``db.yaml``.
        table: The table with the rows; by default the one with a column ``label`` or ``emotion``,
            or all those of which each is a split's (``emotion.train``, ``emotion.test``).
        label: The column with the label.
        name: The corpus' name in the store; by default the database's.
        media: The folder that the paths are relative to; by default ``root``.

    Raises:
        MissingDependencyError: audformat is not installed.
        ManifestError: ``root`` holds no database, or no table fits.
    """
    check_root(root, "an audformat database", LAYOUT, lambda folder: (folder / "db.yaml").is_file())
    notes = Notes()
    with _library() as audformat, _opened(audformat, root) as database:
        tables, column = _chosen(database, table, label, root)
        rows: list[Row] = []
        for key in tables:
            rows += _rows(database, key, column, notes)
        _join(database, set(tables), rows)
        languages = [str(code) for code in database.languages]
        called = name or str(database.name)
    with reading(root, "", AGAIN, fault="is no audformat database whose rows make a corpus"):
        if len(languages) == 1:
            for row in rows:
                row.setdefault("language", languages[0])
        twice: dict[str, int] = {}
        for row in rows:
            row.setdefault("id", _made_id(row, twice))
        labels = label_set(called, rows) if any("class" in row for row in rows) else None
        notes.say(f"rows of {', '.join(tables)}, labels from column {column!r}")
        return to_manifest(called, rows, media_folder(root, media), notes, None, labels)


def write(manifest: Manifest, out: Path, plan: FoldPlan | None) -> tuple[str, ...]:
    """Write a database with one table ``utterances``.

    Args:
        manifest: The corpus.
        out: The folder to write.
        plan: Folds, which become columns ``fold_1`` and so on; or none.

    Returns:
        What the format cannot hold, a line each.

    Raises:
        MissingDependencyError: audformat is not installed.
        ManifestError: No row has a file.
    """
    notes = Notes()
    rows = _holdable(manifest, notes)
    with _library() as audformat:
        database = audformat.Database(
            manifest.name, source="written by emotion-fusion", usage="unrestricted"
        )
        database.languages = _languages(audformat, rows, notes)
        database[TABLE] = audformat.Table(_index(audformat, rows))
        for column, values in _columns(manifest, rows, plan).items():
            words = None
            if column in NAMED:
                words = sorted({str(value) for value in values if value is not None})
            database.schemes[column] = audformat.Scheme(_kind(values), labels=words)
            database[TABLE][column] = audformat.Column(scheme_id=column)
            database[TABLE][column].set(values)
        database.save(str(out))
    return notes.lines()


def _index(audformat: Any, rows: Sequence[Row]) -> pd.Index:
    """Return the library's index of whole files, or of segments where any row is one."""
    files = [row.get("audio") or row["video"] for row in rows]
    if not any("start_s" in row or "end_s" in row for row in rows):
        return audformat.filewise_index(files)
    starts = [pd.to_timedelta(row.get("start_s", 0.0), unit="s") for row in rows]
    # A segment without an end goes on to the end of its file.
    ends = [pd.to_timedelta(row["end_s"], unit="s") if "end_s" in row else pd.NaT for row in rows]
    return audformat.segmented_index(files, starts, ends)


def _kind(values: Sequence[object]) -> str:
    """Return the library's word for what a column holds: any text makes it text."""
    if any(isinstance(value, str) for value in values):
        return "str"
    return "float" if any(isinstance(value, float) for value in values) else "int"


@contextmanager
def _library() -> Iterator[Any]:
    """Yield the library; its uses of what pandas will drop are its own affair."""
    try:
        import audformat
    except ImportError:
        raise missing("audformat") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield audformat


@contextmanager
def _opened(audformat: Any, root: Path) -> Iterator[Any]:
    """Yield the database, which reads its tables when they are asked for.

    The library would run what a tag of the header names, and prefers a table's pickle to its other
    files. So it is given a private folder with the header as a safe loader has read it, and links
    to nothing but the tables in CSV and Parquet.

    Raises:
        ManifestError: The header is not plain YAML, or the library cannot read it or a table.
    """
    header = read_plain_yaml(root / "db.yaml", "audformat database")
    if len(header) == 1:  # An older form: everything below the database's name.
        ((name, below),) = header.items()
        header = {**below, "name": name} if isinstance(below, dict) else header
    keys = _table_keys(root, header)
    with tempfile.TemporaryDirectory(prefix="audformat-") as folder:
        safe = Path(folder)
        _dump_header(header, safe / "db.yaml")
        pickled = []
        for key in keys:
            stored = [Path(f"db.{key}.{kind}") for kind in ("parquet", "csv")]
            present = [file for file in stored if is_file(root / file)]
            for file in present:
                (safe / file).symlink_to(_inside(root, file))
            if not present and (root / f"db.{key}.pkl").exists():
                pickled.append(key)
        advice = AGAIN
        if pickled:
            advice = (
                f"of {', '.join(pickled)} there is only a pickle, which is never loaded, as it can "
                "run code: save the database with storage_format='parquet' or 'csv'"
            )
        fault = f"is no audformat database that audformat {audformat.__version__} reads"
        try:
            with reading(root, "", advice, fault=fault):
                yield audformat.Database.load(str(safe))
        except ManifestError as error:  # Not the private folder, which is gone by now.
            raise ManifestError(str(error).replace(str(safe), str(root))) from error


def _inside(root: Path, file: Path) -> Path:
    """Return where a table lies, which has to be in the database's folder.

    Raises:
        ManifestError: It is a link that leads out of the folder.
    """
    target = (root / file).resolve()
    if not target.is_relative_to(root.resolve()):
        raise ManifestError(
            f"{root / file}: is a link that leads out of the folder; expected the table itself: "
            "copy it there if you trust it"
        )
    return target


def _table_keys(root: Path, header: dict[str, Any]) -> list[str]:
    """Return the names of the tables, which become names of files.

    Raises:
        ManifestError: A name would lead out of the folder, or the tables have no names.
    """
    keys = []
    for kind in ("tables", "misc_tables"):
        tables = header.get(kind) or {}
        if not isinstance(tables, dict):
            raise ManifestError(
                f"{root / 'db.yaml'}: {kind} is a {type(tables).__name__}, expected a mapping of "
                "names to tables; fetch it again"
            )
        keys += [str(key) for key in tables]
    for key in keys:
        if any(sign in key for sign in "/\\\0"):
            raise ManifestError(
                f"{root / 'db.yaml'}: the table {key!r} leads out of the folder; expected names "
                "without a slash: rename it"
            )
    return keys


def _dump_header(header: dict[str, Any], path: Path) -> None:
    """Write a header for the library, as plain as :func:`read_plain_yaml` reads it."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text = yaml.dump(header, Dumper=dumper, allow_unicode=True, sort_keys=False)
    path.write_text(text, encoding="utf-8")


def _chosen(database: Any, table: str, label: str, root: Path) -> tuple[list[str], str]:
    """Return the tables with the rows and the column with the label."""
    known = {key: list(database[key].columns) for key in database.tables}
    if table and table not in known:
        unknown_name("audformat table", table, tuple(known))
    wanted = (label,) if label else LABELS
    fits: dict[str, str] = {}
    for key, columns in known.items():
        named = [column for column in wanted if column in columns]
        if named and (not table or key == table):
            fits[key] = named[0]
    if not fits:
        raise ManifestError(
            f"{root}: no table has a column {' or '.join(map(repr, wanted))}; tables: "
            + "; ".join(f"{key} ({', '.join(columns)})" for key, columns in known.items())
            + ". Name them with --corpus-option table=NAME and label=COLUMN"
        )
    if len(fits) == 1:
        return list(fits), next(iter(fits.values()))
    # Tables of one split each, with one column of labels, are one corpus.
    splits = [key for key in fits if database[key].split_id]
    one_column = len({fits[key] for key in splits}) == 1
    each_its_own = len({database[key].split_id for key in splits}) == len(splits)
    if one_column and each_its_own:
        return splits, fits[splits[0]]
    raise UsageError(
        f"{root}: several tables have labels ({', '.join(fits)}); name one with --corpus-option "
        "table=NAME"
    )


def _rows(database: Any, key: str, label: str, notes: Notes) -> list[Row]:
    table = database[key]
    frame = table.get()
    split = ""
    if table.split_id:
        kind = str(database.splits[table.split_id].type)
        split = ROLE_WORDS.get(kind, kind)
    rows = []
    for position, values in zip(frame.index, frame.to_dict("records"), strict=True):
        file, start, end = position if isinstance(position, tuple) else (position, None, None)
        row: Row = {"audio": str(file)}
        if end is not None and not pd.isna(end):
            row["end_s"] = round(end.total_seconds(), 9)
        start_s = 0.0 if start is None or pd.isna(start) else round(start.total_seconds(), 9)
        # A start at nought without an end is the whole file.
        if start_s > 0 or ("end_s" in row and start is not None and not pd.isna(start)):
            row["start_s"] = start_s
        if split:
            row["split"] = split
        for column, value in values.items():
            if not pd.isna(value):
                row[_named(str(column), label)] = value.item() if hasattr(value, "item") else value
        if "label" not in row:
            notes.count("row without a label", str(file))
        if "video" in row and row["video"] == row["audio"] and row.pop("sound", "") == "no":
            row.pop("audio")
        row.pop("sound", None)
        rows.append(row)
    return rows


def _named(column: str, label: str) -> str:
    """Return the manifest's name for a column of a database."""
    if column == label:
        return "label"
    if column in TEXTS:
        return "text"
    if column in {*COLUMNS, *SPEAKERS, "class", "sound"} or column.startswith("meta_"):
        return column
    return f"meta_{column}"


def _named_elsewhere(column: str) -> str:
    """Return what a column of a table over whole files is here, empty where it is not wanted."""
    if column in TEXTS:
        return "text"
    return column if column in (*SPEAKERS, "language") else ""


def _join(database: Any, taken: set[str], rows: list[Row]) -> None:
    """Add speaker and words from tables over whole files.

    Labels of a scheme that are a dictionary say what a code means.
    """
    for key in database.tables:
        table = database[key]
        if key in taken or not table.is_filewise:
            continue
        for column in table.columns:
            name = _named_elsewhere(column)
            if not name:
                continue
            meaning = _code_book(database, table[column].scheme_id) if name == "text" else {}
            values = table[column].get()
            of_file = {str(file): value for file, value in values.items() if not pd.isna(value)}
            for row in rows:
                if row.get("audio") in of_file and name not in row:
                    code = of_file[row["audio"]]
                    row[name] = str(meaning.get(code, code))


def _code_book(database: Any, scheme_id: str | None) -> dict[Any, str]:
    """Return what the codes of a scheme mean, for those that stand for a text."""
    scheme = database.schemes.get(scheme_id) if scheme_id else None
    if scheme is None or not isinstance(scheme.labels, dict):
        return {}
    return {code: text for code, text in scheme.labels.items() if isinstance(text, str)}


def _made_id(row: Row, seen: dict[str, int]) -> str:
    """Return a file's path without suffix, with its number where the file has several segments."""
    stem = str(Path(row["audio"]).with_suffix("").as_posix())
    seen[stem] = seen.get(stem, 0) + 1
    return stem if seen[stem] == 1 else f"{stem}#{seen[stem]}"


def _holdable(manifest: Manifest, notes: Notes) -> list[Row]:
    """Return the rows that an index of files can hold."""
    kept, seen = [], set()
    for row in rows_of(manifest):
        place = (row.get("audio") or row.get("video"), row.get("start_s"), row.get("end_s"))
        if place[0] is None:
            notes.count(
                "row left out, because an audformat table lists files and it has none", row["id"]
            )
        elif place in seen:
            notes.count(
                "row left out, because another one is the same part of the same file", row["id"]
            )
        else:
            seen.add(place)
            kept.append(row)
    if not kept:
        raise ManifestError(
            f"corpus {manifest.name!r} has no row with a file, and an audformat table lists "
            "nothing else"
        )
    return kept


def _columns(manifest: Manifest, rows: list[Row], plan: FoldPlan | None) -> dict[str, list[Any]]:
    """Return the table's columns: what rows give besides their place, class, role in each fold."""
    classes: dict[str, str] = {}
    if manifest.labels is not None:
        for label, target in manifest.labels.mapping.items():
            if label != target:
                classes[label] = target
    given: set[str] = set().union(*rows) - {"audio", "start_s", "end_s"}
    names = [str(name) for name in manifest.table if name in given]
    columns: dict[str, list[Any]] = {}
    for name in names:
        columns[name] = [row.get(name) for row in rows]
    if any(row.get("label") in classes for row in rows):
        columns["class"] = [classes.get(row.get("label", ""), row.get("label")) for row in rows]
    if any("audio" not in row for row in rows):
        columns["sound"] = ["yes" if "audio" in row else "no" for row in rows]
    if plan is not None and not any(name.startswith("meta_fold_") for name in names):
        place = {name: position for position, name in enumerate(plan.ids.tolist())}
        for fold in plan:
            roles = [ROLES[fold.roles[place[row["id"]]]] for row in rows]
            columns[f"fold_{fold.number}"] = [None if role == "unused" else role for role in roles]
    return columns


def _languages(audformat: Any, rows: list[Row], notes: Notes) -> list[str]:
    codes = []
    for language in sorted({row["language"] for row in rows if "language" in row}):
        try:
            codes.append(audformat.utils.map_language(language))
        except ValueError:
            notes.say(
                f"{language!r} is no language that ISO 639 knows, so the header does not name it"
            )
    return codes
