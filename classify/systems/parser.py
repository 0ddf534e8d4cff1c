"""The text of a system becomes a tree, or an error that points at the character.

    expression = view | word "(" argument { "," argument } ")"
    argument   = expression | option "=" value
    view       = a name of the store, bare or in double quotes
    value      = number | name [ ":" number ]

Options come last. What each word takes is checked here; what only the store knows is checked by
:mod:`classify.systems.definitions`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from classify.fusion.projections import read_projection
from classify.fusion.rules import RULES
from classify.fusion.strategies import STRATEGIES
from classify.models.classifiers import CLASSIFIERS, resolve
from classify.names import CALIBRATED, HEAD, PROBE
from classify.systems.expression import (
    FIT_MODES,
    FIT_OPTION,
    OWN_SCORES,
    PROJECT,
    SCORES,
    VECTORS,
    Call,
    Expression,
    Value,
    View,
    kind,
    learns_from_scores,
    leaves,
    plainest,
    strategy_words,
    words,
)
from embeddings_store.errors import ProjectError, UnknownNameError, UsageError, did_you_mean

TOKEN = re.compile(
    r"\s*(?:(?P<number>[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?(?![\w.-]))|(?P<name>[^\W\d][\w.+-]*)"
    r'|"(?P<quoted>[^"\n]+)"|(?P<mark>[(),=:]))'
)


def parse(text: str, views: tuple[str, ...] | None = None) -> Expression:
    """Read one expression and check that its parts go together.

    Args:
        text: The expression.
        views: The store's views; without them every bare name passes.

    Raises:
        UsageError: What is wrong, with the line and a caret under the character.

    >>> parse("mean(text, txet)", ("text",))
    Traceback (most recent call last):
    embeddings_store.errors.UnknownNameError: unknown view 'txet'; did you mean 'text'? Known: text
      mean(text, txet)
                 ^
    """
    parser = _Parser(text)
    node = parser.expression()
    parser.end()
    _Checker(text, views).check(node)
    return node


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.place = text, _tokens(text), 0

    @property
    def next(self) -> _Token:
        return self.tokens[self.place]

    def take(self) -> _Token:
        token = self.tokens[self.place]
        self.place += 1
        return token

    def mark(self, mark: str) -> bool:
        if self.next.kind == "mark" and self.next.text == mark:
            self.place += 1
            return True
        return False

    def expression(self) -> Expression:
        token = self.take()
        if token.kind not in {"name", "quoted"}:
            _wrong(
                self.text,
                token.at,
                f"a view or a strategy is expected here, not {_describe(token)}",
            )
        if token.kind == "quoted" or not self.mark("("):
            return View(token.text, token.at)
        arguments: list[Expression] = []
        options: dict[str, Value] = {}
        while True:
            name = self.next
            if name.kind == "name" and self.tokens[self.place + 1].text == "=":
                if name.text in options:
                    _wrong(self.text, name.at, f"the option {name.text!r} is given twice")
                self.place += 2
                options[name.text] = self.value()
            else:
                if options:
                    _wrong(self.text, name.at, "options come last, after everything that is fused")
                arguments.append(self.expression())
            if self.mark(")"):
                break
            if not self.mark(","):
                _wrong(
                    self.text,
                    self.next.at,
                    f"',' or ')' is expected here, not {_describe(self.next)}; the bracket of "
                    f"{token.text!r} is open",
                )
        return Call(
            strategy_words().get(token.text, token.text),
            tuple(arguments),
            tuple(sorted(options.items())),
            token.at,
        )

    def value(self) -> Value:
        token = self.take()
        if token.kind == "number":
            return float(token.text)
        if token.kind != "name":
            _wrong(
                self.text, token.at, f"a number or a name is expected here, not {_describe(token)}"
            )
        if not self.mark(":"):
            return token.text
        number = self.take()
        if number.kind != "number":
            _wrong(
                self.text,
                number.at,
                f"a number is expected after '{token.text}:', not {_describe(number)}",
            )
        return f"{token.text}:{number.text}"

    def end(self) -> None:
        if self.next.kind != "end":
            _wrong(
                self.text,
                self.next.at,
                f"the expression is complete here, and {_describe(self.next)} follows",
            )


class _Checker:
    def __init__(self, text: str, views: tuple[str, ...] | None) -> None:
        self.text, self.views = text, views

    def check(self, node: Expression, *, root: bool = True) -> None:
        if isinstance(node, View):
            if self.views is not None and node.name not in self.views:
                self._unknown("view", node.name, self.views, node.at)
            if root:
                _wrong(
                    self.text,
                    node.at,
                    f"a system ends in class scores, and {node} is a vector; write svm({node}), "
                    f"or scores({node}) for its own head or probe",
                )
            return
        if node.word not in STRATEGIES and node.word not in words():
            self._unknown("strategy or classifier", node.word, words(), node.at)
        if not node.arguments:
            _wrong(self.text, node.at, f"{node.word} has nothing to work on")
        self._options(node)
        for argument in node.arguments:
            self.check(argument, root=False)
        if root and kind(node) == VECTORS:
            _wrong(
                self.text,
                node.at,
                f"a system ends in class scores, and {node.word} gives a vector; put a classifier "
                f"around it, for example svm({node})",
            )
        self._inputs(node)

    def _inputs(self, node: Call) -> None:
        takes_one = node.word in CLASSIFIERS or node.word in (HEAD, PROBE, OWN_SCORES, CALIBRATED)
        if takes_one and len(node.arguments) > 1:
            _wrong(
                self.text,
                node.arguments[1].at,
                f"{node.word} takes one thing; fuse several first, for example "
                f"{node.word}(concat({', '.join(map(str, node.arguments))}))",
            )
        first = node.arguments[0]
        if node.word == HEAD and not isinstance(first, View):
            _wrong(self.text, first.at, f"{node.word} takes the name of a view, not {first}")
        scored = [leaf for leaf in leaves(first) if kind(leaf) == SCORES]
        if node.word in (PROBE, OWN_SCORES) and scored:
            _wrong(
                self.text,
                scored[0].at,
                f"{node.word} takes vectors, and {scored[0]} is scores already",
            )
        if node.word in RULES:
            for argument in node.arguments:
                if kind(argument) == VECTORS and not isinstance(argument, View):
                    _wrong(
                        self.text,
                        argument.at,
                        f"{node.word} takes class scores, and {argument} is a vector; put a "
                        f"classifier around it, for example svm({argument})",
                    )
        if node.word in STRATEGIES:
            self._fused(node)

    def _fused(self, node: Call) -> None:
        """Check that a strategy can fuse what it is given."""
        for place, argument in enumerate(node.arguments):
            if argument in node.arguments[:place]:
                _wrong(self.text, argument.at, f"{argument} stands twice in {node.word}")
        strategy = STRATEGIES[node.word]
        kinds = {kind(argument) for argument in node.arguments}
        if strategy.vectors is None and VECTORS in kinds:
            _wrong(self.text, node.at, f"{node.word} takes class scores, and no vectors")
        if strategy.scores is None and SCORES in kinds:
            _wrong(self.text, node.at, f"{node.word} takes vectors, and no class scores")
        if len(kinds) > 1 and not strategy.takes_both:
            _wrong(
                self.text,
                node.at,
                f"{node.word} takes vectors or class scores, not both; only concat joins the two",
            )

    def _options(self, node: Call) -> None:
        if node.word in STRATEGIES:
            known: tuple[str, ...] = (PROJECT,)
        elif node.word in CLASSIFIERS:
            known = (
                *CLASSIFIERS[node.word].settings,
                *((FIT_OPTION,) if node.arguments and learns_from_scores(node) else ()),
            )
        else:
            known = (FIT_OPTION,) if learns_from_scores(node) else ()
        for name, value in node.options:
            if name not in known:
                if name == FIT_OPTION and (node.word in CLASSIFIERS or node.word in RULES):
                    _wrong(
                        self.text,
                        node.at,
                        f"{node.word} learns nothing from class scores here, so {FIT_OPTION} says "
                        "nothing",
                    )
                self._unknown(f"option of {node.word}", name, known, node.at)
            try:
                if name == FIT_OPTION and value not in FIT_MODES:
                    self._unknown("choice of rows to fit on", str(value), FIT_MODES, node.at)
                elif name == PROJECT:
                    read_projection(str(value))
                elif name not in (FIT_OPTION, PROJECT):
                    resolve(node.word, {name: _number(name, value)})
            except ProjectError as error:
                if "\n" in str(error):
                    raise
                _wrong(self.text, node.at, str(error))

    def _unknown(self, what: str, name: str, known: tuple[str, ...], at: int) -> NoReturn:
        hint = did_you_mean(name, known) or ";"
        raise UnknownNameError(
            f"unknown {what} {name!r}{hint} Known: "
            f"{', '.join(known) or 'none'}{_caret(self.text, at)}"
        )


def plain_text(text: str) -> str:
    """Return an expression in its plainest spelling, see :func:`~.expression.plainest`.

    Args:
        text: The expression, as :func:`parse` reads it; empty stays empty.

    Raises:
        UsageError: It is none.

    >>> plain_text("mean(nn( concat(text) ))")
    'nn(text)'
    """
    return str(plainest(parse(text))) if text else ""


def _number(name: str, value: Value) -> float:
    if isinstance(value, str):
        raise UsageError(f"{name} must be a number, not {value!r}")
    return value


def _tokens(text: str) -> list[_Token]:
    tokens, place = [], 0
    while place < len(text.rstrip()):
        match = TOKEN.match(text, place)
        if not match or not match.lastgroup:
            at = place + len(text[place:]) - len(text[place:].lstrip())
            _wrong(
                text,
                at,
                f"{text[at]!r} is no part of an expression; names that are not plain words stand "
                "in double quotes",
            )
        tokens.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        place = match.end()
    return [*tokens, _Token("end", "", len(text.rstrip())), _Token("end", "", len(text.rstrip()))]


def _describe(token: _Token) -> str:
    return "the end" if token.kind == "end" else repr(token.text)


def _wrong(text: str, at: int, message: str) -> NoReturn:
    raise UsageError(message + _caret(text, at))


def _caret(text: str, at: int) -> str:
    """Return the line of the text that holds a character, and a caret under it."""
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    return f"\n  {text[start : end if end >= 0 else None]}\n  {' ' * (at - start)}^"
