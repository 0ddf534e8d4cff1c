"""The warnings at the top of the page: what a reader must know before believing a figure."""

from __future__ import annotations

from classify.evaluation.metrics import COVERAGE
from classify.figures.results_folder import FinishedRun
from classify.leakage.finding import LEAK
from classify.report.sentences.leakage_audit import read_audit
from classify.results.table import ON_TEST
from embeddings_store.corpus.manifest import GENERATED

MUCH = 15  # points of WA between the best and the worst fold


def warnings(run: FinishedRun) -> list[str]:
    """Return what a reader must know before believing a figure."""
    found = [
        *_generated(run),
        *_no_plain_result(run),
        *_leaks(run),
        *_shared_roles(run),
    ]
    if run.shuffled:
        found.append(
            "The labels were permuted on purpose: this is no result. Every figure must be at "
            "chance; where one is not, something leaks."
        )
    found += [*_unverified_encoders(run), *_missing_modalities(run), *_unscored_rows(run)]
    return [*found, *_unlike_folds(run)]


def _generated(run: FinishedRun) -> list[str]:
    notes = run.manifest.notes if run.manifest else ()
    return [f"This corpus is {note}." for note in notes if note.startswith(GENERATED)]


def _no_plain_result(run: FinishedRun) -> list[str]:
    found = []
    if not run.claim.is_result:
        found.append(
            f"Every output of this run is marked “{run.claim.text}”: it is no plain result."
        )
    if run.flagged(ON_TEST):
        found.append(
            "The system was chosen by its figures on the test rows themselves, as was asked for: "
            "every figure of it is an upper bound, not a result."
        )
    return found


def _leaks(run: FinishedRun) -> list[str]:
    audit = read_audit(run)
    if audit is None or audit.verdict != LEAK:
        return []
    leaks = "; ".join(audit.findings[name].number for name in audit.having(LEAK))
    return [f"The leakage audit finds: {leaks}. See below."]


def _shared_roles(run: FinishedRun) -> list[str]:
    shared = _values(run, "shared")
    return [f"Roles share speakers or groups: {'; '.join(shared)}."] if shared else []


def _unverified_encoders(run: FinishedRun) -> list[str]:
    values = [value for value in _values(run, "verified") if value.startswith("unverified")]
    if not values:
        return []
    return [
        f"Nobody can say what an encoder was trained on ({'; '.join(values)}): test rows may have "
        "been among it."
    ]


def _missing_modalities(run: FinishedRun) -> list[str]:
    if not run.headline or "n_missing" not in run.rows:
        return []
    missing = run.of(run.headline).drop_duplicates("fold")["n_missing"].sum()
    return [f"{missing:.0f} test utterances lack a modality."] if missing else []


def _unscored_rows(run: FinishedRun) -> list[str]:
    if not run.headline or COVERAGE not in run.rows:
        return []
    once = run.of(run.headline).drop_duplicates("fold")
    n_test, n_scored = once["n_test"].sum(), once["n_scored"].sum()
    if n_scored == n_test:
        return []
    return [
        f"{n_test - n_scored:.0f} of {n_test:.0f} test utterances of the plan are not scored, for "
        f"want of a vector or a label ({once['n_unlabelled'].sum():.0f} have no label): WA is of "
        "the others, WA_all counts them as wrong."
    ]


def _unlike_folds(run: FinishedRun) -> list[str]:
    if len(run.folds) < 2 or not run.headline:
        return []
    folds = run.by_fold(run.headline)
    if not folds.max() - folds.min() > MUCH:
        return []
    return [
        f"The folds differ much: WA is {folds.min():.1f} % in the worst and "
        f"{folds.max():.1f} % in the best."
    ]


def _values(run: FinishedRun, column: str) -> list[str]:
    """What a column of ``grid.csv`` holds, sorted; nothing where an earlier version wrote none."""
    if column not in run.rows:
        return []
    return sorted(set(run.rows[column]) - {""})
