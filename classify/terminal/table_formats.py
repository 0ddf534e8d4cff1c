"""A table of words and numbers as text: for a terminal, a spreadsheet, a program or a paper."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence

from embeddings_store.reading import visible

Line = Mapping[str, str]
SPECIAL_IN_LATEX = str.maketrans(
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
    r"""Return a table as text, nothing for no lines.

    Args:
        lines: All with the same keys.
        form: One of :data:`FORMATS`.

    >>> print(render([{"system": "a|b", "WA": "75.4"}], "markdown"))
    | system | WA |
    |---|--:|
    | a\|b | 75.4 |
    """
    shown = [{name: visible(cell) for name, cell in line.items()} for line in lines]
    return FORMATS[form](shown) if shown else ""


def _terminal(lines: Sequence[Line]) -> str:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from classify.terminal.console import console_for_output

    numbers = _numbers(lines)
    table = Table()
    for name in lines[0]:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for line in lines:
        table.add_row(*(escape(cell) for cell in line.values()))
    out = io.StringIO()
    Console(file=out, width=console_for_output().width, highlight=False).print(table)
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
    marks = ["--:" if name in numbers else "---" for name in lines[0]]
    rows = [_markdown_row(list(line.values())) for line in lines]
    return "\n".join([_markdown_row(list(lines[0])), f"|{'|'.join(marks)}|", *rows])


def _markdown_row(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", r"\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _latex(lines: Sequence[Line]) -> str:
    numbers = _numbers(lines)
    columns = "".join("r" if name in numbers else "l" for name in lines[0])
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\hline",
            _latex_row(list(lines[0])),
            r"\hline",
            *(_latex_row(list(line.values())) for line in lines),
            r"\hline",
            r"\end{tabular}",
        ]
    )


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cell.translate(SPECIAL_IN_LATEX) for cell in cells) + r" \\"


def _numbers(lines: Sequence[Line]) -> set[str]:
    """Return the columns that hold numbers, or nothing, in every line."""
    found = set()
    for name in lines[0]:
        cells = [line[name] for line in lines]
        if any(cells) and all(map(_is_number, cells)):
            found.add(name)
    return found


def _is_number(text: str) -> bool:
    return not text or text == "-" or text.replace(".", "", 1).lstrip("+-").isdigit()


FORMATS: Mapping[str, Callable[[Sequence[Line]], str]] = {
    "table": _terminal,
    "csv": _csv,
    "json": _json,
    "markdown": _markdown,
    "latex": _latex,
}
