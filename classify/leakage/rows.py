"""Do rows of different roles share what they must not.

A speaker, a dialogue, a video, a transcript, the very same input?
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np
from rich.console import Console
from rich.progress import track

from classify.leakage.case import AuditCase, Codes, factorized, overlap
from classify.leakage.facts import by_design
from classify.leakage.finding import (
    CAUTION,
    CLEAN,
    LEAK,
    NOT_CHECKED,
    LeakageFinding,
    per_cent,
    some,
)
from classify.leakage.near_duplicates import near_identical
from embeddings_store.corpus.manifest import resolve_media
from embeddings_store.corpus.transcripts import normalised
from embeddings_store.provenance import file_digest

LONG_WORDS = 6  # shorter transcripts are everyday phrases, which people say twice
FEW = 0.01  # up to this part of the test rows, long transcripts that occur twice are chance
HELPS = (
    0.05  # a look-up that is right so much more often than a constant answer has something to tell
)
RECORDINGS = ("audio", "video", "meta_video", "meta_video_id")


def speakers(case: AuditCase) -> LeakageFinding:
    """Nobody is heard in training and in test."""
    keys, names = case.keys("speaker"), case.manifest.column("speaker")
    if not (keys >= 0).any():
        return LeakageFinding(NOT_CHECKED, "the manifest names no speaker")
    found, choosing = overlap(case, keys, ("train",)), overlap(case, keys, ("valid",))
    nameless = case.n_test - found.of
    rest = f"; {nameless:,} test rows name no speaker" if nameless else ""
    if not found.rows and not choosing.rows:
        return LeakageFinding(
            CLEAN, f"{keys.max() + 1:,} speakers, none on both sides{rest}", share=0.0
        )
    worse, verb = (found, "train") if found.rows else (choosing, "validate")
    number = f"{per_cent(worse.share)} of {worse.of:,} test rows are by {len(worse.keys):,} speakers who also {verb}{rest}"
    who = some([names[keys == key][0] for key in worse.keys[:3]])
    if not found.rows:
        return LeakageFinding(
            CAUTION,
            number,
            "what is chosen on validation rows fits these people",
            examples=who,
            share=worse.share,
        )
    means = "a model can know these people's voices and faces, so the figure says little about strangers"
    design = by_design(case, "speakers")
    if design:
        return LeakageFinding(
            CAUTION, number, f"{design.why}; {means}", examples=who, share=found.share
        )
    return LeakageFinding(
        LEAK,
        number,
        means,
        "fold by speaker (--folds speaker-kfold:5, or leave-one-speaker-out); if a figure for "
        "known speakers is what is wanted, --accept speakers says so under every table",
        who,
        found.share,
    )


def groups(case: AuditCase) -> LeakageFinding:
    """The rows of a dialogue or video share a role."""
    if not (case.groups >= 0).any():
        return LeakageFinding(NOT_CHECKED, "the manifest names no groups (dialogues, videos)")
    total, declared = case.groups.max() + 1, getattr(case.plan, "shares", ())
    for one, other, means in (
        (
            "train",
            "test",
            "turns of one dialogue and windows of one video are all but the same row, so the "
            "model is tested on what it was trained on",
        ),
        ("valid", "test", "what is chosen on validation rows fits the test rows"),
        ("train", "valid", "what is chosen on validation rows was learnt by heart"),
    ):
        apart = [case.torn(fold, one, other) for fold in case.plan]
        torn = np.unique(np.concatenate([case.groups[rows] for rows in apart]))
        if not len(torn):
            continue
        rows = sum(
            int((mask & case.rows(fold, other)).sum())
            for mask, fold in zip(apart, case.plan, strict=True)
        )
        of = sum(int(case.rows(fold, other).sum()) for fold in case.plan)
        number = (
            f"{len(torn):,} of {total:,} groups have rows in {one} and {other}; "
            f"{per_cent(rows / max(of, 1))} of {of:,} "
            f"{other} rows are of such a group"
        )
        first = some(
            [str(case.manifest.column("group")[case.groups == key][0]) for key in torn[:3]]
        )
        if f"{one}+{other}" in declared:
            return LeakageFinding(
                CAUTION,
                number,
                f"the plan's name says so ({case.plan.valid}); {means}",
                examples=first,
            )
        return LeakageFinding(
            LEAK,
            number,
            means,
            "fold by group (--folds group-kfold:5), or repair the column 'split'",
            first,
            rows / max(of, 1) if other == "test" else None,
        )
    return LeakageFinding(CLEAN, f"{total:,} groups, none torn apart", share=0.0)


def videos(case: AuditCase) -> LeakageFinding:
    """Nothing is cut from a recording that another role is cut from too."""
    columns = [
        c
        for c in RECORDINGS
        if c in case.manifest.table and (case.manifest.table[c].astype(str) != "").any()
    ]
    if not columns:
        return _by_ids(case)
    shared = [
        (overlap(case, case.keys(c), (role,)), role, c)
        for role in ("train", "valid")
        for c in columns
    ]
    worst, role, column = max(
        shared, key=lambda found: (found[0].rows > 0 and found[1] == "train", found[0].rows)
    )
    if not worst.rows:
        several = [c for c in columns if len(np.unique(case.keys(c))) < len(case.manifest)]
        return LeakageFinding(
            CLEAN,
            f"no recording on both sides ({', '.join(columns)}; "
            + ("some hold several rows)" if several else "each row has its own)"),
            share=0.0,
        )
    names, ids, of = case.manifest.table[column], case.manifest.ids, case.n_test
    number = (
        f"{per_cent(worst.rows / of)} of {of:,} test rows are cut from {len(worst.keys):,} "
        "recordings that rows which "
        f"{'train' if role == 'train' else 'validate'} are cut from too"
    )
    examples = some([f"{ids[a]} and {ids[b]}: {names.iloc[a]}" for a, b in worst.examples])
    if role == "valid" and "valid+test" in getattr(case.plan, "shares", ()):
        return LeakageFinding(
            CAUTION,
            number,
            f"the plan's name says so ({case.plan.valid}); what is chosen on validation rows fits "
            "the test rows",
            examples=examples,
            share=worst.rows / of,
        )
    return LeakageFinding(
        LEAK,
        number,
        "rows of one recording have its voice, face, room and topic, and overlapping windows the "
        "very "
        "same samples; a random split over windows reports about 100 % and is worthless",
        "give the manifest a column "
        "'group' that names the recording, and fold by it (--folds group-kfold:5)",
        examples,
        worst.rows / of,
    )


def transcripts(case: AuditCase) -> LeakageFinding:
    """No test row says what a training row says."""
    texts = normalised(case.manifest.column("text"))
    same = factorized(texts)
    if not (same >= 0).any():
        return LeakageFinding(NOT_CHECKED, "the manifest holds no transcripts")
    unique = np.unique(texts[same >= 0])
    place = np.searchsorted(unique, texts)
    near = np.where(same >= 0, near_identical(unique)[np.minimum(place, len(unique) - 1)], -1)
    words = np.char.count(texts, " ") + 1
    long = (same >= 0) & (words >= LONG_WORDS)
    exact, alike, telling = (overlap(case, keys) for keys in (same, near, np.where(long, near, -1)))
    details = {
        "identical": exact.share,
        "nearly_identical": alike.share,
        "identical_4_words_or_more": overlap(case, np.where(words >= 4, same, -1)).rows
        / max(exact.of, 1),
        "long_share": telling.rows / max(alike.of, 1),
        "look_up_accuracy_identical": exact.look_up if exact.rows else 0.0,
        "look_up_accuracy": alike.look_up if alike.rows else 0.0,
        "constant_accuracy": alike.constant / max(alike.rows, 1),
    }
    if not alike.rows:
        return LeakageFinding(
            CLEAN,
            f"none of {alike.of:,} test rows says what a training or validation row says",
            share=0.0,
            details=details,
        )
    nearly = (
        f", {per_cent(alike.share)} with near-identical ones" if alike.rows > exact.rows else ""
    )
    number = (
        f"{per_cent(exact.share)} of {exact.of:,} test rows repeat a transcript of training or "
        f"validation rows{nearly}; "
        f"looking it up is right on {per_cent(alike.look_up)} of these (always the commonest "
        "label: "
        f"{per_cent(alike.constant / alike.rows)})"
    )
    ids, raw = case.manifest.ids, case.manifest.column("text")
    shown = telling if telling.rows else alike
    examples = some([f"{ids[a]} and {ids[b]}: {_short(raw[a])}" for a, b in shown.examples])
    means = (
        "a text model can answer these rows by heart; report text results on unseen transcripts too"
    )
    nothing = "so they tell nothing of it"
    helps = telling.right - telling.constant > HELPS * telling.rows
    design = by_design(case, "transcripts")
    if design:
        known = (
            f"{design.why}; {means}" if helps or not telling.rows else f"{design.why}, {nothing}"
        )
        return LeakageFinding(
            CAUTION, number, known, examples=examples, share=alike.share, details=details
        )
    if telling.rows <= FEW * alike.of:
        return LeakageFinding(
            CAUTION,
            number,
            f"nearly all have fewer than {LONG_WORDS} words: phrases that people say twice; "
            f"{means}",
            examples=examples,
            share=alike.share,
            details=details,
        )
    if not helps:
        return LeakageFinding(
            CAUTION,
            number,
            f"the same sentences are spoken with every label, {nothing}",
            examples=examples,
            share=alike.share,
            details=details,
        )
    return LeakageFinding(
        LEAK,
        number,
        means,
        "fold so that equal sentences share a role, or drop the copies; if actors replay "
        "scripts, that is the corpus' design: --accept transcripts says so under every table",
        examples,
        alike.share,
        details,
    )


def media(case: AuditCase) -> LeakageFinding:
    """No encoder was given the very same sound or pictures for rows of two roles."""
    found = [(overlap(case, keys), what) for what, keys in _inputs(case)]
    for column in ("audio", "video"):
        copies, absent = _file_copies(case, column)
        if copies is not None:
            found.append(
                (
                    overlap(case, copies),
                    f"{column} files" + (f", {absent:,} of them not there" if absent else ""),
                )
            )
    if not found:
        return LeakageFinding(
            NOT_CHECKED,
            "no vectors of sound or pictures carry digests of what went in; give the files with "
            "--media",
        )
    details = {"files_read": float(any(" files" in what for _, what in found))}
    worst, what = max(found, key=lambda one: one[0].rows)
    compared = ", ".join(name for _, name in found)
    if not worst.rows:
        return LeakageFinding(
            CLEAN,
            f"no two rows of different roles are byte-identical ({compared})",
            share=0.0,
            details=details,
        )
    number = (
        f"{worst.rows:,} of {worst.of:,} test rows ({per_cent(worst.share)}) are byte-identical "
        "to rows that train or "
        f"validate ({what})"
    )
    ids = case.manifest.ids
    examples = some([f"{ids[a]} = {ids[b]}" for a, b in worst.examples])
    means = "their vectors are those of a training row, whose label the classifier was told"
    design = by_design(case, "media")
    if design and worst.share <= FEW:
        return LeakageFinding(
            CAUTION,
            number,
            f"{design.why}; {means}",
            examples=examples,
            share=worst.share,
            details=details,
        )
    return LeakageFinding(
        LEAK,
        number,
        means,
        "drop the copies from the manifest, or give both one group",
        examples,
        worst.share,
        details,
    )


def _by_ids(case: AuditCase) -> LeakageFinding:
    """Ids that differ in a last number alone may be windows of one recording.

    Where nothing else says so, nobody can know.

    Ids such as ``happy_012`` have few beginnings, those of windows have many.
    """
    ids = case.manifest.table["id"].str.replace(r"[-_./:]?[A-Za-z]*\d+$", "", regex=True)
    keys = np.where(case.groups < 0, factorized(np.asarray(ids.to_numpy(dtype=str))), -1)
    found = overlap(case, keys)
    if not found.rows or len(found.keys) <= 2 * (case.codes.max() + 1):
        return LeakageFinding(NOT_CHECKED, "the manifest names no recordings")
    shown = some([f"{case.manifest.ids[a]} and {case.manifest.ids[b]}" for a, b in found.examples])
    return LeakageFinding(
        CAUTION,
        f"the manifest names no recordings; by their ids, {per_cent(found.rows / case.n_test)} of "
        "the test "
        "rows may be of one that also trains or validates",
        "if these ids are windows of recordings the figure is "
        "worthless; fill the column 'group' to know",
        examples=shown,
        share=found.rows / case.n_test,
    )


def _inputs(case: AuditCase) -> Iterator[tuple[str, Codes]]:
    """Yield each different record of inputs once; texts are compared as transcripts."""
    met: set[tuple[str, bytes]] = set()
    for file in case.files:
        if file.inputs is None or file.ref.modality == "text":
            continue
        keys = factorized(np.where(file.ok & ~file.silent, file.inputs, ""))
        if (keys >= 0).any() and (file.ref.modality, keys.tobytes()) not in met:
            met.add((file.ref.modality, keys.tobytes()))
            yield file.view, keys


def _file_copies(case: AuditCase, column: str) -> tuple[Codes | None, int]:
    """Return the code of each row's file by its content (N,), -1 where no other file is the same, and how many are not there.

    Only files of equal size are read. Without any file there are no codes.
    """
    if case.media is None:
        return None, 0
    paths, sizes = case.manifest.column(column), defaultdict(list)
    named = np.unique(paths[paths != ""]).tolist()
    for path in named:
        place = resolve_media(case.media, path)
        if place.is_file():
            sizes[place.stat().st_size].append(path)
    there = sum(map(len, sizes.values()))
    if not there:
        return None, len(named)
    console = Console(stderr=True)
    alike = [path for same in sizes.values() if len(same) > 1 for path in same]
    shown = track(
        alike,
        f"{column} files of equal size",
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    content = {path: file_digest(resolve_media(case.media, path)) for path in shown}
    times = Counter(content.values())
    copied = {path: digest for path, digest in content.items() if times[digest] > 1}
    return factorized(
        np.array([copied.get(path, "") for path in paths.tolist()], dtype=object)
    ), len(named) - there


def _short(text: str, width: int = 60) -> str:
    text = str(text)
    return repr(text if len(text) <= width else text[: width - 3] + "...")
