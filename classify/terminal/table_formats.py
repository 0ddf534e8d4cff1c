"""A table of words and numbers as text.

For a terminal, a spreadsheet, a program, a README or a paper.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

Line = Mapping[str, str]
FILE_WIDTH = 200
LATEX = str.maketrans(
    {
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
    }
)


def render(lines: Sequence[Line], form: str) -> str:
    r"""Return lines, which all have the same keys, in one of :data:`FORMATS`.

    >>> print(render([{"system": "a|b", "WA": "75.4"}], "markdown"))
    | system | WA |
    |---|--:|
    | a\|b | 75.4 |
    """
    return FORMATS[form](lines) if lines else ""


def _terminal(lines: Sequence[Line]) -> str:
    numbers, terminal = _numbers(lines), Console()
    table = Table()
    for name in lines[0]:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for line in lines:
        table.add_row(*(escape(cell) for cell in line.values()))
    out = io.StringIO()
    Console(
        file=out, width=terminal.width if terminal.is_terminal else FILE_WIDTH, highlight=False
    ).print(table)
    return out.getvalue().rstrip("\n")


def _csv(lines: Sequence[Line]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue().rstrip("\n")


def _json(lines: Sequence[Line]) -> str:
    return json.dumps([dict(line) for line in lines], indent=1, ensure_ascii=False)


def _markdown(lines: Sequence[Line]) -> str:
    numbers = _numbers(lines)
    names = list(lines[0])
    rows = [names, *(list(line.values()) for line in lines)]
    text = [
        "| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in row) + " |"
        for row in rows
    ]
    text.insert(1, "|" + "|".join("--:" if name in numbers else "---" for name in names) + "|")
    return "\n".join(text)


def _latex(lines: Sequence[Line]) -> str:
    numbers = _numbers(lines)
    names = list(lines[0])
    body = [" & ".join(cell.translate(LATEX) for cell in line.values()) + r" \\" for line in lines]
    columns = "".join("r" if name in numbers else "l" for name in names)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\hline",
            " & ".join(name.translate(LATEX) for name in names) + r" \\",
            r"\hline",
            *body,
            r"\hline",
            r"\end{tabular}",
        ]
    )


def _numbers(lines: Sequence[Line]) -> set[str]:
    """Return the columns that hold numbers, or nothing, in every line."""
    return {
        name
        for name in lines[0]
        if all(_is_number(line[name]) for line in lines) and any(line[name] for line in lines)
    }


def _is_number(text: str) -> bool:
    return not text or text == "-" or text.replace(".", "", 1).lstrip("+-").isdigit()


FORMATS: Mapping[str, Callable[[Sequence[Line]], str]] = {
    "table": _terminal,
    "csv": _csv,
    "json": _json,
    "markdown": _markdown,
    "latex": _latex,
}
