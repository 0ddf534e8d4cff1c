"""The README's figures are those of the committed tables, and its commands exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from benchmarks import render_readme
from classify.commands.audit_leakage import build_parser as audit_parser
from classify.commands.compare_results import build_parser as compare_results_parser
from classify.commands.compare_systems import build_parser as compare_parser
from classify.commands.grid_options import build_parser as grid_parser
from classify.commands.make_report import build_parser as report_parser
from classify.commands.show_benchmarks import build_parser as benchmarks_parser
from classify.commands.write_subtitles import build_parser as subtitles_parser
from classify.leakage.checks import CHECKS
from embeddings_store.commands.embeddings_store import build_parser as store_parser
from extract.commands.check_corpus import build_parser as check_parser
from extract.commands.extract_options import build_parser as extract_parser
from extract.commands.make_corpus import build_parser as make_corpus_parser

ROOT = Path(__file__).parent.parent
NUMBERS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen")
PARSERS = {
    "extract-features": extract_parser,
    "run-fusion-grid": grid_parser,
    "embeddings-store": store_parser,
    "make-corpus": make_corpus_parser,
    "check-corpus": check_parser,
    "audit-leakage": audit_parser,
    "compare-systems": compare_parser,
    "compare-results": compare_results_parser,
    "show-benchmarks": benchmarks_parser,
    "make-report": report_parser,
    "write-subtitles": subtitles_parser,
}


def commands(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^    (\S.*)$", text, flags=re.MULTILINE) + re.findall(
        r"^\$ (\S.*)$", text, flags=re.MULTILINE
    )
    return [line.partition("  #")[0].strip() for line in lines if line.split()[0] in PARSERS]


def test_every_table_is_what_the_results_say():
    texts = [page.read_text(encoding="utf-8") for page in render_readme.PAGES]
    assert {name for text in texts for name in re.findall(r"<!-- table (\w+) -->", text)} == set(
        render_readme.TABLES
    )
    assert [render_readme.rendered(text) for text in texts] == texts, (
        "run python -m benchmarks.render_readme"
    )


@pytest.mark.parametrize("line", commands("README.md"))
def test_every_command_of_the_readme_parses(line):
    program, *arguments = shlex.split(line)
    PARSERS[program]().parse_args(arguments)


def test_there_are_commands_to_test():
    assert {line.split()[0] for line in commands("README.md")} == set(PARSERS)


def test_the_readme_counts_the_checks_of_the_audit():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    counted = re.findall(r"(\w+) checks(?: looks|: speakers)", text)
    assert [word.lower() for word in counted] == [NUMBERS[len(CHECKS) - 10]] * 2
