"""One word per thing: the glossary names what is there, and private words stay away."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GLOSSARY = ROOT / "embeddings_store" / "GLOSSARY.md"
# What the field calls otherwise, and what it calls it.
PRIVATE = {
    "said": "answered, or what it is: scores, labels",
    "told": "the thing itself: lines, attributes",
    "tell": "notify",
    "lesson": "the rows a rule is fitted on",
    "honest": "out of fold",
    "taught": "fitted",
    "teach": "fit",
    "teaches": "fits",
    "twin": "duplicate",
    "twins": "duplicates",
    "team": "distributed, ranks",
}


def words_of(name: str) -> list[str]:
    """Take an identifier apart: ``valid_rows`` and ``ValidRows`` are the words valid and rows.

    >>> words_of("ValidRows") == words_of("valid_rows")
    True
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_").split("_")


def identifiers(tree: ast.AST) -> Iterator[str]:
    """Yield every name that a module defines or binds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def test_no_name_is_a_private_word() -> None:
    found = []
    for package in ("embeddings_store", "extract", "classify"):
        for path in sorted((ROOT / package).rglob("*.py")):
            names = [path.stem, *identifiers(ast.parse(path.read_text(encoding="utf-8")))]
            for name in sorted(set(names)):
                for word in sorted(PRIVATE.keys() & set(words_of(name))):
                    found.append(f"{path.relative_to(ROOT)}: {name} (say {PRIVATE[word]})")
    assert found == []


def test_the_check_sees_every_kind_of_name() -> None:
    code = "class Lesson: ...\ndef tell(twins): honest = 1\nfor told in x: pass"
    words = {word for name in identifiers(ast.parse(code)) for word in words_of(name)}
    assert words >= {"lesson", "tell", "twins", "honest", "told"}


ROWS = re.findall(r"^\| ([^|]+) \| .* \| `([\w.]+)` \|$", GLOSSARY.read_text("utf-8"), re.M)


@pytest.mark.parametrize(("word", "place"), ROWS)
def test_what_the_glossary_names_is_there(word: str, place: str) -> None:
    module, _, name = place.rpartition(".")
    try:
        importlib.import_module(place)
    except ModuleNotFoundError:
        assert hasattr(importlib.import_module(module), name), f"{word}: no {place}"


def test_the_glossary_has_rows_and_no_word_twice() -> None:
    words = [word for word, _ in ROWS]
    assert len(words) > 20 and len(set(words)) == len(words)
