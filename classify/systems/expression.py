"""Systems as trees.

``mean(svm(concat(audio, text)), svm(concat(video, text)))`` and what follows from its form.

An expression is either *vectors* (a view, or views fused early) or *scores* (one value per class).
Its words are those of :data:`classify.fusion.strategies.STRATEGIES`,
:data:`classify.models.classifiers.CLASSIFIERS`, :data:`classify.fusion.rules.RULES` and three of
the language's own: ``head``, ``probe`` and ``scores``. ``FUSION.md`` beside this file explains all
of them.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace

from classify.fusion.rules import FROM_SCORES, RULES
from classify.fusion.strategies import STRATEGIES
from classify.models.class_scores import MARGIN
from classify.models.classifiers import CLASSIFIERS
from classify.names import CALIBRATED, CONCATENATION, HEAD, PROBE
from embeddings_store.errors import UsageError

VECTORS, SCORES = "vectors", "scores"
OWN_SCORES = "scores"
FIT_OPTION, PROJECT = "fit_rows", "project"
AUTO = "auto"
FIT_MODES = ("oof", "valid", "train", "train+valid")
CONCAT = "concat"  # how concatenation is written in expressions
PLAIN_NAME = re.compile(r"[^\W\d][\w.+-]*")

Value = str | float


@dataclass(frozen=True, slots=True)
class View:
    """A modality, or whatever else the store calls a view of its rows."""

    name: str
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return self.name if PLAIN_NAME.fullmatch(self.name) else f'"{self.name}"'


@dataclass(frozen=True, slots=True)
class Call:
    """A strategy or classifier over its arguments.

    Attributes:
        word: Which, under its own name (``concatenation`` for ``concat``).
        arguments: What goes in, one or more.
        options: Name and value, sorted by name.
        at: Where it stands in the text, for messages.
    """

    word: str
    arguments: tuple[Expression, ...]
    options: tuple[tuple[str, Value], ...] = ()
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        word = CONCAT if self.word == CONCATENATION else self.word
        options = (
            f"{name}={value if isinstance(value, str) else f'{value:g}'}"
            for name, value in self.options
        )
        return f"{word}({', '.join([*map(str, self.arguments), *options])})"

    def option(self, name: str) -> Value | None:
        """Return an option's value, or none."""
        return dict(self.options).get(name)


Expression = View | Call


def strategy_words() -> dict[str, str]:
    """Return how each fusion strategy is written: word to its name in the table.

    >>> list(strategy_words())
    ['concat', 'concatenation', 'sum', 'product']
    """
    return {CONCAT: CONCATENATION} | {name: name for name in STRATEGIES}


def words() -> tuple[str, ...]:
    """Return every word of the language, each once."""
    strategies = [word for word in strategy_words() if word != CONCATENATION]
    return (*strategies, *CLASSIFIERS, HEAD, PROBE, OWN_SCORES, *RULES)


def kind(node: Expression) -> str:
    """Return ``vectors`` or ``scores``."""
    return VECTORS if isinstance(node, View) or node.word in STRATEGIES else SCORES


def walk(node: Expression) -> Iterator[Expression]:
    """Yield a node and everything below it, in the order of the text."""
    yield node
    if isinstance(node, Call):
        for argument in node.arguments:
            yield from walk(argument)


def views_of(node: Expression) -> tuple[str, ...]:
    """Return the views in an expression, in the order in which they first occur.

    >>> from classify.systems.parser import parse
    >>> views_of(parse("mean(svm(concat(text, audio)), probe(text))"))
    ('text', 'audio')
    """
    return tuple(dict.fromkeys(n.name for n in walk(node) if isinstance(n, View)))


def words_of(node: Expression) -> tuple[str, ...]:
    """Return the strategies and classifiers in an expression, each once."""
    return tuple(dict.fromkeys(n.word for n in walk(node) if isinstance(n, Call)))


def learns_from_scores(node: Call) -> bool:
    """Say whether a call learns from class scores.

    A learnt rule, or a classifier with scores among its inputs.
    """
    if node.word in RULES:
        return RULES[node.word].learns == FROM_SCORES
    return node.word in CLASSIFIERS and any(
        kind(leaf) == SCORES for leaf in leaves(node.arguments[0])
    )


def judges_of(node: Expression) -> dict[str, str]:
    """Return view to the classifier or probe that learns from its vectors first, by name.

    Of several the first in the order of the text counts.

    >>> from classify.systems.parser import parse
    >>> judges_of(parse("mean(svm(concat(audio, text)), probe(video))"))
    {'audio': 'svm', 'text': 'svm', 'video': 'probe'}
    """
    found: dict[str, str] = {}
    for part in walk(node):
        if isinstance(part, Call) and (part.word in CLASSIFIERS or part.word == PROBE):
            for leaf in leaves(part.arguments[0]):
                if isinstance(leaf, View):
                    found.setdefault(leaf.name, part.word)
    return found


def leaves(node: Expression) -> tuple[Expression, ...]:
    """Return what a tree of early fusion is made of: its views and scores, each once."""
    if isinstance(node, Call) and node.word in STRATEGIES:
        found: list[Expression] = []
        for argument in node.arguments:
            found += leaves(argument)
        return tuple(dict.fromkeys(found))
    return (node,)


