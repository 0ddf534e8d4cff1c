"""Figures 8 to 11: where the utterances lie, by each modality's vectors and by all side by side.

All rows of a map come from one fold's encoder: the spaces of different folds have nothing to do
with each other. Vectors are standardised, and the axes fitted, on the fold's training rows; what is
shown are its test rows unless asked otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from classify.figures.palette import class_styles
from classify.figures.results_folder import ORDER, FinishedRun
from classify.figures.style import INK, MUTED, ON_LIGHT, Drawing, bare, new_figure
from embeddings_store.errors import UsageError

FIRST, ALL = 8, 11
MAX_POINTS = 3_000  # more hide each other, and make the files large
METHODS = ("pca", "tsne")
DISPLAYED = {"pca": "PCA", "tsne": "t-SNE"}
ROLES = ("test", "valid", "train")
TSNE_COMPONENTS = 50  # before t-SNE, which is slow and noisy in many dimensions

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MapConfig:
    """Which rows of which fold a map shows.

    Attributes:
        fold: The fold's number; 0 takes the first.
        role: ``test``, ``valid`` or ``train``.
        method: ``pca`` or ``tsne``.
    """

    fold: int = 0
    role: str = "test"
    method: str = "pca"


@dataclass(frozen=True, slots=True)
class MapPoints:
    """The utterances of a map.

    Attributes:
        where: Positions (n, 2).
        truth: The true classes, n of them.
        ids: The utterances, n of them.
        axis_names: Of both axes; empty where an axis means nothing.
        how: How the positions were made, for the caption.
        available: How many rows there were before some were left out for want of room.
    """

    where: Matrix
    truth: Sequence[str]
    ids: Sequence[str]
    axis_names: tuple[str, str]
    how: str
    available: int


def embedding_map(run: FinishedRun, modalities: Sequence[str], config: MapConfig) -> Drawing | str:
    """Draw the vectors of one modality, or of several side by side (concatenated).

    Args:
        run: The run.
        modalities: Which, at least one.
        config: Which rows of which fold, and by which method.

    Returns:
        The drawing; a sentence instead where there is no store or nothing to show.

    Raises:
        UsageError: No such fold.
    """
    if run.store is None:
        return "no store was named (--store), so there are no vectors to draw"
    fold = config.fold or run.folds[0]
    if fold not in run.folds:
        raise UsageError(
            f"--fold {fold}: the results have the folds {', '.join(map(str, run.folds))}"
        )
    truth = run.answers(str(run.rows["cell"].iloc[0]), ("train", config.role), (fold,))
    train, shown = (truth[truth["role"] == role] for role in ("train", config.role))
    fitted, blocks = [], []
    absent = [m for m in modalities if run.entry(m, fold) is None]
    modalities = [m for m in modalities if m not in absent]
    if not modalities:
        return (
            f"the store holds no vectors of {' and '.join(absent)} for fold {fold} by the encoder "
            "that the results name"
        )
    for modality in modalities:
        file = run.vectors(modality, fold)
        place = {str(i): n for n, i in enumerate(file.ids.tolist())}
        rows = file.vectors[[place[i] for i in train["id"]]].astype(float)
        scaler = StandardScaler().fit(rows[np.isfinite(rows).all(axis=1)])
        fitted.append(scaler.transform(rows))
        blocks.append(scaler.transform(file.vectors[[place[i] for i in shown["id"]]].astype(float)))
    basis, points = np.hstack(fitted), np.hstack(blocks)
    whole = np.isfinite(points).all(axis=1)
    shown, points, basis = shown[whole], points[whole], basis[np.isfinite(basis).all(axis=1)]
    if not len(points) or not len(basis):
        return f"fold {fold} has no {config.role} row with {' and '.join(modalities)} vectors"
    few = np.linspace(0, len(points) - 1, min(len(points), MAX_POINTS)).round().astype(int)
    shown, points = shown.iloc[few], points[few]
    with threadpool_limits(limits=1):
        where, axis_names, how = _project(basis, points, config.method)
    points_shown = MapPoints(
        where, shown["y_true"].tolist(), shown["id"].tolist(), axis_names, how, int(whole.sum())
    )
    return _draw(run, modalities, replace(config, fold=fold), points_shown)


def _project(basis: Matrix, points: Matrix, method: str) -> tuple[Matrix, tuple[str, str], str]:
    """Return positions (n, 2), the axes' names and how they were made."""
    components = min(TSNE_COMPONENTS if method == "tsne" else 2, *basis.shape)
    pca = PCA(components, svd_solver="full").fit(basis)
    placed = pca.transform(points)
    # The sign of a component is arbitrary; the largest loading points up, so that every machine
    # draws the same picture.
    placed *= np.sign(
        pca.components_[np.arange(components), np.abs(pca.components_).argmax(axis=1)]
    )
    if method == "tsne" and len(points) > 3:
        perplexity = min(30.0, (len(points) - 1) / 3)
        near = TSNE(
            2, perplexity=perplexity, init="pca" if components > 1 else "random", random_state=0
        ).fit_transform(placed)
        return (
            near.astype(float),
            ("", ""),
            (
                f"t-SNE (perplexity {perplexity:.0f}, seed 0) of the shown rows' first "
                f"{components} principal components; distances between groups mean little"
            ),
        )
    if components == 1:
        placed = np.hstack([placed, np.zeros_like(placed)])
    shares = [*(100 * pca.explained_variance_ratio_).tolist(), 0.0]
    names = (f"component 1 ({shares[0]:.0f} % of variance)", f"component 2 ({shares[1]:.0f} %)")
    return (
        placed[:, :2],
        names,
        "standardised, with the axes of largest variance of the fold's training rows",
    )


