"""Layers of one modality that stand for it together: side by side, as their mean, or stacked.

Whatever a cell takes is then an expression over the views, so that each layer keeps its own record
and passes the leak gate by itself, and everything is fitted on the rows that the cell is fitted on:

==========  ====================================================================================
``concat``  ``concat(audio.L0, audio.L1, ...)``: each standardised, side by side
``mean``    ``sum(audio.L0, audio.L1, ...)``: each standardised and added; a classifier gets it
            standardised once more, so that dividing by the number of layers changes nothing
``stack``   ``stack(audio.L0, audio.L1, ...)``: a logistic regression over the layers' class scores
==========  ====================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from classify.models.classifiers import CLASSIFIERS
from classify.names import AS_CONCAT, AS_MEAN, AS_STACK, CONCATENATION
from classify.systems.expression import OWN_SCORES, Call, Expression, View

WORDS = {AS_CONCAT: CONCATENATION, AS_MEAN: "sum", AS_STACK: "stack"}
NAMED = {AS_CONCAT: "{} layers", AS_MEAN: "mean of {} layers", AS_STACK: "stack of {} layers"}


@dataclass(frozen=True, slots=True)
class JoinedViews:
    """Several views that stand for their modality as one.

    Attributes:
        modality: Their modality.
        how: ``concat``, ``mean`` or ``stack``.
        views: Their names, in the order of the layers.
    """

    modality: str
    how: str
    views: tuple[str, ...]

    @property
    def name(self) -> str:
        """What it is called in results.

        >>> JoinedViews("audio", "mean", ("audio.L4", "audio.L5")).name
        'audio[mean of 2 layers]'
        """
        return f"{self.modality}[{NAMED[self.how].format(len(self.views))}]"

    @property
    def is_scores(self) -> bool:
        """Whether it is class scores, so that nothing can be fused early."""
        return self.how == AS_STACK

    def expression(self) -> Call:
        """Return it as an expression: vectors, or class scores where it is a stack.

        >>> print(JoinedViews("audio", "stack", ("audio.L4", "audio.L5")).expression())
        stack(scores(audio.L4), scores(audio.L5))
        """
        views: tuple[Expression, ...] = tuple(map(View, self.views))
        if self.is_scores:
            views = tuple(Call(OWN_SCORES, (view,)) for view in views)
        return Call(WORDS[self.how], views)

    def width(self, widths: Mapping[str, int]) -> int:
        """Return how many columns its vectors have.

        Args:
            widths: View to the number of its columns.
        """
        own = [widths[view] for view in self.views]
        return sum(own) if self.how == AS_CONCAT else own[0]


def join_layers(modality_of: Mapping[str, str], how: str) -> tuple[JoinedViews, ...]:
    """Return each modality of several views as one.

    Args:
        modality_of: View to its modality.
        how: ``concat``, ``mean`` or ``stack``.
    """
    views_of: dict[str, list[str]] = {}
    for view, modality in modality_of.items():
        views_of.setdefault(modality, []).append(view)
    return tuple(
        JoinedViews(modality, how, tuple(views))
        for modality, views in views_of.items()
        if len(views) > 1
    )


def with_layers(node: Expression, whole: Mapping[str, JoinedViews]) -> Expression:
    """Return an expression with joined layers in the place of their modality.

    Args:
        node: The expression.
        whole: Modality to its joined layers.

    >>> two = JoinedViews("audio", "mean", ("audio.L4", "audio.L5"))
    >>> svm = Call("svm", (View("audio"),))
    >>> print(with_layers(Call("mean", (svm, View("text"))), {"audio": two}))
    mean(svm(concat(sum(audio.L4, audio.L5))), text)
    """
    if isinstance(node, View):
        return whole[node.name].expression() if node.name in whole else node
    arguments = tuple(with_layers(argument, whole) for argument in node.arguments)
    if node.word in CLASSIFIERS:
        arguments = tuple(map(standardised, arguments))
    return replace(node, arguments=arguments)


def standardised(part: Expression) -> Expression:
    """Return vectors as a classifier takes them: a mean of layers standardised once more."""
    if isinstance(part, View) or part.word != WORDS[AS_MEAN]:
        return part
    return Call(CONCATENATION, (part,))


def inputs_of(views: Sequence[str], joined: Sequence[JoinedViews]) -> list[str | JoinedViews]:
    """Return what a cell over some views takes: single views, and joined ones in their place.

    Args:
        views: The cell's views; of what is joined all are there.
        joined: What is joined.
    """
    of_view = {view: one for one in joined for view in one.views}
    return list(dict.fromkeys(of_view.get(view, view) for view in views))
