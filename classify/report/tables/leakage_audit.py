"""The table of what each check of the leakage audit found."""

from __future__ import annotations

from classify.leakage.checks import CHECKS, Audit
from classify.leakage.finding import LEAK, VERDICTS, LeakageFinding
from classify.report.tables.table import Table, TableCell


def audit_table(audit: Audit) -> Table:
    """Return what each check of the leakage audit found; leaks first."""
    rows: list[list[TableCell]] = []
    strong = set()
    for name, finding in sorted(audit.findings.items(), key=_by_verdict):
        accepted = ", accepted" if name in audit.accepted else ""
        if finding.verdict == LEAK:
            strong.add(len(rows))
        explained = " ".join(part for part in (finding.means, finding.advice) if part)
        rows.append(
            [
                TableCell(CHECKS[name].question),
                TableCell(f"{finding.verdict}{accepted}"),
                TableCell(finding.number),
                TableCell(explained),
            ]
        )
    return Table(
        "audit",
        "What could have leaked",
        ["question", "verdict", "found", "what it means"],
        rows,
        strong=frozenset(strong),
    )


def _by_verdict(named: tuple[str, LeakageFinding]) -> int:
    return VERDICTS.index(named[1].verdict)
