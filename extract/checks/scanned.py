"""What a scan of a long manifest showed, as findings.

They are the ones that :mod:`extract.checks.rows` makes of a short manifest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from embeddings_store.corpus.label_looks import count_notes
from embeddings_store.corpus.media_paths import ABSOLUTE, BACKSLASH
from embeddings_store.corpus.scan import LONG_S, Scan
from extract.checks.finding import INCOMPLETE, CorpusFinding
from extract.checks.rows import class_shares, label_forms, unlabelled

# By the name of a remark of a scan: check, sentence, advice.
SENTENCES = {
    "no words": (
        "empty transcripts",
        "row without words, of {rows:,}",
        "text is a missing modality there; fill the cells in if words were said",
    ),
    "text in a wrong encoding": (
        "text encoding",
        "transcript with letters that come from a wrong encoding",
        "read or save the table as what it was written in (often cp1252)",
    ),
    f"longer than {LONG_S:.0f} s": (
        "times",
        f"row longer than {LONG_S:.0f} s (start_s, end_s)",
        "correct the times or leave the rows out",
    ),
}


def scan_findings(scan: Scan) -> list[CorpusFinding]:
    """Return the findings, errors first."""
    return sorted(_findings(scan), key=lambda finding: finding.rank)


def _findings(scan: Scan) -> Iterator[CorpusFinding]:
    yield from _problems(scan)
    yield from _labels(scan)
    remarks = {remark.name: remark for remark in scan.remarks}
    for kind in (ABSOLUTE, BACKSLASH):
        if kind in remarks:
            yield CorpusFinding("fact", "reader", f"{remarks[kind].count} x {kind}")
    for name, (check, sentence, advice) in SENTENCES.items():
        # A table without any text is one without that modality.
        if name not in remarks or (name == "no words" and not scan.given["text"]):
            continue
        remark = remarks[name]
        yield CorpusFinding(
            "warning", check, sentence.format(rows=scan.rows), remark.count, remark.ids, advice
        )
    yield CorpusFinding(
        "warning",
        "scanned",
        "the table was scanned a piece at a time: media files, parts that are named twice, times "
        "in meta_* columns, and folds were not looked at",
        advice="--no-stream looks at them, and holds the whole table in memory",
    )


def _problems(scan: Scan) -> Iterator[CorpusFinding]:
    for problem in scan.problems:
        shown = [
            f"row {row}: {name!r}" for row, name in zip(problem.rows, problem.ids, strict=True)
        ]
        yield CorpusFinding(
            "error",
            "rows",
            problem.name if shown else problem.sentence,
            problem.count,
            shown,
            f"correct the table; until then no other command reads it: {problem.sentence}",
            INCOMPLETE,
        )


def _labels(scan: Scan) -> Iterator[CorpusFinding]:
    import pandas as pd

    labels = scan.words["label"]
    for sentence in (*scan.votes, *count_notes(pd.Series(labels.counts, dtype="int64"))):
        yield CorpusFinding("fact", "reader", sentence)
    yield from label_forms(list(labels.counts))
    if labels.complete and labels.counts:
        yield class_shares(dict(sorted(labels.counts.items())))
    elif labels.counts:
        yield CorpusFinding(
            "warning",
            "classes",
            f"more than {len(labels.counts):,} different labels",
            advice="that is no set of classes; see whether another column was meant",
        )
    without: Sequence[str] = ()
    for remark in scan.remarks:
        if remark.name == "no label":
            without = remark.ids
    yield from unlabelled(without, scan.rows - scan.given["label"], scan.rows)
