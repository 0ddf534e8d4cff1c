"""May two results be compared: yes, no, or with caution, and why.

The answer follows from what the results say of themselves. A result is a mapping with the columns
of ``grid.csv``, of one cell over its folds or of a published figure; what it does not say counts as
unknown, and unknown is a reason for caution, never a silent yes. To ask something more, add a row
to :data:`QUESTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from classify.claim import Claim
from embeddings_store.folds.protocols import PROTOCOLS

YES, CAUTION, NO = VERDICTS = ("yes", "caution", "no")
Result = Mapping[str, object]
Answer = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Comparability:
    """Whether two results may be compared.

    Attributes:
        verdict: ``yes``, ``caution`` or ``no``: the gravest of the reasons'.
        reasons: Sentences, the gravest first; also what speaks for a ``yes``.
        against: Those of them that speak against it.
    """

    verdict: str
    reasons: tuple[str, ...]
    against: tuple[str, ...] = ()


def comparable(a: Result, b: Result) -> Comparability:
    """Return whether two results may be compared.

    Args:
        a: ``claim, corpus, protocol, plan, split_digest, test_digest, valid_rule, selection_rule,
            shared, label_set, labels_digest, labels_shuffled, n_scored, coverage, metric, verified,
            flags``,
            as far as they are known.
        b: Likewise.

    >>> paper = {
    ...     "corpus": "iemocap",
    ...     "protocol": "iemocap-paper",
    ...     "label_set": "iemocap-4",
    ...     "metric": "WA",
    ... }
    >>> comparable(paper, paper | {"label_set": "iemocap-4-no-exc"}).verdict
    'no'
    >>> comparable(paper, paper).reasons[0]
    'the folds: both say protocol iemocap-paper, but one or both give no digest of their rows'
    """
    answers: list[Answer] = []
    for question in QUESTIONS:
        answers += question(a, b)
    answers.sort(key=lambda answer: -VERDICTS.index(answer[0]))
    return Comparability(
        verdict=answers[0][0],
        reasons=tuple(reason for _, reason in answers),
        against=tuple(reason for verdict, reason in answers if verdict != YES),
    )


def _corpus(a: Result, b: Result) -> Iterator[Answer]:
    yield _same("the corpus", a, b, "corpus", NO)


def _metric(a: Result, b: Result) -> Iterator[Answer]:
    yield _same("the metric", a, b, "metric", NO)


def _labels(a: Result, b: Result) -> Iterator[Answer]:
    one, other = _text(a, "labels_digest"), _text(b, "labels_digest")
    if not (one and other):
        yield _same("the label set", a, b, "label_set", NO)
    elif one == other:
        yield YES, "the label set is the same"
    else:
        names = f"{_text(a, 'label_set') or one} and {_text(b, 'label_set') or other}"
        yield (
            NO,
            f"the label sets differ: {names} do not count the same rows as the same classes",
        )
    if any((_text(result, "labels_shuffled") or "no") != "no" for result in (a, b)):
        yield NO, "labels were shuffled in one or both: such figures measure chance"


def _folds(a: Result, b: Result) -> Iterator[Answer]:
    one, other = _text(a, "protocol"), _text(b, "protocol")
    if _equal(a, b, "split_digest"):
        yield YES, "the folds are the same, row by row"
    elif _equal(a, b, "test_digest"):
        yield (
            CAUTION,
            "the folds: the same rows are tested, fold by fold, but others train or validate "
            f"(validation rule {_text(a, 'valid_rule') or 'unknown'} against "
            f"{_text(b, 'valid_rule') or 'unknown'})",
        )
    elif _text(a, "split_digest") and _text(b, "split_digest"):
        yield (
            NO,
            f"the folds differ: other rows are tested ({one or 'no name'} against "
            f"{other or 'no name'})",
        )
    else:
        yield _protocols(one, other)


def _protocols(one: str, other: str) -> Answer:
    """Judge two protocols by their names alone, where digests are not known."""
    if not (one and other):
        return CAUTION, "the folds: one or both do not say their protocol"
    if one == other:
        return (
            CAUTION,
            f"the folds: both say protocol {one}, but one or both give no digest of their rows",
        )
    if _plan_of(one) == other or _plan_of(other) == one:
        return (
            CAUTION,
            f"the folds: {one} and {other} hold out the same rows, but one names its plan alone",
        )
    if one in PROTOCOLS and other in PROTOCOLS[one].tests_as:
        return (
            CAUTION,
            f"the folds: {one} and {other} test the same rows by definition, but train or "
            "validate on others",
        )
    return NO, f"the protocols differ: {one} against {other}"


def _plan_of(protocol: str) -> str | None:
    return PROTOCOLS[protocol].plan if protocol in PROTOCOLS else None


def _rows(a: Result, b: Result) -> Iterator[Answer]:
    one, other = _text(a, "n_scored"), _text(b, "n_scored")
    if not one or not other:
        yield CAUTION, "the rows scored: one or both do not say how many"
    elif float(one) == float(other):
        yield YES, f"both score {float(one):,.0f} rows"
    else:
        same = _equal(a, b, "test_digest") or _equal(a, b, "label_set")
        yield (
            (CAUTION if same else NO),
            f"the rows scored differ: {float(one):,.0f} against {float(other):,.0f}",
        )
    yield from _coverage(a, b)


def _coverage(a: Result, b: Result) -> Iterator[Answer]:
    shares = [float(_text(result, "coverage") or 1) for result in (a, b)]
    if min(shares) < 1:
        yield (
            CAUTION,
            f"one or both score only a part of the test rows of the plan ({_per_cent(shares[0])} "
            f"and {_per_cent(shares[1])}): WA_all counts the others as wrong, and compare-systems "
            "compares cells of one run on the rows that both answered",
        )


def _per_cent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _selection(a: Result, b: Result) -> Iterator[Answer]:
    # a set would lose the order, and both may say the same
    for rule in dict.fromkeys((_text(a, "selection_rule"), _text(b, "selection_rule"))):
        if "test" in rule.split("+"):
            yield (
                NO,
                "the best epoch was chosen on the test rows of one or both, which is an upper "
                "bound and no result",
            )
    yield from _claims(Claim.read(_text(a, "claim")), Claim.read(_text(b, "claim")))
    yield _same("what chose the epoch", a, b, "selection_rule", CAUTION)
    if _is_best_on_test_alone(a) or _is_best_on_test_alone(b):
        yield (
            NO,
            "one or both are the best cell on the test rows themselves, which is an upper bound "
            "and no result",
        )


def _claims(one: Claim, other: Claim) -> Iterator[Answer]:
    if one == other and one.is_taken_knowingly:
        yield CAUTION, f"both take the same leak knowingly ({one.text}): neither is a plain result"
        return
    for claim in dict.fromkeys((one, other)):
        if not claim.is_result:
            yield NO, f"one or both say that they are no result ({claim.text})"


def _is_best_on_test_alone(result: Result) -> bool:
    flags = _text(result, "flags").split()
    return "best_on_test" in flags and not {"chosen_on_valid", "chosen_on_fitted"} & set(flags)


def _training_rows(a: Result, b: Result) -> Iterator[Answer]:
    for result in (a, b):
        verified = _text(result, "verified")
        if verified.startswith("unverified"):
            yield CAUTION, f"nobody can say what an encoder was trained on ({verified})"


def _shared(a: Result, b: Result) -> Iterator[Answer]:
    if "shared" not in a or "shared" not in b:
        return
    one, other = _text(a, "shared"), _text(b, "shared")
    if one == other == "":
        yield YES, "neither shares speakers or groups between roles"
    elif one == other:
        yield YES, f"roles share in both alike: {one}"
    elif ("valid+test" in one) != ("valid+test" in other):
        text = one if "valid+test" in one else other
        yield (
            CAUTION,
            "the validation rows of one share speakers or groups with test, so what they chose "
            f"fits it ({text})",
        )
    else:
        yield (
            CAUTION,
            f"roles share speakers or groups in other ways: {one or 'none'} against "
            f"{other or 'none'}",
        )


QUESTIONS: tuple[Callable[[Result, Result], Iterator[Answer]], ...] = (
    _corpus,
    _metric,
    _labels,
    _folds,
    _rows,
    _selection,
    _training_rows,
    _shared,
)


def _same(what: str, a: Result, b: Result, key: str, otherwise: str) -> Answer:
    """Return the answer to whether two results say the same of one thing.

    Args:
        what: The thing in words.
        a: A result.
        b: Another.
        key: Its column.
        otherwise: The verdict where they differ.
    """
    one, other = _text(a, key), _text(b, key)
    if not one or not other:
        return CAUTION, f"{what}: one or both do not say"
    if one == other:
        return YES, f"{what} is the same: {one}"
    return otherwise, f"{what} differs: {one} against {other}"


def _equal(a: Result, b: Result, key: str) -> bool:
    return bool(_text(a, key)) and _text(a, key) == _text(b, key)


def _text(result: Result, key: str) -> str:
    """Return what a result says, an empty string for an absent key, an empty cell or ``nan``."""
    value = result.get(key)
    is_nan = value != value
    return "" if value is None or is_nan else str(value).strip()
