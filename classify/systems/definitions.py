"""Systems that a user writes down, and which cells of the grid they become.

``--system "NAME = EXPRESSION"`` gives one, ``--systems FILE`` many: one ``NAME = EXPRESSION`` after
the other, over as many lines as there are open brackets, ``#`` to the end of a line a comment.
Without a name the expression is the name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from classify.fusion.early import check_widths
from classify.fusion.projections import read_projection
from classify.fusion.strategies import STRATEGIES
from classify.models.classifiers import CLASSIFIERS
from classify.models.specification import Settings
from classify.names import HEAD, SYSTEM
from classify.systems.cell import Cell
from classify.systems.expression import (
    PROJECT,
    SCORES,
    Call,
    Expression,
    View,
    fit_mode_of,
    kind,
    learns_from_scores,
    prune,
    view_of_head,
    views_of,
    walk,
)
from classify.systems.joined_views import JoinedViews, with_layers
from classify.systems.parser import parse
from embeddings_store.errors import FoldError, ProjectError, UsageError
from embeddings_store.reading import read_text

NAMED = re.compile(r"\s*([\w.+-]+)\s*=(.*)", flags=re.DOTALL)
ADVICE = "check its path, and save it as UTF-8"
COMMENT = re.compile(r'("[^"\n]*")|#.*')


@dataclass(frozen=True, slots=True)
class System:
    """One system as it was written.

    Attributes:
        name: Its name in every result.
        text: The expression.
        where: Where it stands, for messages.
    """

    name: str
    text: str
    where: str


@dataclass(frozen=True, slots=True)
class FitConditions:
    """What decides which rows a system can learn from, over all folds.

    Attributes:
        encoders_fitted: Whether an encoder was fitted on training rows.
        out_of_fold_heads: Modalities whose heads have out-of-fold scores of training rows.
        valid_rows: The smallest number of validation rows.
        valid_groups: The smallest number of groups that they are of.
        train_groups: The smallest number of groups that training rows are of.
    """

    encoders_fitted: bool
    out_of_fold_heads: frozenset[str]
    valid_rows: int
    valid_groups: int
    train_groups: int


def read_systems(texts: Sequence[str] = (), files: Sequence[Path] = ()) -> tuple[System, ...]:
    """Read systems from the command line and from files.

    What they say is checked when the store is known.

    Raises:
        UsageError: A file cannot be read, or two systems have one name.

    >>> read_systems(["both = mean(audio, text)"])[0].name
    'both'
    """
    systems = [_system(text, "--system") for text in texts]
    for path in files:
        text = read_text(path, "a text of systems", ADVICE, UsageError)
        systems += list(_of_file(text, str(path)))
    for number, system in enumerate(systems):
        for other in systems[:number]:
            if other.name == system.name:
                raise UsageError(
                    f"two systems are called {system.name!r}: {other.where} and {system.where}; "
                    "give one of them another name"
                )
    return tuple(systems)


def _of_file(text: str, path: str) -> Iterator[System]:
    lines = COMMENT.sub(lambda match: match[1] or "", text).splitlines()
    entry, start = "", 0
    for number, line in enumerate(lines, start=1):
        if not entry and not line.strip():
            continue
        start = start if entry else number
        entry += ("\n" if entry else "") + line
        if entry.count("(") <= entry.count(")") and not entry.rstrip().endswith("="):
            yield _system(entry, f"{path}, line {start}")
            entry = ""
    if entry:
        yield _system(entry, f"{path}, line {start}")


def _system(text: str, where: str) -> System:
    match = NAMED.match(text)
    if match:
        return System(match[1], match[2].strip(), where)
    return System(" ".join(text.split()), text.strip(), where)


def system_cells(
    systems: Sequence[System],
    widths: Mapping[str, int],
    settings: Mapping[str, Settings],
    n_classes: int,
    *,
    joined: Sequence[JoinedViews] = (),
    smaller_sets: Callable[[Sequence[str]], Sequence[tuple[str, ...]]] | None = None,
) -> list[Cell]:
    """Return the cells of all systems.

    Each is followed by those of its subsets of modalities, where these are wanted.

    Args:
        systems: What :func:`read_systems` returned.
        widths: View to the width of its vectors.
        settings: Classifier to settings, for classifiers that do not set them in the expression.
        n_classes: Size of the label set.
        joined: Layers that a system names by their modality.
        smaller_sets: A system's views to those sets of them over which it is wanted, too.

    Raises:
        UsageError: An expression is wrong, or asks for what its views do not allow; with the place.
    """
    cells = []
    for system in systems:
        try:
            node = _with_settings(_parsed(system.text, tuple(widths), joined), settings)
            _width_of(node, widths, n_classes)
        except ProjectError as error:
            raise type(error)(f"the system {system.name!r} ({system.where}): {error}") from error
        views = views_of(node)
        for chosen in dict.fromkeys([views, *(smaller_sets(views) if smaller_sets else ())]):
            part = prune(node, frozenset(chosen))
            if isinstance(part, Call):
                cells.append(Cell(SYSTEM, system.name, chosen, part.word, expression=str(part)))
    return cells


def _parsed(text: str, views: tuple[str, ...], joined: Sequence[JoinedViews]) -> Expression:
    """Read an expression; a modality whose layers are joined stands for all of them."""
    whole = {one.modality: one for one in joined if one.modality not in views}
    node = parse(text, (*views, *whole))
    written_out = with_layers(node, whole)
    # what takes vectors may have got class scores, so it is checked again as it is written out
    return node if written_out == node else parse(str(written_out), views)


def sets_of(modalities: Sequence[str]) -> list[tuple[str, ...]]:
    """Return all 2^n - 1 sets of modalities, small ones first, each in the given order.

    >>> sets_of(["audio", "text"])
    [('audio',), ('text',), ('audio', 'text')]
    """
    sets: list[tuple[str, ...]] = []
    for size in range(1, len(modalities) + 1):
        sets += combinations(modalities, size)
    return sets


def sets_by_modality(views: Sequence[str], modality_of: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return the views of every set of modalities, small sets first; a modality brings all its own.

    >>> of = {"audio.L4": "audio", "audio.L5": "audio", "text": "text"}
    >>> sets_by_modality(["audio.L4", "text", "audio.L5"], of)
    [('audio.L4', 'audio.L5'), ('text',), ('audio.L4', 'text', 'audio.L5')]
    """
    sets = sets_of(list(dict.fromkeys(modality_of[view] for view in views)))
    return [tuple(view for view in views if modality_of[view] in chosen) for chosen in sets]


