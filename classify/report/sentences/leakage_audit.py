"""The leakage audit that stands beside the results, in a sentence."""

from __future__ import annotations

from classify.figures.results_folder import FinishedRun
from classify.leakage.checks import CHECKS, FILE, Audit
from classify.leakage.finding import CAUTION, LEAK, NOT_CHECKED


def read_audit(run: FinishedRun) -> Audit | None:
    """Return the leakage audit that stands beside the results, or none.

    Raises:
        StoreError: It is there and cannot be read.
    """
    if not (run.folder / FILE).is_file():
        return None
    return Audit.read(run.folder)


def audit_sentence(audit: Audit) -> str:
    """Say what the leakage audit found, and name each check that is not clean by its question.

    >>> audit_sentence(Audit({}, {}))
    'The leakage audit made 0 of 0 checks.'
    """
    made = len(audit.findings) - len(audit.having(NOT_CHECKED))
    clean = " and found no leak" if made and not audit.having(LEAK) else ""
    sentences = [f"The leakage audit made {made} of {len(audit.findings)} checks{clean}."]
    for title, verdict in (("Leak", LEAK), ("Caution", CAUTION), ("Not checked", NOT_CHECKED)):
        named = [_check_in_words(audit, name) for name in audit.having(verdict)]
        if named:
            sentences.append(f"{title}: {', '.join(named)}.")
    return " ".join(sentences)


def _check_in_words(audit: Audit, name: str) -> str:
    words = f"“{CHECKS[name].question}”"
    if name in audit.accepted:
        words += " (accepted)"
    counted = audit.findings[name].of_test_rows
    return f"{words} ({counted})" if counted else words
