"""Do rows of different roles share what they must not?

A speaker, a dialogue, a video, a transcript, the very same input.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classify.leakage.case import (
    LONG_WORDS,
    RECORDINGS,
    AuditCase,
    Codes,
    Overlap,
    factorized,
    overlap,
)
from classify.leakage.facts import by_design
from classify.leakage.finding import (
    CLEAN,
    NOT_CHECKED,
    SHOWN_EXAMPLES,
    Evidence,
    LeakageFinding,
    per_cent,
    some,
)
from classify.leakage.near_duplicates import near_identical
from classify.leakage.windows import windows
from embeddings_store.corpus.column_names import read_from
from embeddings_store.corpus.connected import connected_parts
from embeddings_store.corpus.media_paths import resolve_media
from embeddings_store.corpus.transcripts import as_heard, count_words, normalised
from embeddings_store.folds.apart import apart_by, groups_are_speakers
from embeddings_store.provenance import file_digest

FEW = 0.01  # up to this part of the test rows, long transcripts that occur twice are chance
# Pairs of roles that must not share a group, the worst first, and what it means where they do.
TEARS = (
    (
        "train",
        "test",
        "turns of one dialogue and windows of one video are all but the same row, so the model is "
        "tested on what it was trained on",
    ),
    ("valid", "test", "what is chosen on validation rows fits the test rows"),
    ("train", "valid", "what is chosen on validation rows was learnt by heart"),
)


@dataclass(frozen=True, slots=True)
class SharedTranscripts:
    """Transcripts that test rows share with rows that train or validate.

    Attributes:
        exact: Those that are equal.
        alike: Those that are equal or nearly so.
        long: Of ``alike`` those of :data:`LONG_WORDS` words or more.
        details: Figures by name, for programs.
    """

    exact: Overlap
    alike: Overlap
    long: Overlap
    details: dict[str, float]


def speakers(case: AuditCase) -> LeakageFinding:
    """Nobody is heard in training and in test."""
    keys, names = case.keys("speaker"), case.manifest.named("speaker")
    if not (keys >= 0).any():
        return LeakageFinding(NOT_CHECKED, "the manifest names no speaker")
    training, choosing = overlap(case, keys, ("train",)), overlap(case, keys, ("valid",))
    nameless = case.n_test - training.of
    rest = f"; {nameless:,} test rows name no speaker" if nameless else ""
    if not training.rows and not choosing.rows:
        number = f"{keys.max() + 1:,} speakers, none on both sides{rest}"
        return _hidden(case, keys, number) or LeakageFinding(CLEAN, number, share=0.0)
    worse, verb = (training, "train") if training.rows else (choosing, "validate")
    number = (
        f"{per_cent(worse.share)} of {worse.of:,} test rows are by {len(worse.keys):,} speakers "
        f"who also {verb}{rest}"
    )
    known = some([names[keys == key][0] for key in worse.keys[:SHOWN_EXAMPLES]])
    evidence = Evidence(number, known, worse.share)
    if not training.rows:
        return evidence.caution("what is chosen on validation rows fits these people")
    means = (
        "a model can know these people's voices and faces, so the figure says little about "
        "strangers"
    )
    what = apart_by(case.plan.name)
    if what:
        return evidence.caution(f"the plan keeps each {what} whole and not people; {means}")
    design = by_design(case, "speakers")
    if design:
        return evidence.caution(f"{design.why}; {means}")
    return evidence.leak(
        means,
        "fold by speaker (--folds speaker-kfold:5, or leave-one-speaker-out), or, where they meet "
        "in dialogues, --folds connected-kfold:5; if a figure for known speakers is what is "
        "wanted, --accept speakers says so under every table",
    )


def groups(case: AuditCase) -> LeakageFinding:
    """The rows of a dialogue or video share a role."""
    if not (case.groups >= 0).any():
        return LeakageFinding(NOT_CHECKED, "the manifest names no groups (dialogues, videos)")
    if apart_by(case.plan.name) and groups_are_speakers(case.manifest):
        return LeakageFinding(NOT_CHECKED, "the groups are the speakers, whom the plan mixes")
    for one, other, means in TEARS:
        finding = _torn_groups(case, one, other, means)
        if finding:
            return finding
    number = f"{case.groups.max() + 1:,} groups, none torn apart{_nameless(case)}"
    return _hidden(case, case.groups, number) or LeakageFinding(CLEAN, number, share=0.0)


def _nameless(case: AuditCase) -> str:
    rows = int((case.groups < 0).sum())
    return f"; {rows:,} rows name no group" if rows else ""


def _hidden(case: AuditCase, keys: Codes, number: str) -> LeakageFinding | None:
    """Return what is to be said where test rows alone are without names, none elsewhere.

    Args:
        case: The evaluation.
        keys: Codes of speakers or groups (N,), -1 for none.
        number: What was counted.
    """
    hidden = 0
    for fold in case.plan:
        nameless = int((case.rows(fold, "test") & (keys < 0)).sum())
        if nameless and not (case.rows(fold, "train") & (keys < 0)).any():
            hidden += nameless
    if not hidden:
        return None
    return Evidence(
        f"{number}; of them {hidden:,} test rows, though every training row has a name"
    ).caution(
        "whether these rows share what the check looks for cannot be seen; fill the column, or "
        "find out who left it empty where the figure is made"
    )


def _torn_groups(case: AuditCase, one: str, other: str, means: str) -> LeakageFinding | None:
    """Return what is found where groups have rows in two roles, none where no group has."""
    keys: set[int] = set()
    rows = of = 0
    for fold in case.plan:
        torn, asked = case.torn(fold, one, other), case.rows(fold, other)
        keys.update(case.groups[torn].tolist())
        rows += int((torn & asked).sum())
        of += int(asked.sum())
    if not keys:
        return None
    share = rows / max(of, 1)
    number = (
        f"{len(keys):,} of {case.groups.max() + 1:,} groups have rows in {one} and {other}; "
        f"{per_cent(share)} of {of:,} {other} rows are of such a group{_nameless(case)}"
    )
    names = case.manifest.named("group")
    examples = some([str(names[case.groups == key][0]) for key in sorted(keys)[:SHOWN_EXAMPLES]])
    if f"{one}+{other}" in case.plan.shares:
        return Evidence(number, examples).caution(
            f"the plan's name says so ({case.plan.valid}); {means}"
        )
    return Evidence(number, examples, share if other == "test" else None).leak(
        means, "fold by group (--folds group-kfold:5), or repair the column 'split'"
    )


def videos(case: AuditCase) -> LeakageFinding:
    """Nothing is cut from a recording that another role is cut from too."""
    table = case.manifest.table
    columns = [c for c in RECORDINGS if c in table and (table[c].astype(str) != "").any()]
    if not columns:
        unnamed = LeakageFinding(NOT_CHECKED, "the manifest names no recordings")
        return windows(case) or unnamed
    worst, role, column = _most_shared_recordings(case, columns)
    if not worst.rows:
        several = [c for c in columns if len(np.unique(case.keys(c))) < len(case.manifest)]
        rows = "some hold several rows" if several else "each row has its own"
        return windows(case) or LeakageFinding(
            CLEAN, f"no recording on both sides ({', '.join(columns)}; {rows})", share=0.0
        )
    names, ids, of = table[column], case.manifest.ids, case.n_test
    number = (
        f"{per_cent(worst.rows / of)} of {of:,} test rows are cut from {len(worst.keys):,} "
        f"recordings that rows which {'train' if role == 'train' else 'validate'} are cut from too"
    )
    examples = some([f"{ids[a]} and {ids[b]}: {names.iloc[a]}" for a, b in worst.examples])
    evidence = Evidence(number, examples, worst.rows / of)
    if role == "valid" and "valid+test" in case.plan.shares:
        return evidence.caution(
            f"the plan's name says so ({case.plan.valid}); what is chosen on validation rows fits "
            "the test rows"
        )
    return evidence.leak(
        "rows of one recording have its voice, face, room and topic, and overlapping windows the "
        "very same samples; a random split over windows reports about 100 % and is worthless",
        "give the manifest a column 'group' that names the recording, and fold by it (--folds "
        "group-kfold:5)",
    )


def _most_shared_recordings(case: AuditCase, columns: list[str]) -> tuple[Overlap, str, str]:
    """Return the worst overlap, with its role and column.

    Any with training rows is worse than all with validation rows.
    """
    for role in ("train", "valid"):
        shared = [(overlap(case, case.keys(column), (role,)), column) for column in columns]
        worst, column = max(shared, key=lambda found: found[0].rows)
        if worst.rows:
            break
    return worst, role, column


def transcripts(case: AuditCase) -> LeakageFinding:
    """No test row says what a training row says."""
    texts = normalised(case.manifest.column("text"))
    if not (texts != "").any():
        return LeakageFinding(NOT_CHECKED, "the manifest holds no transcripts")
    shared = _shared_transcripts(case, texts)
    exact, alike, long = shared.exact, shared.alike, shared.long
    if not alike.rows:
        return LeakageFinding(
            CLEAN,
            f"none of {alike.of:,} test rows says what a training or validation row says",
            share=0.0,
            details=shared.details,
        )
    nearly = ""
    if alike.rows > exact.rows:
        nearly = f", {per_cent(alike.share)} with near-identical ones"
    number = (
        f"{per_cent(exact.share)} of {exact.of:,} test rows repeat a transcript of training or "
        f"validation rows{nearly}; looking it up is right on {per_cent(alike.look_up)} of these "
        f"(always the commonest label of the test rows: {per_cent(alike.constant / alike.rows)})"
    )
    ids, raw = case.manifest.ids, case.manifest.column("text")
    shown = long if long.rows else alike
    examples = some([f"{ids[a]} and {ids[b]}: {_short(raw[a])}" for a, b in shown.examples])
    evidence = Evidence(number, examples, alike.share, shared.details)
    means = (
        "a text model can answer these rows by heart; report text results on unseen transcripts too"
    )
    nothing = "so they tell nothing of it"
    helps = long.helps
    design = by_design(case, "transcripts")
    if design and (helps or not long.rows):
        return evidence.caution(f"{design.why}; {means}")
    if design:
        return evidence.caution(f"{design.why}, {nothing}")
    if long.rows <= FEW * alike.of:
        return evidence.caution(
            f"nearly all have fewer than {LONG_WORDS} words: phrases that people say twice; {means}"
        )
    if not helps:
        return evidence.caution(f"the same sentences are spoken with every label, {nothing}")
    return evidence.leak(
        means,
        "fold so that equal sentences share a role, or drop the copies; if actors replay "
        "scripts, that is the corpus' design: --accept transcripts says so under every table",
    )


def _shared_transcripts(case: AuditCase, texts: NDArray[np.str_]) -> SharedTranscripts:
    """Compare normalised texts (N,), of which one at least is not empty."""
    same = factorized(texts)
    unique = np.unique(texts[same >= 0])
    code_of_unique = _same_to_a_person(unique)
    near = np.where(same >= 0, code_of_unique[np.searchsorted(unique, texts)], -1)
    words = count_words(texts)
    exact, alike = overlap(case, same), overlap(case, near)
    long = overlap(case, np.where(words >= LONG_WORDS, near, -1))
    of_4_words = overlap(case, np.where(words >= 4, same, -1))
    details = {
        "identical": exact.share,
        "nearly_identical": alike.share,
        "identical_4_words_or_more": of_4_words.rows / max(exact.of, 1),
        "long_share": long.rows / max(alike.of, 1),
        "look_up_accuracy_identical": exact.look_up if exact.rows else 0.0,
        "look_up_accuracy": alike.look_up if alike.rows else 0.0,
        "constant_accuracy": alike.constant / max(alike.rows, 1),
    }
    return SharedTranscripts(exact, alike, long, details)


def _same_to_a_person(texts: NDArray[np.str_]) -> Codes:
    """Return a code (n,) for each normalised text, equal where a person would call them the same.

    They are nearly identical as they were written; or, where they are long, without their fillers
    and whatever the order of the words. Directly or in a chain.
    """
    heard, place = np.unique(as_heard(texts), return_inverse=True)
    long = count_words(heard) >= LONG_WORDS
    codes_as_heard = np.full(len(heard), -1)
    codes_as_heard[long] = near_identical(heard[long])
    names = []
    for codes in (near_identical(texts), codes_as_heard[place]):
        names.append(np.where(codes < 0, "", codes.astype(str)))
    return connected_parts(names)


def media(case: AuditCase) -> LeakageFinding:
    """No encoder was given the very same sound or pictures for rows of two roles."""
    found = [(overlap(case, keys), view) for view, keys in _inputs(case)]
    of_vectors = len(found)
    for column in ("audio", "video"):
        copies, absent = _file_copies(case, column)
        if copies is not None:
            missing = f", {absent:,} of them not there" if absent else ""
            found.append((overlap(case, copies), f"{column} files{missing}"))
    if not found:
        return LeakageFinding(
            NOT_CHECKED,
            "no vectors of sound or pictures carry digests of what went in; give the files with "
            "--media",
        )
    details = {"files_read": float(len(found) > of_vectors)}
    worst, what = max(found, key=lambda one: one[0].rows)
    if not worst.rows:
        compared = ", ".join(name for _, name in found)
        return LeakageFinding(
            CLEAN,
            f"no two rows of different roles are byte-identical ({compared})",
            share=0.0,
            details=details,
        )
    number = (
        f"{worst.rows:,} of {worst.of:,} test rows ({per_cent(worst.share)}) are byte-identical "
        f"to rows that train or validate ({what})"
    )
    ids = case.manifest.ids
    examples = some([f"{ids[a]} = {ids[b]}" for a, b in worst.examples])
    evidence = Evidence(number, examples, worst.share, details)
    means = "their vectors are those of a training row, whose label the classifier was told"
    design = by_design(case, "media")
    if design and worst.share <= FEW:
        return evidence.caution(f"{design.why}; {means}")
    return evidence.leak(means, "drop the copies from the manifest, or give both one group")


def _inputs(case: AuditCase) -> Iterator[tuple[str, Codes]]:
    """Yield each different record of inputs once; texts are compared as transcripts."""
    met: set[tuple[str, bytes]] = set()
    for file in case.files:
        if file.inputs is None or read_from(file.ref.modality) == "text":
            continue
        # all silent clips are equal, which says nothing of where they come from
        keys = factorized(np.where(file.ok & ~file.silent, file.inputs, ""))
        record = (file.ref.modality, keys.tobytes())
        if (keys >= 0).any() and record not in met:
            met.add(record)
            yield file.view, keys


def _file_copies(case: AuditCase, column: str) -> tuple[Codes | None, int]:
    """Return which rows' files are equal byte by byte, and how many files are not there.

    Each row (N,) has the code of its file's content, -1 where no other file is the same. Only files
    of equal size are read. Without any file there are no codes.
    """
    from rich.console import Console
    from rich.progress import track

    if case.media is None:
        return None, 0
    paths = case.manifest.column(column)
    named = np.unique(paths[paths != ""]).tolist()
    by_size: defaultdict[int, list[str]] = defaultdict(list)
    for path in named:
        place = resolve_media(case.media, path, case.follow_links)
        if place.is_file():
            by_size[place.stat().st_size].append(path)
    there = sum(len(same) for same in by_size.values())
    if not there:
        return None, len(named)
    alike: list[str] = []
    for same in by_size.values():
        if len(same) > 1:
            alike += same
    console = Console(stderr=True)
    shown = track(
        alike,
        f"{column} files of equal size",
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    content = {}
    for path in shown:
        content[path] = file_digest(resolve_media(case.media, path, case.follow_links))
    times = Counter(content.values())
    copied = {path: digest for path, digest in content.items() if times[digest] > 1}
    digests = [copied.get(path, "") for path in paths.tolist()]
    return factorized(np.array(digests, dtype=object)), len(named) - there


def _short(text: str, width: int = 60) -> str:
    text = str(text)
    return repr(text if len(text) <= width else text[: width - 3] + "...")
