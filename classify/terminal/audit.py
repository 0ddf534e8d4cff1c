"""A leakage audit on a terminal: one line per check, then what leaks and cautions mean."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from classify.leakage.checks import Audit
from classify.leakage.finding import CAUTION, CLEAN, LEAK, NOT_CHECKED

STYLES = {LEAK: "bold red", CAUTION: "yellow", CLEAN: "green", NOT_CHECKED: "dim"}


def show_audit(audit: Audit, console: Console) -> None:
    """Print the table, the explanations, and the verdict in one line.

    Args:
        audit: What was found.
        console: Where to.
    """
    console.print(_findings(audit))
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


def _findings(audit: Audit) -> Table:
    table = Table(
        title=f"leakage audit of {audit.about['corpus']}, plan {audit.about['plan']} (digest "
        f"{audit.about['plan_digest']})",
        title_justify="left",
        box=None,
        padding=(0, 1),
    )
    table.add_column("check", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("found", overflow="fold")
    for name, finding in audit.findings.items():
        verdict = Text(finding.verdict, style=STYLES[finding.verdict])
        table.add_row(Text(name), verdict, Text(finding.number))
    return table


def _verdict(audit: Audit) -> str:
    plurals = {LEAK: "leaks", CAUTION: "cautions"}
    counted = []
    for verdict in (LEAK, CAUTION, CLEAN, NOT_CHECKED):
        count = len(audit.having(verdict))
        if count:
            word = plurals.get(verdict, verdict) if count > 1 else verdict
            counted.append(f"{count} {word}")
    head = "no leak found"
    if audit.verdict == LEAK:
        head = "LEAK: a figure from this set-up is worthless"
    return f"{head} ({', '.join(counted)})"
