"""Every figure of a run by one call.

Which there are, in the paper's order, and what could not be drawn and why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from classify.claim import Claim
from classify.figures import compare, maps, outcome, training
from classify.figures.maps import MapConfig
from classify.figures.results_folder import FinishedRun
from classify.figures.style import Drawing, save, stamped, style
from embeddings_store.atomic import remove_leftovers
from embeddings_store.errors import UsageError, unknown_name

AGAINST = "against"
OURS = re.compile(
    r"(figure\d\d_.+|(loss|accuracy|pca|tsne)_.+|systems|per_class|reliability|contributions|against)\.(png|svg)"
)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A figure that this run cannot have.

    Attributes:
        what: Which.
        reason: Why, in a sentence.
    """

    what: str
    reason: str


def draw(
    run: FinishedRun,
    config: MapConfig | None = None,
    tsne: bool = False,
    other: FinishedRun | None = None,
) -> list[Drawing | LeftOut]:
    """Draw everything that the run has data for, in the paper's order and then the others.

    Args:
        run: The finished run.
        config: Which rows the maps show; none takes the test rows of the first fold.
        tsne: Also draw the maps by t-SNE.
        other: Another run over the same rows and folds, to stand beside this one.

    Raises:
        UsageError: The other run is of other rows; no such fold.
        StoreError: A file of the store does not belong to the run.
    """
    drawings: list[Drawing | LeftOut] = []
    with style():
        for what, make in _makers(run, config or MapConfig(), tsne, other).items():
            found = make()
            if isinstance(found, str):
                drawings.append(LeftOut(what, found))
            else:
                drawings.append(stamped(found, _claim(run, what, other)))
    return drawings


def figure_names(results: str | Path) -> tuple[str, ...]:
    """Return the figures that :func:`draw_figure` knows of a results folder, in the paper's order.

    Raises:
        StoreError: The folder holds no results.
    """
    return tuple(_makers(FinishedRun.read(Path(results)), MapConfig(), tsne=True, other=None))


def draw_figure(results: str | Path, what: str, store: str | Path | None = None) -> Figure:
    """Draw one figure of a finished run, for a notebook.

    Args:
        results: The folder that ``run-fusion-grid --out`` or :func:`classify.run_grid` wrote.
        what: A name of :func:`figure_names`, for example ``confusion``.
        store: The store that the results were made from; maps and training curves need it.

    Returns:
        A Matplotlib figure, not attached to any window.

    Raises:
        UnknownNameError: There is no such figure.
        UsageError: This run cannot have it; the message says why.
        StoreError: The folder holds no results, or a file of the store does not belong to them.
    """
    run = FinishedRun.read(Path(results), None if store is None else Path(store))
    makers = _makers(run, MapConfig(), tsne=True, other=None)
    if what not in makers:
        unknown_name("figure", what, list(makers))
    with style():
        found = makers[what]()
        if isinstance(found, str):
            raise UsageError(f"{results}: no figure {what!r}: {found}")
        return stamped(found, run.claim).figure


def _claim(run: FinishedRun, what: str, other: FinishedRun | None) -> Claim:
    """Return what a figure may be called: of two runs, what both may."""
    if what == AGAINST and other is not None:
        return Claim.all_of([run.claim, other.claim])
    return run.claim


def write(drawings: Sequence[Drawing | LeftOut], folder: Path) -> list[Path]:
    """Write every drawing as PNG and SVG.

    Those of our figures that an earlier run left and this one does not have are removed.
    """
    written: list[Path] = []
    for drawing in drawings:
        if isinstance(drawing, Drawing):
            written += save(drawing, folder)
    if folder.is_dir():
        remove_leftovers(folder)
        for path in folder.iterdir():
            if OURS.fullmatch(path.name) and path not in written:
                path.unlink()
    return written


def _makers(
    run: FinishedRun, config: MapConfig, tsne: bool, other: FinishedRun | None
) -> dict[str, Callable[[], Drawing | str]]:
    """Return what draws each figure, by name; it returns a sentence where the run lacks data."""
    makers: dict[str, Callable[[], Drawing | str]] = {
        "label counts": partial(outcome.label_counts, run)
    }
    for what, curve in (("loss by step", training.loss), ("accuracy by step", training.accuracy)):
        for modality in run.modalities:
            makers[f"{what}, {modality}"] = partial(curve, run, modality)
    for modality in run.modalities:
        makers[f"map, {modality}"] = partial(maps.embedding_map, run, [modality], config)
    several = len(run.modalities) > 1
    if several:
        makers["map of all modalities"] = partial(maps.embedding_map, run, run.modalities, config)
    makers["confusion"] = partial(outcome.confusion, run)
    if tsne:
        near = replace(config, method="tsne")
        shown = [[modality] for modality in run.modalities]
        if several:
            shown.append(run.modalities)
        for modalities in shown:
            name = f"t-SNE, {'+'.join(modalities)}"
            makers[name] = partial(maps.embedding_map, run, modalities, near)
    makers["systems"] = partial(compare.systems, run)
    makers["per class"] = partial(outcome.per_class, run)
    makers["reliability"] = partial(compare.reliability, run)
    makers["contributions"] = partial(compare.contributions, run)
    if other is not None:
        makers[AGAINST] = partial(compare.against, run, other)
    return makers
