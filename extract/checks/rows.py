"""Checks of what the rows say.

Counts against the documents, words of labels, transcripts, times, parts that are named twice,
folds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.corpus.scan import LONG_S, MOJIBAKE, alike
from embeddings_store.errors import FoldError
from embeddings_store.folds.no_plan import offers, why_no_plan
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.folds.rules import make_plan
from extract.checks.finding import INCOMPLETE, CorpusFinding, ReleaseUnderCheck
from extract.pipeline.film_parts import END, SIDE, START, video_spans

if TYPE_CHECKING:
    import pandas as pd


def documented_counts(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Compare with the counts that the release's documents state."""
    lines: list[str] = []
    data: dict[str, list[int]] = {}
    for documented in release.documented:
        seen = documented.seen(release.manifest)
        if seen != documented.count:
            lines.append(f"{documented.title}: {seen:,}, documented {documented.count:,}")
            data[documented.title] = [seen, documented.count]
    count = len(release.documented)
    if lines:
        yield CorpusFinding(
            "error",
            "documented counts",
            f"documented count that differs, of {count}",
            len(lines),
            lines,
            "the release is not complete, or is another edition; results on it compare with "
            "nobody else's",
            INCOMPLETE,
            data,
        )
    elif count:
        yield CorpusFinding(
            "fact", "documented counts", f"all {count} documented counts agree", count
        )


