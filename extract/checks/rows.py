"""What the rows say.

Counts against the documents, words of labels, transcripts, times, parts that are named twice,
folds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from embeddings_store.corpus.scan import LONG_S, MOJIBAKE, alike
from embeddings_store.errors import FoldError
from embeddings_store.folds.rules import make_plan
from extract.checks.finding import INCOMPLETE, CorpusFinding, ReleaseUnderCheck


def documented_counts(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Compare with the counts that the release's documents state."""
    differ = [
        (count.title, count.seen(release.manifest), count.count) for count in release.documented
    ]
    wrong = [(title, seen, wanted) for title, seen, wanted in differ if seen != wanted]
    if wrong:
        lines = tuple(f"{title}: {seen:,}, documented {wanted:,}" for title, seen, wanted in wrong)
        yield CorpusFinding(
            "error",
            "documented counts",
            f"documented count that differs, of {len(differ)}",
            len(wrong),
            lines,
            "the release is not complete, or is another edition; results on it compare with "
            "nobody else's",
            INCOMPLETE,
            {title: [seen, wanted] for title, seen, wanted in wrong},
        )
    elif differ:
        yield CorpusFinding(
            "fact", "documented counts", f"all {len(differ)} documented counts agree", len(differ)
        )


def label_words(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Find labels that differ in case or spaces only, and rows without one."""
    labels = release.manifest.table["label"]
    yield from label_forms([str(label) for label in labels.unique()])
    yield from unlabelled(
        release.manifest.ids[(labels == "").to_numpy()].tolist(),
        int((labels == "").sum()),
        len(labels),
    )


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
    """Say how many rows have no label; ``ids`` are the first of them at least."""
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
    told = ", ".join(f"{name} {count:,}" for name, count in by_class.items())
    return CorpusFinding(
        "fact",
        "classes",
        f"{told}; the largest is {largest:.1%} of them",
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
    """Look at ``start_s`` and ``end_s`` and at the times that metadata columns give in the same way."""
    table, ids = release.manifest.table, release.manifest.ids
    for start_name, end_name in time_columns(table):
        start, end = table[start_name].to_numpy(dtype=float), table[end_name].to_numpy(dtype=float)
        span = end - start
        for wrong, what in (
            ((span <= 0), "that ends before it starts, or lasts no time"),
            ((start < 0) | (end < 0), "with a negative time"),
            (span > LONG_S, f"longer than {LONG_S:.0f} s"),
        ):
            if wrong.any():
                shown = [
                    f"{n}: {a:g} to {b:g} s"
                    for n, a, b in zip(ids[wrong], start[wrong], end[wrong], strict=True)
                ]
                yield CorpusFinding(
                    "warning",
                    "times",
                    f"row {what} ({start_name}, {end_name})",
                    int(wrong.sum()),
                    shown,
                    "correct the times or leave the rows out",
                )


def time_columns(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the pairs of columns that hold a start and an end in seconds, ``start_s`` and ``end_s`` among them.

    >>> time_columns(pd.DataFrame({"meta_x_start_s": [0.0], "meta_x_end_s": [1.0], "meta_y_start_s": [0.0], "text": ["a"]}))
    [('meta_x_start_s', 'meta_x_end_s')]
    """
    starts = [
        c
        for c in map(str, table)
        if c == "start_s" or (c.startswith("meta_") and c.endswith("_start_s"))
    ]
    pairs = [(c, c.removesuffix("start_s") + "end_s") for c in starts]
    return [
        pair
        for pair in pairs
        if pair[1] in table and all(table[c].dtype.kind in "fi" for c in pair)
    ]


def same_parts(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Find rows that are the same part of the same file."""
    manifest = release.manifest
    for medium in ("audio", "video"):
        own = medium == "video" and "meta_video_start_s" in manifest.table
        keys = [
            medium,
            *(
                ("meta_video_start_s", "meta_video_end_s", "meta_video_side")
                if own
                else ("start_s", "end_s")
            ),
        ]
        rows = manifest.table[manifest.table[medium] != ""]
        twice = rows[rows.duplicated(keys, keep=False)]
        if len(twice):
            label_differs = twice.groupby(keys, dropna=False)["label"].nunique().gt(1).sum()
            yield CorpusFinding(
                "error" if label_differs else "warning",
                "same part twice",
                f"row that is the same part of the same {medium} file as another"
                + (
                    f", and {label_differs} of these parts have several labels"
                    if label_differs
                    else ""
                ),
                len(twice),
                twice["id"].tolist(),
                "one of them is wrong, or start_s and end_s are missing",
                INCOMPLETE if label_differs else 0,
            )


def protocol(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Make the corpus' own folds, and say which speakers the official split shares."""
    manifest = release.manifest
    if not manifest.protocol:
        yield CorpusFinding(
            "warning",
            "folds",
            "no split, session, speaker or group to fold by",
            advice="add such a column",
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
    yield CorpusFinding(
        "fact",
        "folds",
        f"{plan.name}: {len(plan)} fold{'s' * (len(plan) != 1)}, test rows "
        + ", ".join(f"{fold.counts()['test']:,}" for fold in plan),
    )
    speakers = manifest.table["speaker"].to_numpy()
    shared = {
        str(s)
        for fold in plan
        for s in np.intersect1d(speakers[fold.mask("train")], speakers[fold.mask("test")])
        if s
    }
    if shared:
        yield CorpusFinding(
            "warning",
            "folds",
            f"speaker who both trains and tests under {plan.name!r}",
            len(shared),
            sorted(shared),
            "such a figure does not say how a stranger is understood; --folds speaker-kfold:5 does",
        )


def _around(words: str) -> str:
    place = re.search(MOJIBAKE, words)
    start = max(0, place.start() - 12) if place else 0
    return repr(words[start : start + 30])
