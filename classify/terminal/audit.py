"""An audit on a terminal.

One line per check, and below it what leaks and cautions mean and what to do.
"""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from classify.leakage.checks import Audit
from classify.leakage.finding import CAUTION, CLEAN, LEAK, NOT_CHECKED

STYLES = {LEAK: "bold red", CAUTION: "yellow", CLEAN: "green", NOT_CHECKED: "dim"}


def show_audit(audit: Audit, console: Console) -> None:
    """Print the table, the explanations, and the verdict in one line."""
    table = Table(
        title=f"leakage audit of {audit.about['corpus']}, plan {audit.about['plan']} (digest "
        f"{audit.about['plan_digest']})",
        title_justify="left",
        box=None,
        padding=(0, 1),
    )
    for name, options in (
        ("check", {"no_wrap": True}),
        ("verdict", {"no_wrap": True}),
        ("found", {"overflow": "fold"}),
    ):
        table.add_column(name, **options)
    for name, finding in audit.findings.items():
        table.add_row(
            Text(name), Text(finding.verdict, style=STYLES[finding.verdict]), Text(finding.number)
        )
    console.print(table)
    for verdict in (LEAK, CAUTION):
        for name in audit.having(verdict):
            finding = audit.findings[name]
            lines = [f"{finding.means}."]
            if finding.advice:
                lines.append(f"do: {finding.advice}.")
            if finding.examples:
                lines.append(f"such as {'; '.join(finding.examples)}")
            console.print(Text(f"\n{verdict}: {name}", style=STYLES[verdict]))
            console.print(Text("\n".join(f"  {line}" for line in lines)), soft_wrap=True)
    console.print()
    console.print(Text(_verdict(audit), style=f"bold {STYLES[audit.verdict]}"), soft_wrap=True)


def _verdict(audit: Audit) -> str:
    plural = {LEAK: "leaks", CAUTION: "cautions"}
    counted = [
        f"{n} {plural.get(v, v) if n > 1 else v}"
        for v in (LEAK, CAUTION, CLEAN, NOT_CHECKED)
        if (n := len(audit.having(v)))
    ]
    head = (
        "LEAK: a figure from this set-up is worthless" if audit.verdict == LEAK else "no leak found"
    )
    return f"{head} ({', '.join(counted)})"