def label_words(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Find labels that differ in case or spaces only, and rows without one."""
    labels = release.manifest.table["label"]
    yield from label_forms([str(label) for label in labels.unique()])
    without = (labels == "").to_numpy()
    ids = release.manifest.ids[without].tolist()
    yield from unlabelled(ids, len(ids), len(labels))


def label_forms(words: Sequence[str]) -> Iterator[CorpusFinding]:
    """Find words that differ in case or spaces only, or that have spaces around them."""
    groups = alike(words)
    if groups:
        yield CorpusFinding(
            "error",
            "label words",
            "label that differs from another only in case or spaces, so it is another class",
            sum(len(group) - 1 for group in groups),
            [" / ".join(map(repr, group)) for group in groups],
            "write each class one way",
            INCOMPLETE,
        )
    padded = [word for word in words if word != word.strip()]
    if padded:
        yield CorpusFinding(
            "warning",
            "label words",
            "label that begins or ends with a space",
            len(padded),
            tuple(map(repr, padded)),
            "remove the spaces",
        )


def unlabelled(ids: Sequence[str], count: int, rows: int) -> Iterator[CorpusFinding]:
    """Say how many rows have no label.

    Args:
        ids: The rows without one, the first of them at least.
        count: How many have none.
        rows: How many rows there are.
    """
    if 0 < count < rows:
        yield CorpusFinding(
            "warning",
            "rows without a label",
            f"row without a label, of {rows:,}",
            count,
            ids,
            "they are encoded, and no fold scores them",
        )
    elif count:
        yield CorpusFinding("fact", "rows without a label", "no row has a label", count)


def label_counts(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Count the classes; a class of the label set without a row cannot be learnt."""
    manifest = release.manifest
    if manifest.labels is None:
        return
    counts = Counter(manifest.codes().tolist())
    by_class = {name: counts[code] for code, name in enumerate(manifest.labels.classes)}
    absent = [name for name, count in by_class.items() if not count]
    if absent:
        yield CorpusFinding(
            "error",
            "labels without rows",
            f"class of {manifest.labels.name!r} without a row",
            len(absent),
            absent,
            "the release is not complete, or the label set is not its own",
            INCOMPLETE,
        )
    yield class_shares(by_class)


def class_shares(by_class: Mapping[str, int]) -> CorpusFinding:
    """Say how many rows each class has."""
    largest = max(by_class.values()) / max(1, sum(by_class.values()))
    counts = ", ".join(f"{name} {count:,}" for name, count in by_class.items())
    return CorpusFinding(
        "fact",
        "classes",
        f"{counts}; the largest is {largest:.1%} of them",
        sum(by_class.values()),
        data=by_class,
    )


def transcripts(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Find empty transcripts and letters of a wrong encoding."""
    manifest = release.manifest
    if not manifest.has("text"):
        return
    text = manifest.table["text"]
    blank = (text.str.strip() == "").to_numpy()
    if blank.any():
        yield CorpusFinding(
            "warning",
            "empty transcripts",
            f"row without words, of {len(text):,}",
            int(blank.sum()),
            manifest.ids[blank].tolist(),
            "text is a missing modality there; fill the cells in if words were said",
        )
    odd = text.str.contains(MOJIBAKE, regex=True).to_numpy()
    if odd.any():
        shown = [
            f"{name}: {_around(words)}"
            for name, words in zip(manifest.ids[odd].tolist(), text[odd], strict=True)
        ]
        yield CorpusFinding(
            "warning",
            "text encoding",
            "transcript with letters that come from a wrong encoding",
            int(odd.sum()),
            shown,
            "read or save the table as what it was written in (often cp1252)",
        )


def times(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Look at ``start_s`` and ``end_s``, and at metadata columns that give times like these."""
    table = release.manifest.table
    for start_name, end_name in time_columns(table):
        start_s = table[start_name].to_numpy(dtype=float)
        end_s = table[end_name].to_numpy(dtype=float)
        length_s = end_s - start_s
        faults = {
            "that ends before it starts, or lasts no time": length_s <= 0,
            "with a negative time": (start_s < 0) | (end_s < 0),
            f"longer than {LONG_S:.0f} s": length_s > LONG_S,
        }
        for what, wrong in faults.items():
            if not wrong.any():
                continue
            shown = [
                f"{release.manifest.ids[i]}: {start_s[i]:g} to {end_s[i]:g} s"
                for i in np.flatnonzero(wrong)
            ]
            yield CorpusFinding(
                "warning",
                "times",
                f"row {what} ({start_name}, {end_name})",
                len(shown),
                shown,
                "correct the times or leave the rows out",
            )


def time_columns(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the pairs of columns that hold a start and an end in seconds.

    ``start_s`` and ``end_s`` are among them.

    >>> import pandas as pd
    >>> columns = {"meta_x_start_s": [0.0], "meta_x_end_s": [1.0], "meta_y_start_s": [0.0]}
    >>> time_columns(pd.DataFrame(columns))
    [('meta_x_start_s', 'meta_x_end_s')]
    """
    pairs = []
    for start_name in map(str, table):
        of_metadata = start_name.startswith("meta_") and start_name.endswith("_start_s")
        if start_name != "start_s" and not of_metadata:
            continue
        end_name = start_name.removesuffix("start_s") + "end_s"
        if end_name in table and _holds_numbers(table, start_name, end_name):
            pairs.append((start_name, end_name))
    return pairs


def _holds_numbers(table: pd.DataFrame, *columns: str) -> bool:
    return all(table[column].dtype.kind in "fi" for column in columns)


def same_parts(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Find rows that are the same part of the same file."""
    table = release.manifest.table
    for medium in ("audio", "video"):
        part = ["start_s", "end_s"]
        # Pictures may have times of their own.
        if medium == "video" and "meta_video_start_s" in table:
            part = [name for name in (START, END, SIDE) if name in table]
        keys = [medium, *part]
        rows = table[table[medium] != ""]
        twice = rows[rows.duplicated(keys, keep=False)]
        if not len(twice):
            continue
        labels_of_parts = twice.groupby(keys, dropna=False)["label"].nunique()
        contradicting = int(labels_of_parts.gt(1).sum())
        sentence = f"row that is the same part of the same {medium} file as another"
        if contradicting:
            sentence += f", and {contradicting} of these parts have several labels"
        yield CorpusFinding(
            "error" if contradicting else "warning",
            "same part twice",
            sentence,
            len(twice),
            twice["id"].tolist(),
            "one of them is wrong, or start_s and end_s are missing",
            INCOMPLETE if contradicting else 0,
        )


def sides(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Find rows that do not say which half of the split screen theirs is, where others do."""
    manifest = release.manifest
    if SIDE not in manifest.table or not manifest.has("video"):
        return
    spans = video_spans(manifest)
    ids = manifest.ids[manifest.given("video")].tolist()
    without = [row for row in ids if not spans[row].side]
    if without and len(without) < len(ids):
        yield CorpusFinding(
            "warning",
            "sides",
            f"row with a film and an empty {SIDE}, of {len(ids):,}",
            len(without),
            without,
            "write left or right where the screen is split; the regions half, half-unboxed and "
            "half-face leave such rows out",
        )


def protocol(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Make the corpus' own folds, and say which speakers the official split shares."""
    manifest = release.manifest
    if not manifest.protocol:
        yield CorpusFinding(
            "warning",
            "folds",
            why_no_plan(manifest),
            advice=f"fill one of these columns; {offers(manifest) or 'or choose --folds'}",
        )
        return
    try:
        plan = make_plan(manifest)
    except FoldError as error:
        yield CorpusFinding(
            "error",
            "folds",
            str(error),
            advice="correct the columns, or choose another plan with --folds",
            status=INCOMPLETE,
        )
        return
    noun = "fold" if len(plan) == 1 else "folds"
    test_rows = ", ".join(f"{fold.counts()['test']:,}" for fold in plan)
    yield CorpusFinding("fact", "folds", f"{plan.name}: {len(plan)} {noun}, test rows {test_rows}")
    shared = _shared_speakers(manifest, plan)
    if shared:
        yield CorpusFinding(
            "warning",
            "folds",
            f"speaker who both trains and tests under {plan.name!r}",
            len(shared),
            sorted(shared),
            "such a figure does not say how a stranger is understood; --folds speaker-kfold:5 does",
        )


def _shared_speakers(manifest: Manifest, plan: FoldPlan) -> set[str]:
    """Return the speakers who are trained on and tested in the same fold."""
    speakers = manifest.table["speaker"].to_numpy()
    shared: set[str] = set()
    for fold in plan:
        both = np.intersect1d(speakers[fold.mask("train")], speakers[fold.mask("test")])
        shared.update(str(speaker) for speaker in both if speaker)
    return shared


def _around(words: str) -> str:
    """Return the words around the first letter of a wrong encoding, in quotes."""
    place = re.search(MOJIBAKE, words)
    start = max(0, place.start() - 12) if place else 0
    return repr(words[start : start + 30])