def _draw(
    run: FinishedRun,
    modalities: Sequence[str],
    config: MapConfig,
    shown: MapPoints,
) -> Drawing:
    fold, truth, where = config.fold, shown.truth, shown.where
    figure = new_figure(5.6, 3.9)
    axes = figure.subplots()
    tips: dict[str, str | Sequence[str]] = {}
    found, labels = class_styles(run.classes), np.array(truth)
    for code, name in enumerate(run.classes):
        mine = np.flatnonzero(labels == name)
        if not len(mine):
            continue
        look = found[name]
        points = axes.scatter(
            where[mine, 0],
            where[mine, 1],
            s=26,
            c=look.colour,
            marker=look.marker,
            edgecolors=ON_LIGHT,
            linewidths=0.5,
            alpha=0.85,
            label=f"{bare(name, 24)} ({len(mine)})",
        )
        points.set_gid(f"class-{code}")
        tips[f"class-{code}"] = [f"{shown.ids[i]}: {name}" for i in mine.tolist()]
    axes.set(xlabel=shown.axis_names[0], ylabel=shown.axis_names[1])
    if not shown.axis_names[0]:
        axes.set(xticks=[], yticks=[])
    columns = 1 + (len(tips) - 1) // 16
    axes.legend(
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        ncols=columns,
        title=f"{config.role} rows",
        title_fontsize=8.5,
        alignment="left",
        labelcolor=INK,
        handletextpad=0.3,
        edgecolor=MUTED,
    )
    single = len(modalities) == 1
    stem = f"{config.method}_{modalities[0] if single else 'all'}"
    number = 0  # modalities that the paper does not have carry none of its numbers
    if not single:
        number = ALL
    elif modalities[0] in ORDER:
        number = FIRST + ORDER.index(modalities[0])
    held_out = run.rows.loc[run.rows["fold"] == fold, "fold_name"].iloc[0]
    what = f"{modalities[0]} vectors" if single else f"{', '.join(modalities)} vectors side by side"
    part = f"its {shown.available}"
    if len(truth) < shown.available:
        part = f"{len(truth)} of {part}"
    return Drawing(
        f"figure{number:02d}_{stem}" if number else stem,
        f"{DISPLAYED[config.method]} of {what}",
        f"Fold {fold} (holds out {held_out}): {part} {config.role} rows by the {what} of this "
        f"fold's encoder{'' if single else 's'}, {shown.how}. Other folds' encoders span other "
        "spaces and are not mixed in.",
        figure,
        tips,
    )
