"""What reading the media showed.

What cannot be used, what is silent, how long all is, and what is there twice.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from extract.checks.finding import BAD_MEDIA, CorpusFinding, MediaFacts, ReleaseUnderCheck
from extract.checks.rows import time_columns
from extract.corpora._notes import EMPTY, POINTER


def unreadable(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Files that no decoder reads whole."""
    for medium in ("audio", "video"):
        bad = [
            f
            for f in release.media
            if f.medium == medium and f.problem and f.name not in release.noted(POINTER, EMPTY)
        ]
        if bad:
            yield CorpusFinding(
                "error",
                f"{medium} unreadable",
                f"{medium} file that cannot be read whole",
                len(bad),
                [f"{f.name}: {f.problem}" for f in bad],
                "fetch them again, or leave their rows out",
                BAD_MEDIA,
            )
    if release.sampled:
        yield CorpusFinding(
            "fact",
            "media read",
            f"{release.sampled:,} of {release.sampled + len(release.media):,} media files were "
            "not read, as --media asks",
            release.sampled,
        )


def silent(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Rows whose sound is nothing but zeros."""
    rows = [row for f in release.media if f.medium == "audio" for row in f.silent_rows]
    if rows:
        yield CorpusFinding(
            "error",
            "silent",
            "silent row: every sample is zero",
            len(rows),
            tuple(rows),
            "a vector of silence says nothing about a voice; leave the rows out",
            BAD_MEDIA,
        )


def black(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Rows whose pictures have one colour only."""
    rows = [row for f in release.media if f.medium == "video" for row in f.silent_rows]
    if rows:
        yield CorpusFinding(
            "warning",
            "one colour",
            "row whose pictures are of one colour",
            len(rows),
            tuple(rows),
            "look at them on the contact sheet (--out DIR)",
        )


def odd_spans(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Rows whose times lie outside their file."""
    bad = [f"{row}: {reason}" for f in release.media for row, reason in f.bad_rows.items()]
    if bad:
        yield CorpusFinding(
            "error",
            "times outside the file",
            "row whose times do not fit its file",
            len(bad),
            tuple(bad),
            "correct start_s and end_s",
            BAD_MEDIA,
        )


def other_lengths(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Rows whose own file is far from as long as the times in their metadata say.

    Another cut than the one that was labelled.
    """
    table = release.manifest.table
    length_of = {f.name: f.length_s for f in release.media if f.medium == "audio" and not f.problem}
    lengths = np.array(
        [length_of.get(name, math.nan) for name in table["audio"].tolist()], dtype=float
    )
    lengths[(table["start_s"].notna() | table["end_s"].notna()).to_numpy()] = math.nan
    for start_name, end_name in time_columns(table):
        told = table[end_name].to_numpy(dtype=float) - table[start_name].to_numpy(dtype=float)
        far = np.flatnonzero(np.abs(lengths - told) > np.maximum(1.0, 0.5 * told))
        if start_name != "start_s" and len(far):
            yield CorpusFinding(
                "warning",
                "lengths",
                f"row whose file is far from as long as {start_name} and {end_name} say",
                len(far),
                [
                    f"{release.manifest.ids[i]}: {lengths[i]:.2f} s, not {told[i]:.2f} s"
                    for i in far
                ],
                "listen to them; the file may be another cut than the one that was labelled",
            )


def rates(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Which rates, channels and sizes there are; more than one is worth knowing."""
    for medium in ("audio", "video"):
        forms: dict[str, list[str]] = defaultdict(list)
        for facts in release.media:
            if facts.medium == medium and not facts.problem:
                forms[_form(facts)].append(facts.name)
        if not forms:
            continue
        usual, *others = sorted(forms, key=lambda form: -len(forms[form]))
        told = ", ".join(f"{form} ({len(forms[form]):,})" for form in (usual, *others))
        rare = [f"{name}: {form}" for form in reversed(others) for name in forms[form]]
        if rare:
            yield CorpusFinding(
                "warning",
                f"{medium} formats",
                f"{medium} file of another format than most: {told}",
                len(rare),
                tuple(rare),
                "all are brought to one form, but one that goes with a label or a speaker is a cue",
            )
        else:
            yield CorpusFinding("fact", f"{medium} formats", f"{medium}: {told}", len(forms[usual]))


def durations(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """How long the rows' parts are, and how many an encoder would cut."""
    length_of = {(f.name, f.medium): f.length_s for f in release.media}
    table, seen = release.manifest.table, []
    for name, start, end in zip(table["audio"], table["start_s"], table["end_s"], strict=True):
        whole = length_of.get((name, "audio"), math.nan)
        seen.append(
            (end if not math.isnan(end) else whole) - (start if not math.isnan(start) else 0.0)
            if name
            else math.nan
        )
    lengths = np.array(seen, dtype=float)
    there = lengths[np.isfinite(lengths)]
    if not len(there) or not release.media:
        return
    long = int((there > release.cut_s).sum())
    middle = float(np.median(there))
    facts = {
        "rows": len(there),
        "hours": float(there.sum() / 3600),
        "min_s": float(there.min()),
        "median_s": middle,
        "mean_s": float(there.mean()),
        "max_s": float(there.max()),
        f"longer_than_{release.cut_s:g}_s": long,
    }
    yield CorpusFinding(
        "fact",
        "durations",
        f"{facts['hours']:.2f} h in {len(there):,} rows: min {facts['min_s']:.2f} s, median "
        f"{facts['median_s']:.2f} s, mean {facts['mean_s']:.2f} s, max {facts['max_s']:.2f} s; "
        f"{long:,} "
        f"({long / len(there):.1%}) are longer than {release.cut_s:g} s and are cut there",
        len(there),
        data=facts,
    )
    far = np.flatnonzero((lengths > max(60.0, 10 * middle)) | (lengths < 0.05))
    if len(far):
        yield CorpusFinding(
            "warning",
            "durations",
            f"row that lasts far more or less than the others (median {middle:.2f} s)",
            len(far),
            [f"{release.manifest.ids[i]}: {lengths[i]:.3f} s" for i in far],
            "listen to them; a wrong cut holds other people's words",
        )


def same_bytes(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Files with the same bytes under several names."""
    by_digest: dict[str, list[str]] = defaultdict(list)
    for f in release.media:
        if f.digest and f.name not in by_digest[f.digest]:
            by_digest[f.digest].append(f.name)
    twins = [names for names in by_digest.values() if len(names) > 1]
    if twins:
        labels = dict(
            zip(release.manifest.table["audio"], release.manifest.table["label"], strict=True)
        )
        differ = sum(len({labels.get(name, "") for name in names}) > 1 for names in twins)
        yield CorpusFinding(
            "error" if differ else "warning",
            "same bytes",
            "file that is byte for byte another one"
            + (f", and {differ} of these have several labels" if differ else ""),
            sum(len(names) - 1 for names in twins),
            [" = ".join(names) for names in twins],
            "a copy in training and in test is a leak; keep one of each",
            BAD_MEDIA if differ else 0,
        )


def _form(facts: MediaFacts) -> str:
    """Return what a file is like, in words."""
    if facts.medium == "video":
        return f"{facts.size[0]} x {facts.size[1]} at {facts.rate:.4g} pictures/s"
    return f"{facts.rate:g} Hz {({1: 'mono', 2: 'stereo'}).get(facts.channels, f'{facts.channels} channels')}"
