"""One system of the grid as a value.

Its family, method, modalities and classifier, and its expression.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from classify.models.specification import Settings
from classify.names import (
    BASELINE,
    CONCATENATION,
    EARLY,
    LATE,
    OVER_SCORES,
    PROBE,
    RULE,
    SYSTEM,
)
from classify.systems.expression import (
    AUTO,
    FIT_OPTION,
    OWN_SCORES,
    PROJECT,
    SCORES,
    Call,
    Expression,
    Value,
    View,
    complete,
    kind,
)
from classify.systems.joined_views import JoinedViews, inputs_of, standardised
from classify.systems.parser import parse


@dataclass(frozen=True, slots=True)
class Cell:
    """One system: what goes in, how it is fused, and what classifies it.

    Attributes:
        family: One of :data:`FAMILIES`.
        method: Fusion strategy; empty where nothing is fused.
        modalities: What goes in, in this order; for a baseline only which rows it is compared on.
        classifier: Name in :data:`classify.models.classifiers.CLASSIFIERS`, ``head``, ``probe`` or
            ``rule``; of a system its outermost word.
        layer: Position among a modality's candidate layers; only in the family ``layer``, else -1.
        expression: What a system is; other families follow from the rest.
        joined: Layers among ``modalities`` that go in as one.
    """

    family: str
    method: str
    modalities: tuple[str, ...]
    classifier: str
    layer: int = -1
    expression: str = ""
    joined: tuple[JoinedViews, ...] = ()

    @property
    def inputs(self) -> list[str | JoinedViews]:
        """What goes in, joined layers as one."""
        return inputs_of(self.modalities, self.joined)

    def tree(
        self, settings: Settings, scores_from: Mapping[str, str], fit_rows: str = "train"
    ) -> Expression:
        """Return the cell as a complete expression.

        Args:
            settings: Those of the classifier that differ from the defaults; a system has its own.
                ``project`` among them is the width of a projection, 0 for its own.
            scores_from: Modality to ``head`` or ``probe``.
            fit_rows: A name of :data:`FIT_ROWS`.

        >>> late = Cell("late", "sum", ("audio", "text"), "svm")
        >>> str(late.tree({"c": 2.0}, {"audio": "head", "text": "probe"}))
        'svm(sum(head(audio), probe(text)), c=2, fit_rows=train)'
        >>> str(Cell("early", "product[pca:8]", ("audio", "text"), "nn").tree({}, {}))
        'nn(product(audio, text, project=pca:8))'
        """
        if self.family == SYSTEM:
            return complete(parse(self.expression), scores_from)
        if self.family == BASELINE:
            every_view = tuple(View(m) for m in self.modalities)
            return Call(self.classifier, (Call(CONCATENATION, every_view),))
        views: tuple[Expression, ...] = tuple(
            View(one) if isinstance(one, str) else one.expression() for one in self.inputs
        )
        method, _, project = self.method.rstrip("]").partition("[")
        if settings.get(PROJECT):
            project += f":{int(settings[PROJECT])}"
        options = tuple(sorted((k, v) for k, v in settings.items() if k != PROJECT))
        if self.family == LATE:
            node = Call(method, tuple(map(_own_scores, views)))
            if self.classifier != RULE:
                # the paper's classifiers over scores learn from the training rows' own
                learn_on = fit_rows if fit_rows in OVER_SCORES else "train"
                written: dict[str, Value] = {**settings, FIT_OPTION: learn_on}
                node = Call(self.classifier, (node,), tuple(sorted(written.items())))
            return complete(node, scores_from)
        if self.family == EARLY:
            views = (_fused(method, views, ((PROJECT, project),) if project else ()),)
        elif self.classifier == RULE:  # layers that are stacked are class scores already
            return complete(views[0], scores_from)
        elif self.classifier != PROBE:
            views = (standardised(views[0]),)
        return Call(self.classifier, views, options)


def _own_scores(part: Expression) -> Expression:
    return part if kind(part) == SCORES else Call(OWN_SCORES, (part,))


def _fused(
    method: str, parts: tuple[Expression, ...], options: tuple[tuple[str, Value], ...]
) -> Expression:
    """Return vectors fused early; layers side by side stand beside what they are fused with."""
    if method == CONCATENATION and not options:
        flat: list[Expression] = []
        for part in parts:
            inside = isinstance(part, Call) and part.word == CONCATENATION
            flat += part.arguments if isinstance(part, Call) and inside else (part,)
        parts = tuple(flat)
    return Call(method, parts, options)


def default_fit_mode(fit_rows: str) -> str:
    """Return what late fusion learns from where it does not say.

    :mod:`classify.systems.evaluator` explains the names.
    """
    return fit_rows if fit_rows in OVER_SCORES else AUTO