def check_heads(cell: Cell, node: Expression, scores_from: Mapping[str, str]) -> None:
    """Check that every head that an expression names is there.

    Args:
        cell: The cell, for messages.
        node: Its expression.
        scores_from: View to ``head`` or ``probe``.

    Raises:
        UsageError: Its encoder has none, in some fold at least.
    """
    for part in walk(node):
        if not isinstance(part, Call) or part.word != HEAD:
            continue
        view = view_of_head(part)
        if scores_from[view] != HEAD:
            raise UsageError(
                f"{cell.method}: {part} is not there, because the {view} vectors come without "
                f"class scores; write probe({view}), or scores({view}) for what there is"
            )


def check_fit_rows(cell: Cell, node: Expression, default_mode: str, there: FitConditions) -> None:
    """Check that every part which learns from class scores has rows that it may learn from.

    Args:
        cell: The cell, for messages.
        node: Its expression.
        default_mode: What its parts are fitted on where they do not say.
        there: What there is over all folds.

    Raises:
        FoldError: It has not, and why.
        UsageError: It asks for out-of-fold scores of a head.
    """
    for part in walk(node):
        if not isinstance(part, Call) or not learns_from_scores(part):
            continue
        mode = fit_mode_of(part, default_mode, there.encoders_fitted, there.out_of_fold_heads)
        what = part.word
        if cell.family == SYSTEM and cell.method != part.word:
            what = f"{cell.method} ({part.word})"
        if "valid" in mode and there.valid_rows == 0:
            raise FoldError(
                f"{what} learns from class scores of validation rows, because training rows were "
                "used to train encoders, and a fold has no validation rows; use a plan that has, "
                "or write the system down with fit_rows=oof, whose scores are over-confident "
                "through the vectors"
            )
        if "valid" in mode and there.valid_groups < 2:
            raise FoldError(
                f"{what} learns from class scores of validation rows, and those of a fold are all "
                "of one group, so none could be answered by what was learnt from the others; use "
                "another plan, or fill the manifest's column 'group'"
            )
        if mode == "oof" and there.train_groups < 2:
            raise FoldError(
                f"{what} learns from out-of-fold scores of training rows, and those of a fold are "
                "all of one group; use another plan, or fill the manifest's column 'group'"
            )


def _with_settings(node: Expression, settings: Mapping[str, Settings]) -> Expression:
    if isinstance(node, View):
        return node
    own = dict(node.options)
    if node.word in CLASSIFIERS:
        own = {**settings.get(node.word, {}), **own}
    return replace(
        node,
        arguments=tuple(_with_settings(a, settings) for a in node.arguments),
        options=tuple(sorted(own.items())),
    )


def _width_of(node: Expression, widths: Mapping[str, int], n_classes: int) -> int:
    """Return how wide an expression is, and refuse sums and products of unequal widths."""
    if isinstance(node, View):
        return widths[node.name]
    inner = {str(a): _width_of(a, widths, n_classes) for a in node.arguments}
    if kind(node) == SCORES:
        return n_classes
    projected = str(node.option(PROJECT) or "")
    if not projected:
        check_widths(
            node.word, inner, advice=f"{node.word}(..., {PROJECT}=pca:{min(inner.values())})"
        )
    width = (read_projection(projected)[1] if projected else 0) or min(inner.values())
    if STRATEGIES[node.word].equal_widths:
        return width
    return width * len(inner) if projected else sum(inner.values())
