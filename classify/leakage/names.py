"""Do names agree that only a person would call the same, or that no other check reads?

``spk1`` and `` SPK_01``, ``train/dia7`` and ``test/dia7``, a column ``meta_actor`` beside no
speaker, ``anger`` and ``ANGER``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classify.leakage.agreement import PairAgreement
from classify.leakage.case import NAMES, RECORDINGS, AuditCase, Codes, Mask, factorized
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
from embeddings_store.corpus.label_looks import spelled_alike
from embeddings_store.corpus.plain_names import SEXES, plain_names

# Metadata columns whose name says that they name a person or a piece of the corpus, without
# separators: meta_actor, meta_Dialogue_ID. What a column such as meta_actor_age says is no name.
PEOPLE = re.compile(
    r"^meta(actor|actress|speaker|spk|subject|subj|participant|person|performer|talker|singer)"
    r"(id|name|no|nr|num|number|code|key)?$"
)
PIECES = re.compile(
    r"^meta(dialogue|dialog|dia|conversation|conv|video|vid|film|movie|recording|rec|file|wav|clip)"
    r"(id|name|path|no|nr|num|number|code|key)?$|^metapath$"
)
# What a corpus may count anew in each of its splits.
NUMBERED = ("group", *RECORDINGS)
WHAT = {
    "speaker": "are by a speaker who also trains or validates, spelled otherwise",
    "group": "are of a group that also trains or validates, spelled otherwise",
    "session": "are of a session that also trains or validates, spelled otherwise",
}
# So many rows with a name that agrees and something else that agrees are more than chance gives.
BY_CHANCE = 0.001


@dataclass(frozen=True, slots=True)
class SharedNames:
    """Test rows whose name also trains or validates, and no other check says so.

    Attributes:
        column: Where the names stand.
        what: What these rows do, in words.
        rows: Test rows, over all folds.
        examples: A few of the names, or rows.
        agreeing: Those that agree with such a row in their input, recording or a rare sentence too.
        expected: How many that would be if names told nothing.
    """

    column: str
    what: str
    rows: int
    examples: tuple[str, ...]
    agreeing: int
    expected: float

    @property
    def is_proved(self) -> bool:
        """Whether more rows agree in something else too than chance would give."""
        from scipy.special import gammainc  # scipy.stats, which has the same, takes half a second

        return float(gammainc(self.agreeing, self.expected)) < BY_CHANCE


@dataclass(frozen=True, slots=True)
class NamesOfColumn:
    """One column of names, and how they are compared.

    Attributes:
        column: Its name.
        what: What test rows do whose name also trains, in words.
        values: Names as they are written (N,), for the examples.
        plain: Codes of the names as a person compares them (N,), -1 for none.
        own: Codes of the names that another check compares (N,), -1 for none.
    """

    column: str
    what: str
    values: NDArray[np.str_]
    plain: Codes
    own: Codes


def names(case: AuditCase) -> LeakageFinding:
    """No name of a test row is one of a training row to a person, unless another check says so."""
    compared = list(_compared(case))
    design = by_design(case, "names")
    labels = _labels_in_several_spellings(case)
    if not compared and not labels:
        return LeakageFinding(NOT_CHECKED, "the manifest names no speakers, groups or files")
    shared = [found for found in compared if found.rows]
    if design:
        shared = [found for found in shared if found.is_proved or found.column not in NUMBERED]
    if not shared and not labels:
        looked_at = ", ".join(found.column for found in compared)
        why = f"; {design.why}" if design else ""
        return LeakageFinding(
            CLEAN, f"no name is on both sides in another spelling ({looked_at}){why}", share=0.0
        )
    shared.sort(key=lambda found: -found.rows)
    numbers = [
        f"{per_cent(found.rows / case.n_test)} of {case.n_test:,} test rows {found.what}"
        for found in shared
    ]
    examples = [example for found in shared for example in found.examples]
    if labels:
        words = "a label is" if len(labels) == 1 else f"{len(labels)} labels are"
        numbers.append(f"{words} spelled in several ways")
        examples += labels
    share = shared[0].rows / case.n_test if shared else None
    evidence = Evidence("; ".join(numbers), some(examples), share)
    proved = [found for found in shared if found.is_proved]
    if proved:
        return Evidence(
            f"{evidence.number}; {proved[0].agreeing:,} of these rows have the same input, "
            "recording or rare sentence too",
            some([*proved[0].examples, *examples]),
            share,
        ).leak(
            "the same person or dialogue trains and is tested under two names, so the figure says "
            "little about strangers",
            "write each name in one way, in the columns speaker and group, and fold by them",
        )
    meanings = []
    if shared:
        meanings.append(
            "what these names stand for may be one, which then trains and is tested; write each "
            "name in one way in the columns speaker and group, whose checks then judge"
        )
    if labels:
        meanings.append("each spelling of a label is a class of its own; write it in one way")
    return evidence.caution("; ".join(meanings))


def _compared(case: AuditCase) -> Iterator[SharedNames]:
    """Yield what is found in each column that names somebody or something."""
    others = PairAgreement(case)
    for column in NAMES:
        if (case.manifest.named(column) != "").any():
            yield _shared(case, others, column, case.manifest.named(column))
    for column in RECORDINGS:
        if column in case.manifest.table and case.manifest.given(column).any():
            yield _shared(case, others, column, case.manifest.column(column))
    for column in case.manifest.table:
        yield from _unread(case, others, str(column))


def _shared(
    case: AuditCase, others: PairAgreement, column: str, values: NDArray[np.str_]
) -> SharedNames:
    """Compare a column's cells (N,), which another check compares letter by letter."""
    file = f"name a file that also trains or validates, spelled otherwise or elsewhere ({column})"
    what = WHAT.get(column, file)
    own = factorized(values)
    return _count(case, others, NamesOfColumn(column, what, values, case.plain_keys(column), own))


