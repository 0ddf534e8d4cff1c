"""Every figure of a run by one call.

Which there are, in the paper's order, and what could not be drawn and why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from classify.figures import compare, maps, outcome, training
from classify.figures.maps import MapConfig
from classify.figures.results_folder import Run
from classify.figures.style import Drawing, save, style
from embeddings_store.atomic import remove_leftovers

FOLDER = "figures"
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
    run: Run, config: MapConfig | None = None, tsne: bool = False, other: Run | None = None
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
    with style():
        return list(_draw(run, config or MapConfig(), tsne, other))


def write(drawings: Sequence[Drawing | LeftOut], folder: Path) -> list[Path]:
    """Write every drawing as PNG and SVG, and remove those of our figures that an earlier run left and this one does not have."""
    written = [
        path
        for drawing in drawings
        if isinstance(drawing, Drawing)
        for path in save(drawing, folder)
    ]
    if folder.is_dir():
        remove_leftovers(folder)
        for path in folder.iterdir():
            if OURS.fullmatch(path.name) and path not in written:
                path.unlink()
    return written


def _draw(
    run: Run, config: MapConfig, tsne: bool, other: Run | None
) -> Iterator[Drawing | LeftOut]:
    per_modality: list[tuple[str, Callable[[str], Drawing | str]]] = [
        ("loss by step", partial(training.loss, run)),
        ("accuracy by step", partial(training.accuracy, run)),
        ("map", lambda modality: maps.embedding_map(run, [modality], config)),
    ]
    wanted: list[tuple[str, Callable[[], Drawing | str]]] = [
        ("label counts", partial(outcome.label_counts, run))
    ]
    wanted += [
        (f"{what}, {m}", partial(make, m)) for what, make in per_modality for m in run.modalities
    ]
    if len(run.modalities) > 1:
        wanted.append(
            ("map of all modalities", partial(maps.embedding_map, run, run.modalities, config))
        )
    wanted.append(("confusion", partial(outcome.confusion, run)))
    if tsne:
        near = replace(config, method="tsne")
        sets = [[m] for m in run.modalities] + ([run.modalities] if len(run.modalities) > 1 else [])
        wanted += [
            (f"t-SNE, {'+'.join(s)}", partial(maps.embedding_map, run, s, near)) for s in sets
        ]
    wanted += [
        ("systems", partial(compare.systems, run)),
        ("per class", partial(outcome.per_class, run)),
        ("reliability", partial(compare.reliability, run)),
        ("contributions", partial(compare.contributions, run)),
    ]
    if other is not None:
        wanted.append(("against", partial(compare.against, run, other)))
    for what, make in wanted:
        found = make()
        yield LeftOut(what, found) if isinstance(found, str) else found