def complete(node: Expression, scores_from: Mapping[str, str]) -> Expression:
    """Write out what an expression leaves unsaid, so that equal systems have equal texts.

    Args:
        node: What :func:`parse` returned.
        scores_from: View to ``head`` or ``probe``.

    >>> from classify.systems.parser import parse
    >>> str(complete(parse("mean(audio, svm(text))"), {"audio": "head", "text": "probe"}))
    'mean(head(audio), calibrated(svm(text)))'
    """
    if isinstance(node, View):
        return node
    if node.word == OWN_SCORES:
        inner = node.arguments[0]
        return Call(
            scores_from[inner.name] if isinstance(inner, View) else PROBE,
            node.arguments,
            (),
            node.at,
        )
    arguments = tuple(complete(argument, scores_from) for argument in node.arguments)
    if node.word in RULES:
        arguments = tuple(
            complete(Call(OWN_SCORES, (a,), (), a.at), scores_from) if isinstance(a, View) else a
            for a in arguments
        )
    if node.word != CALIBRATED and (
        node.word in RULES or node.word in STRATEGIES or learns_from_scores(node)
    ):
        arguments = tuple(_calibrated(a) for a in arguments)
    return replace(node, arguments=arguments)


def _calibrated(node: Expression) -> Expression:
    """Margins of different classifiers cannot be compared, probabilities can."""
    margins = (
        isinstance(node, Call)
        and node.word in CLASSIFIERS
        and CLASSIFIERS[node.word].kind == MARGIN
    )
    return Call(CALIBRATED, (node,), (), node.at) if margins else node


def prune(node: Expression, keep: frozenset[str]) -> Expression | None:
    """Return the same system without the views that are not in ``keep``.

    None where nothing is left.

    >>> from classify.systems.parser import parse
    >>> whole = parse("mean(svm(concat(audio, text)), svm(video))")
    >>> str(prune(whole, frozenset({"text", "video"})))
    'mean(svm(concat(text)), svm(video))'
    """
    if isinstance(node, View):
        return node if node.name in keep else None
    pruned_arguments = [prune(argument, keep) for argument in node.arguments]
    left = tuple(argument for argument in pruned_arguments if argument is not None)
    if node.word in STRATEGIES:  # what differed only in the views that are gone
        left = tuple(dict.fromkeys(left))
    if not left:
        return None
    pruned = replace(node, arguments=left)
    if learns_from_scores(node) == learns_from_scores(pruned):
        return pruned
    # without class scores among the inputs there is nothing left that the option could mean
    options = tuple(option for option in node.options if option[0] != FIT_OPTION)
    return replace(pruned, options=options)


def plainest(node: Expression) -> Expression:
    """Return the plainest expression that answers as this one does, by construction.

    Concatenation of one thing is that thing, and so is a rule that learns nothing over one thing.

    >>> from classify.systems.parser import parse
    >>> str(plainest(parse("mean(xgboost(concat(text)))")))
    'xgboost(text)'
    >>> str(plainest(parse("stack(xgboost(text))")))
    'stack(xgboost(text))'
    >>> str(plainest(parse("svm(concat(sum(audio, text)))")))
    'svm(concat(sum(audio, text)))'
    """
    if isinstance(node, View):
        return node
    arguments = tuple(plainest(argument) for argument in node.arguments)
    plain_rule = node.word in RULES and not RULES[node.word].learns
    # a sum or product is standardised again by what stands around it
    fused = isinstance(arguments[0], Call) and arguments[0].word in STRATEGIES
    standardises = fused and words_of(arguments[0])[0] != CONCATENATION
    plain_concatenation = node.word == CONCATENATION and not node.options and not standardises
    if len(arguments) == 1 and (plain_rule or plain_concatenation):
        return arguments[0]
    return replace(node, arguments=arguments)


def fit_mode_of(
    node: Call, default_mode: str, encoders_fitted: bool, out_of_fold_heads: Container[str]
) -> str:
    """Return what a part that learns from class scores is fitted on.

    :mod:`classify.systems.evaluator` explains the names.

    Args:
        node: The part.
        default_mode: What it is fitted on where it does not say.
        encoders_fitted: Whether an encoder was fitted on training rows.
        out_of_fold_heads: Modalities whose heads have out-of-fold scores of training rows.

    Raises:
        UsageError: Out-of-fold scores are asked of a head that has none.
    """
    mode = str(node.option(FIT_OPTION) or default_mode)
    if mode == AUTO:
        return "valid" if _has_seen_labels(node, encoders_fitted, out_of_fold_heads) else "oof"
    heads = [
        n
        for n in walk(node)
        if isinstance(n, Call) and n.word == HEAD and view_of_head(n) not in out_of_fold_heads
    ]
    if mode == "oof" and heads:
        raise UsageError(
            f"{heads[0]} was trained on the training rows, so it cannot score them out of fold; "
            f"learn from validation rows ({FIT_OPTION}=valid), train inner folds, or do as the "
            f"paper does ({FIT_OPTION}=train)"
        )
    return mode


def _has_seen_labels(
    node: Expression, encoders_fitted: bool, out_of_fold_heads: Container[str]
) -> bool:
    if isinstance(node, View):
        return encoders_fitted
    if node.word == HEAD:
        return view_of_head(node) not in out_of_fold_heads
    return any(
        _has_seen_labels(argument, encoders_fitted, out_of_fold_heads)
        for argument in node.arguments
    )


def input_of(probe: Call) -> str:
    """Return what a probe is over, as text."""
    inner = probe.arguments[0]
    return inner.name if isinstance(inner, View) else str(inner)


def view_of_head(head: Call) -> str:
    """Return the view whose head it is."""
    return next(n.name for n in walk(head) if isinstance(n, View))