def _unread(case: AuditCase, others: PairAgreement, column: str) -> Iterator[SharedNames]:
    """Yield what a metadata column shares that names people or pieces and that no check reads."""
    letters = re.sub(r"[^a-z]", "", column.lower()) if column.startswith("meta_") else ""
    if column in RECORDINGS or not (PEOPLE.match(letters) or PIECES.match(letters)):
        return
    values = case.manifest.table[column]
    texts = np.asarray(np.where(values.isna(), "", values.astype(str)), dtype=str)
    plain = factorized(plain_names(texts))
    own = case.keys("speaker" if PEOPLE.match(letters) else "group")
    if (own >= 0).any():
        # numbers and letters that start anew in each session say nothing beside a name
        says_little = np.isin(np.char.lower(texts), list(SEXES)) | (np.char.str_len(texts) == 1)
        plain[says_little | np.char.isdigit(texts)] = -1
    classes = case.codes.max() + 1
    if PIECES.match(letters) and plain.max(initial=-1) < 2 * classes:
        return  # few values are a kind of recording, and name none
    if (plain >= 0).any():
        what = f"share {column} with rows that train or validate, a column that no check reads"
        yield _count(case, others, NamesOfColumn(column, what, texts, plain, own))


def _count(case: AuditCase, others: PairAgreement, compared: NamesOfColumn) -> SharedNames:
    """Count test rows whose plain name also trains or validates, and whose own name does not."""
    plain, own = compared.plain, compared.own
    rows = agreeing = 0
    expected = 0.0
    examples: list[str] = []
    for fold in case.plan:
        known = case.rows(fold, "train", "valid") & (plain >= 0)
        asked = case.rows(fold, "test") & (plain >= 0)
        is_read = (own >= 0) & np.isin(own, own[known])
        found = np.flatnonzero(asked & np.isin(plain, plain[known]) & ~is_read)
        if not len(found):
            continue
        rows += len(found)
        also, by_chance = _agree_in_more(others, plain, known, found)
        agreeing, expected = agreeing + also, expected + by_chance
        for row in found[:: max(1, len(found) // SHOWN_EXAMPLES)]:
            same = int(np.argmax(known & (plain == plain[row])))
            examples.append(f"{str(compared.values[row])!r} and {str(compared.values[same])!r}")
    return SharedNames(compared.column, compared.what, rows, some(examples), agreeing, expected)


def _agree_in_more(
    others: PairAgreement, plain: Codes, known: Mask, found: Codes
) -> tuple[int, float]:
    """Count rows that agree in another thing with a row of the same plain name.

    Args:
        others: What rows can agree in.
        plain: Codes of names (N,).
        known: Rows that train or validate and have a name (N,).
        found: Positions of test rows whose name is among theirs.

    Returns:
        How many do, and how many would if names were dealt at random to the rows that are known.
    """
    agree = np.zeros(len(found), dtype=bool)
    expected = 0.0
    rows_of_name = np.bincount(plain[known], minlength=int(plain.max()) + 1)
    for codes in others.things:
        width = int(codes.max(initial=-1)) + 1
        if not width:
            continue
        has = codes >= 0
        both = np.where(has & (plain >= 0), plain * width + codes, -1)
        agree |= (both[found] >= 0) & np.isin(both[found], both[known])
        rows_of_thing = np.bincount(codes[known & has], minlength=width)
        pairs = np.where(has[found], rows_of_thing[codes[found]], 0) * rows_of_name[plain[found]]
        expected += float(pairs.sum()) / max(int(known.sum()), 1)
    return int(agree.sum()), expected


def _labels_in_several_spellings(case: AuditCase) -> list[str]:
    """Return one word's spellings, for each word whose spellings count as several classes."""
    labels = case.labels or case.manifest.labels
    if labels is None:
        return []
    given = set(case.manifest.column("label").tolist()) & set(labels.mapping)
    found = []
    for ways in spelled_alike(given):
        if len({labels.mapping[way] for way in ways}) > 1:
            found.append(", ".join(map(repr, ways)))
    return found
