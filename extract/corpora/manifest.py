"""Any corpus as one table: a CSV or Parquet file with id, label and text, audio or video."""

from __future__ import annotations

from pathlib import Path

from embeddings_store.corpus.column_names import STRINGS, TIMES, parse_columns
from embeddings_store.corpus.columns import parse_tags
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, UsageError
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.tables import TABLES, column_names
from extract.corpora._exchange import media_folder
from extract.corpora._window_manifest import is_window_table, read_windows


def read(
    root: Path,
    *,
    name: str = "",
    protocol: str = "",
    safe: str = "",
    context: str = "",
    leaky: str = "",
    media: str = "",
    columns: str = "",
) -> Manifest:
    """Read the manifest file ``root``; media paths are relative to its folder.

    A table of windows (``video_id``, ``window_idx``, ...) is read too, see
    :mod:`extract.corpora._window_manifest`.

    Args:
        root: The table itself, or a folder that holds ``manifest.csv`` or ``manifest.parquet``.
        name: The corpus' name in the store; the file's stem by default.
        protocol: The fold plan; by default what the columns suggest.
        safe: Metadata columns, with commas, that say nothing about the label: who speaks, when,
            where.
        context: Those that anybody knows beforehand: the topic, the dialogue so far.
        leaky: Those that somebody noted who knew the label, or that explain it. A ``meta_*`` column
            that stands in none of the three lists is ``unknown`` and treated as leaky.
        media: The folder that media paths are relative to, or that absolute ones lie in, where it
            is not the table's own.
        columns: What the table calls the columns, where it has names of its own:
            ``file=audio,emotion=label``. The other options name columns as they are then called.

    Raises:
        ManifestError: There is no such table, a row breaks a promise, or a list names a column that
            is not there.
        UsageError: A column stands in two lists, or ``columns`` names one that is not there.
    """
    tags = parse_tags(safe=safe, context=context, leaky=leaky)
    table = find_table(root)
    if table.is_file() and is_window_table(column_names(table)):
        if columns:
            raise UsageError("columns of a table of windows have fixed names; leave out --columns")
        folder = media_folder(Path(), media) if media else None
        return read_windows(table, name, protocol, tags, folder)
    return Manifest.read(
        table,
        name or (root.resolve().name if root.is_dir() else ""),
        protocol,
        tags,
        parse_columns(columns),
        media_folder(Path(), media) if media else None,
    )


def find_table(root: Path) -> Path:
    """Return the table that ``root`` is, or that lies in it.

    Raises:
        ManifestError: It is another kind of file, or a folder with no table or with two.
    """
    if root.is_dir():
        found = [path for suffix in TABLES if (path := root / f"manifest{suffix}").is_file()]
        if len(found) != 1:
            what = (
                "none of " + ", ".join(f"manifest{suffix}" for suffix in TABLES)
                if not found
                else f"both {found[0].name} and {found[1].name}"
            )
            raise ManifestError(
                f"{root}: is a folder with {what}; name the table itself with --root "
                f"{root}/FILE.csv"
            )
        return found[0]
    if root.is_file() and root.suffix.lower() not in TABLES:
        raise ManifestError(f"{root}: is not a table ({' or '.join(TABLES)} expected)")
    return root


def write(manifest: Manifest, out: Path, plan: FoldPlan | None) -> tuple[str, ...]:
    """Write ``manifest.csv``, and the folds of a plan beside it.

    Args:
        manifest: The corpus.
        out: The folder to write.
        plan: The folds, or none.

    Returns:
        What a CSV cannot hold, a line each.
    """
    given = [
        c
        for c in map(str, manifest.table)
        if c == "id"
        or c.startswith("meta_")
        or (c in STRINGS and manifest.has(c))
        or (c in TIMES and manifest.table[c].notna().any())
    ]
    manifest.table[given].to_csv(out / "manifest.csv", index=False)
    lost = []
    if plan is not None:
        plan.save(out / "folds.parquet")
    if manifest.labels is not None and manifest.labels.mapping != {
        c: c for c in manifest.labels.classes
    }:
        lost.append(
            "a table has no label set: 'label' holds the corpus' own words, not the classes of "
            f"{manifest.labels.name!r}"
        )
    return tuple(lost)
