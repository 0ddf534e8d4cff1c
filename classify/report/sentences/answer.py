"""What the page begins with: the one answer, how it compares, its figures and its warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from classify.evaluation.means import choosing_rows_in_words, has_chosen
from classify.evaluation.metrics import COVERAGE, WA_ALL
from classify.figures.results_folder import FinishedRun
from classify.report.sentences.chance import chance_sentence, chance_tiles
from classify.report.sentences.intervals import common_difference, difference_in_brackets, interval
from classify.report.sentences.leakage_audit import audit_sentence, read_audit
from classify.report.sentences.reader_warnings import warnings
from classify.report.sentences.system import system_in_words
from classify.report.sentences.tile import Tile
from classify.results.absent_classes import two_uars
from classify.results.statistics_tables import STATISTICS


@dataclass(frozen=True, slots=True)
class Answer:
    """What the page begins with.

    Attributes:
        sentence: What was measured, on what, how good.
        against: How that compares with chance and the best single modality.
        tiles: The figures.
        warnings: What makes the result other than it looks.
    """

    sentence: str
    against: str
    tiles: Sequence[Tile]
    warnings: Sequence[str]


def answer(run: FinishedRun) -> Answer:
    """Return the answer that the run gives."""
    if not run.headline:
        return Answer(
            f"No system counts as the result on {_corpus(run)}.",
            "The plan has no validation rows to choose a system on, and the paper's final model "
            "(concatenation + SVM) was not run. The tables below show every system; none of them "
            "may be picked by its test figures.",
            chance_tiles(run),
            warnings(run),
        )
    sentences = [chance_sentence(run), _single_sentence(run), _audit_sentence(run)]
    return Answer(
        _lead_sentence(run),
        " ".join(sentence for sentence in sentences if sentence),
        [*_headline_tiles(run), *_single_tiles(run), *chance_tiles(run)],
        warnings(run),
    )


def _lead_sentence(run: FinishedRun) -> str:
    """What was measured, on what, how good."""
    interval_words = _interval_in_words(run)
    sure = f"; {interval_words}, all rows pooled" if interval_words else ""
    return (
        f"On {_corpus(run)}, {system_in_words(run, run.headline)}, {run.how_chosen}, recognises "
        f"the emotion of {run.mean(run.headline):.1f} % of the {_scored(run)} (WA{sure})"
        f"{_of_all_in_words(run)}."
    )


def _scored(run: FinishedRun) -> str:
    """Of which utterances an accuracy is: all that are tested, or those that are scored."""
    if not _leaves_out(run, run.headline):
        return "test utterances"
    once = run.of(run.headline).drop_duplicates("fold")
    return f"{once['n_scored'].sum():,.0f} test utterances that have a vector and a label"


def _of_all_in_words(run: FinishedRun) -> str:
    """What is left of the accuracy where utterances that are not scored count as wrong."""
    if not _leaves_out(run, run.headline):
        return ""
    return (
        f"; of all test utterances of the plan it is {run.mean(run.headline, WA_ALL):.1f} % "
        f"(WA_all, coverage {run.mean(run.headline, COVERAGE):.1f} %)"
    )


def _leaves_out(run: FinishedRun, cell: str) -> bool:
    rows = run.of(cell)
    return COVERAGE in rows and bool((rows[COVERAGE] < 1).any())


def _headline_tiles(run: FinishedRun) -> list[Tile]:
    wa, uar = run.mean(run.headline), run.mean(run.headline, "UAR")
    interval_words = _interval_in_words(run)
    sure = f", {interval_words}" if interval_words else ""
    guessing = 100 / len(run.classes)
    return [
        Tile(
            f"{wa:.1f} %",
            "WA, accuracy",
            f"of 100 test utterances {wa:.0f} are recognised{sure}",
            strong=True,
        ),
        Tile(
            f"{uar:.1f} %",
            "UAR, mean recall",
            f"every class counts the same; blind guessing gives {guessing:.0f} %{_two_uars(run)}",
        ),
    ]


def _two_uars(run: FinishedRun) -> str:
    """The pooled UAR beside the mean over folds, where folds lack a class in test."""
    statistics = run.table(STATISTICS)
    two = two_uars(statistics, run.headline) if statistics is not None else None
    return f". {two.sentence}" if two else ""


def _interval_in_words(run: FinishedRun) -> str:
    found = interval(run, run.headline, "WA")
    if found is None:
        return ""
    return f"{found.level:.0f} % confidence interval {found.low:.1f} to {found.high:.1f}"


def _single_sentence(run: FinishedRun) -> str:
    """How the result compares with the best single modality, or nothing where it is that."""
    single = run.best_single()
    if single in ("", run.headline):
        return ""
    gain, both = run.mean(run.headline) - run.mean(single), ""
    if _leaves_out(run, run.headline) or _leaves_out(run, single):
        gain = common_difference(run, run.headline, single)
        both = ", on the utterances that both answer,"
    verb = "adds" if gain >= 0 else "loses"
    return (
        f"The best single modality ({_judged(run)}), {system_in_words(run, single)}, reaches "
        f"{run.mean(single):.1f} %: fusion{both} {verb} {abs(gain):.1f} "
        f"points{difference_in_brackets(run, run.headline, single)}."
    )


def _single_tiles(run: FinishedRun) -> list[Tile]:
    single = run.best_single()
    if single in ("", run.headline):
        return []
    return [
        Tile(
            f"{run.mean(single):.1f} %",
            "best single modality",
            f"WA of {system_in_words(run, single)}, the best {_judged(run)}",
        )
    ]


def _judged(run: FinishedRun) -> str:
    """By which rows the best single modality is the best."""
    if has_chosen(run.rows):
        return f"by {choosing_rows_in_words(run.rows)}"
    return "by test rows"


def _audit_sentence(run: FinishedRun) -> str:
    audit = read_audit(run)
    if audit is None:
        return "No leakage audit stands beside these results."
    return audit_sentence(audit)


def _corpus(run: FinishedRun) -> str:
    """The corpus with its test utterances, speakers (where the store says) and classes."""
    tested = run.rows.drop_duplicates("fold")["n_test"].sum()
    speakers = ""
    if run.manifest is not None:
        count = len(set(run.manifest.named("speaker").tolist()) - {""})
        speakers = f" of {count} speakers" if count else ""
    return f"{run.corpus} ({tested:,.0f} test utterances{speakers}, {len(run.classes)} classes)"
