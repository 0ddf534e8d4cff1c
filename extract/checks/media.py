"""Checks of what reading the media showed.

What cannot be used, what is silent, how long all is, and what is there twice.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from extract.checks.finding import BAD_MEDIA, CorpusFinding, MediaFacts, ReleaseUnderCheck
from extract.checks.rows import time_columns
from extract.corpora._notes import EMPTY, POINTER

# From this many files on, equal lengths are no chance; such a part of them, where it is the
# commonest length, or the longest. Of the clips of twelve RAVDESS actors, which end with a picture
# of their film, 6 % have the commonest.
FEWEST_FILES, COMMONEST, LONGEST = 8, 0.5, 0.2
_CHANNELS = {1: "mono", 2: "stereo"}


def unreadable(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Find files that no decoder reads whole."""
    # Of these the reader's own notes speak already.
    noted = release.noted(POINTER, EMPTY)
    for medium in ("audio", "video"):
        shown = [
            f"{facts.name}: {facts.problem}"
            for facts in release.media_of(medium)
            if facts.problem and facts.name not in noted
        ]
        if shown:
            yield CorpusFinding(
                "error",
                f"{medium} unreadable",
                f"{medium} file that cannot be read whole",
                len(shown),
                shown,
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
    """Find rows whose sound is nothing but zeros."""
    rows = _silent_rows(release, "audio")
    if rows:
        yield CorpusFinding(
            "error",
            "silent",
            "silent row: every sample is zero",
            len(rows),
            rows,
            "a vector of silence says nothing about a voice; leave the rows out",
            BAD_MEDIA,
        )


def black(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Find rows whose pictures have one colour only."""
    rows = _silent_rows(release, "video")
    if rows:
        yield CorpusFinding(
            "warning",
            "one colour",
            "row whose pictures are of one colour",
            len(rows),
            rows,
            "look at them on the contact sheet (--out DIR)",
        )


def _silent_rows(release: ReleaseUnderCheck, medium: str) -> list[str]:
    rows: list[str] = []
    for facts in release.media_of(medium):
        rows += facts.silent_rows
    return rows


def odd_spans(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Find rows whose times lie outside their file."""
    shown: list[str] = []
    for facts in release.media:
        shown += [f"{row}: {reason}" for row, reason in facts.bad_rows.items()]
    if shown:
        yield CorpusFinding(
            "error",
            "times outside the file",
            "row whose times do not fit its file",
            len(shown),
            shown,
            "correct start_s and end_s",
            BAD_MEDIA,
        )


def other_lengths(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Find rows whose own file is far from as long as the times in their metadata say.

    It is then another cut than the one that was labelled.
    """
    table = release.manifest.table
    readable = [facts for facts in release.media_of("audio") if not facts.problem]
    length_of = {facts.name: facts.length_s for facts in readable}
    lengths_s = np.array([length_of.get(name, math.nan) for name in table["audio"].tolist()])
    is_part = (table["start_s"].notna() | table["end_s"].notna()).to_numpy()
    lengths_s[is_part] = math.nan
    for start_name, end_name in time_columns(table):
        if start_name == "start_s":
            continue
        start_s = table[start_name].to_numpy(dtype=float)
        expected_s = table[end_name].to_numpy(dtype=float) - start_s
        difference_s = np.abs(lengths_s - expected_s)
        far = np.flatnonzero(difference_s > np.maximum(1.0, 0.5 * expected_s))
        if len(far):
            yield CorpusFinding(
                "warning",
                "lengths",
                f"row whose file is far from as long as {start_name} and {end_name} say",
                len(far),
                [
                    f"{release.manifest.ids[i]}: {lengths_s[i]:.2f} s, not {expected_s[i]:.2f} s"
                    for i in far
                ],
                "listen to them; the file may be another cut than the one that was labelled",
            )


def rates(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Say which rates, channels and sizes there are; more than one is worth knowing."""
    for medium in ("audio", "video"):
        files_of: dict[str, list[str]] = defaultdict(list)
        for facts in release.media_of(medium):
            if not facts.problem:
                files_of[_form(facts)].append(facts.name)
        if not files_of:
            continue
        forms = sorted(files_of, key=lambda form: -len(files_of[form]))
        counts = ", ".join(f"{form} ({len(files_of[form]):,})" for form in forms)
        usual, *others = forms
        rare: list[str] = []
        for form in reversed(others):
            rare += [f"{name}: {form}" for name in files_of[form]]
        if rare:
            yield CorpusFinding(
                "warning",
                f"{medium} formats",
                f"{medium} file of another format than most: {counts}",
                len(rare),
                rare,
                "all are brought to one form, but one that goes with a label or a speaker is a cue",
            )
        else:
            yield CorpusFinding(
                "fact", f"{medium} formats", f"{medium}: {counts}", len(files_of[usual])
            )


def release_rate(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Find files at a rate that the release does not have: somebody has converted them."""
    expected = release.sample_rate_hz
    if not expected:
        return
    readable = [facts for facts in release.media_of("audio") if not facts.problem]
    others = [f"{facts.name}: {facts.rate:g} Hz" for facts in readable if facts.rate != expected]
    if others:
        yield CorpusFinding(
            "warning",
            "release's rate",
            f"audio file at another rate than the release's {expected:,} Hz",
            len(others),
            others,
            "this is a converted copy; fetch the release, or say beside every figure what was done",
        )


def one_length(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Find files that were cut or padded to one length.

    Half of all are of it, or a pile of them at the length that none is longer than.
    """
    for medium in ("audio", "video"):
        files_of: dict[float, list[str]] = defaultdict(list)
        for facts in release.media_of(medium):
            if not facts.problem:
                files_of[round(facts.length_s, 4)].append(facts.name)
        count = sum(map(len, files_of.values()))
        if count < FEWEST_FILES:
            continue
        commonest_s = max(files_of, key=lambda length_s: len(files_of[length_s]))
        for length_s, share in ((commonest_s, COMMONEST), (max(files_of), LONGEST)):
            names = files_of[length_s]
            if len(names) >= max(share * count, 2):
                yield CorpusFinding(
                    "warning",
                    f"{medium} of one length",
                    f"{medium} file of exactly {length_s:.2f} s, of {count:,}: cut or padded to "
                    "one length",
                    len(names),
                    names,
                    "recordings of people differ; fetch the release, or say beside every figure "
                    "what was done",
                )
                break


def durations(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Say how long the rows' parts are, and how many an encoder would cut."""
    lengths_s = _lengths_of_rows(release)
    known_s = lengths_s[np.isfinite(lengths_s)]
    if not len(known_s) or not release.media:
        return
    rows, hours = len(known_s), float(known_s.sum() / 3600)
    cut = int((known_s > release.cut_s).sum())
    median_s = float(np.median(known_s))
    mean_s = float(known_s.mean())
    min_s, max_s = float(known_s.min()), float(known_s.max())
    yield CorpusFinding(
        "fact",
        "durations",
        f"{hours:.2f} h in {rows:,} rows: min {min_s:.2f} s, median {median_s:.2f} s, mean "
        f"{mean_s:.2f} s, max {max_s:.2f} s; {cut:,} ({cut / rows:.1%}) are longer than "
        f"{release.cut_s:g} s and are cut there",
        rows,
        data={
            "rows": rows,
            "hours": hours,
            "min_s": min_s,
            "median_s": median_s,
            "mean_s": mean_s,
            "max_s": max_s,
            f"longer_than_{release.cut_s:g}_s": cut,
        },
    )
    far = np.flatnonzero((lengths_s > max(60.0, 10 * median_s)) | (lengths_s < 0.05))
    if len(far):
        yield CorpusFinding(
            "warning",
            "durations",
            f"row that lasts far more or less than the others (median {median_s:.2f} s)",
            len(far),
            [f"{release.manifest.ids[i]}: {lengths_s[i]:.3f} s" for i in far],
            "listen to them; a wrong cut holds other people's words",
        )


def _lengths_of_rows(release: ReleaseUnderCheck) -> NDArray[np.float64]:
    """Return how long each row's part of its sound is, in seconds (N,), nan where unknown."""
    table = release.manifest.table
    file_s = {facts.name: facts.length_s for facts in release.media_of("audio")}
    lengths_s = np.full(len(table), math.nan)
    parts = zip(table["audio"], table["start_s"], table["end_s"], strict=True)
    for row, (name, start_s, end_s) in enumerate(parts):
        if not name:
            continue
        if math.isnan(start_s):
            start_s = 0.0
        if math.isnan(end_s):
            end_s = file_s.get(name, math.nan)
        lengths_s[row] = end_s - start_s
    return lengths_s


def same_bytes(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Find files with the same bytes under several names."""
    by_digest: dict[str, list[str]] = defaultdict(list)
    for facts in release.media:
        if facts.digest and facts.name not in by_digest[facts.digest]:
            by_digest[facts.digest].append(facts.name)
    duplicates = [names for names in by_digest.values() if len(names) > 1]
    if not duplicates:
        return
    table = release.manifest.table
    label_of = dict(zip(table["audio"], table["label"], strict=True))
    contradicting = 0
    for names in duplicates:
        labels = {label_of.get(name, "") for name in names}
        contradicting += len(labels) > 1
    sentence = "file that is byte for byte another one"
    if contradicting:
        sentence += f", and {contradicting} of these have several labels"
    yield CorpusFinding(
        "error" if contradicting else "warning",
        "same bytes",
        sentence,
        sum(len(names) - 1 for names in duplicates),
        [" = ".join(names) for names in duplicates],
        "a copy in training and in test is a leak; keep one of each",
        BAD_MEDIA if contradicting else 0,
    )


def _form(facts: MediaFacts) -> str:
    """Return what a file is like, in words."""
    if facts.medium == "video":
        width, height = facts.size
        return f"{width} x {height} at {facts.rate:.4g} pictures/s"
    channels = _CHANNELS.get(facts.channels, f"{facts.channels} channels")
    return f"{facts.rate:g} Hz {channels}"
