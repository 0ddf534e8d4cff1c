"""Public docstrings give what CONTRIBUTING promises: arguments, errors, attributes and shapes."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("embeddings_store", "extract", "classify")
# What is worth a line of its own: fewer arguments or fields can be explained by a sentence.
LISTED_FROM = 3
# (n,), (N, D), (..., C): letters or numbers with a comma, as shapes are written everywhere here.
SHAPE = re.compile(r"\((?:[A-Za-z]\w*'?|\d+|\.\.\.)(?: [*+] \w+)?(?:, ?(?:[^()]+))*,?\)|shape")
NOT_IN_SECONDS = re.compile(r"(^|_)(seconds|secs|duration|timeout)$")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


@dataclass(frozen=True)
class Public:
    """A public function, method or class: its name as people import it, and its syntax tree."""

    name: str
    node: Definition

    @property
    def doc(self) -> str:
        return ast.get_docstring(self.node) or ""

    @property
    def arguments(self) -> list[str]:
        assert not isinstance(self.node, ast.ClassDef)
        given = self.node.args
        names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
        return [name for name in names if name not in {"self", "cls"}]


def definitions(tree: ast.Module, module: str) -> Iterator[Public]:
    """Yield what is public in a module; functions inside functions are nobody's business."""
    for node in tree.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield Public(f"{module}.{node.name}", node)
            if isinstance(node, ast.ClassDef):
                for member in node.body:
                    if isinstance(member, Function) and not member.name.startswith("_"):
                        yield Public(f"{module}.{node.name}.{member.name}", member)


def everything() -> list[Public]:
    found: list[Public] = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found += definitions(ast.parse(path.read_text(encoding="utf-8")), module)
    return found


def section(doc: str, name: str) -> str:
    """Return the text of a section such as ``Args``; empty where there is none."""
    found = re.search(rf"^{name}:\n((?:[ \t]+.*\n?|\n)*)", doc, flags=re.MULTILINE)
    return found[1] if found else ""


def own_statements(function: Function) -> Iterator[ast.AST]:
    """Walk a function without the functions and classes inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, Definition | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def raises(function: Function) -> bool:
    """Whether the function raises an error of its own choice; ``raise`` alone hands one on."""
    for node in own_statements(function):
        if isinstance(node, ast.Raise) and node.exc is not None:
            return True
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "unknown_name":
            return True
    return False


def fields(node: ast.ClassDef) -> list[str]:
    """Return the public fields of a dataclass; none for other classes."""
    decorators = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
    if "dataclass" not in decorators:
        return []
    annotated = [item for item in node.body if isinstance(item, ast.AnnAssign)]
    names = [item.target.id for item in annotated if isinstance(item.target, ast.Name)]
    return [name for name in names if not name.startswith("_")]


def takes_or_gives_arrays(function: Function) -> bool:
    arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    annotations = [argument.annotation for argument in arguments] + [function.returns]
    return any("NDArray" in ast.unparse(a) or "ndarray" in ast.unparse(a) for a in annotations if a)


def without_arguments(item: Public) -> list[str]:
    """Return the arguments that ``Args:`` does not name, where there are enough to list them."""
    if isinstance(item.node, ast.ClassDef) or len(item.arguments) < LISTED_FROM:
        return []
    listed = section(item.doc, "Args")
    return [
        name for name in item.arguments if not re.search(rf"^\s+\*{{0,2}}{name}\b.*:", listed, re.M)
    ]


def without_attributes(item: Public) -> list[str]:
    """Return the fields that ``Attributes:`` does not name, where there are enough to list them."""
    if not isinstance(item.node, ast.ClassDef) or len(fields(item.node)) < LISTED_FROM:
        return []
    listed = section(item.doc, "Attributes")
    return [name for name in fields(item.node) if not re.search(rf"^\s+{name}\b.*:", listed, re.M)]


def complaints(item: Public) -> Iterator[str]:
    """Yield what a docstring owes its reader."""
    if not item.doc:
        yield f"{item.name}: no docstring"
    if missing := without_arguments(item):
        yield f"{item.name}: Args: does not name {', '.join(missing)}"
    if missing := without_attributes(item):
        yield f"{item.name}: Attributes: does not name {', '.join(missing)}"
    if isinstance(item.node, ast.ClassDef):
        return
    if raises(item.node) and not section(item.doc, "Raises"):
        yield f"{item.name}: raises, and has no Raises:"
    if takes_or_gives_arrays(item.node) and not SHAPE.search(item.doc):
        yield f"{item.name}: takes or gives arrays, and states no shape"
    for name in item.arguments:
        if NOT_IN_SECONDS.search(name):
            yield f"{item.name}: {name} is a time; seconds end in _s"


def test_every_public_docstring_gives_arguments_errors_attributes_and_shapes() -> None:
    owed = [line for item in everything() for line in complaints(item)]
    assert owed == [], f"{len(owed)} docstrings owe something:\n" + "\n".join(owed)


def test_public_classes_have_names_of_their_own() -> None:
    """One word per thing: a stranger who meets ``Prepared`` must know which one it is."""
    places = defaultdict(list)
    for item in everything():
        if isinstance(item.node, ast.ClassDef):
            places[item.node.name].append(item.name)
    shared = {name: found for name, found in places.items() if len(found) > 1}
    assert shared == {}


GOOD = '''
def scale(x: NDArray, by: float, to: float) -> NDArray:
    """Scale rows.

    Args:
        x: Rows (n, D).
        by: A factor above 0.
        to: Where they end.

    Raises:
        ValueError: ``by`` is not above 0.
    """
    raise ValueError
'''


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (("        by: A factor above 0.\n", ""), "Args: does not name by"),
        (("    Raises:\n        ValueError: ``by`` is not above 0.\n", ""), "has no Raises:"),
        (("(n, D)", "of numbers"), "states no shape"),
        (("by", "duration"), "duration is a time"),
    ],
)
def test_the_check_finds_what_is_missing(spoil: tuple[str, str], complaint: str) -> None:
    def owed_by(code: str) -> list[str]:
        return [line for item in definitions(ast.parse(code), "m") for line in complaints(item)]

    assert owed_by(GOOD) == []
    assert any(complaint in line for line in owed_by(GOOD.replace(*spoil)))
