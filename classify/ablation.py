"""What is each group of metadata worth?

The same fused system without metadata and with it, each as a run of the grid of its own.

A group is a leak tag: its columns become one vector, and those of its columns that a text encoder
read join as modalities. Every run has a folder below ``metadata-ablation/``, its own stamp and its
own audit, so figures with leaky columns never stand among fair ones. The differences are paired by
speaker, with Holm's correction over all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from classify.evaluation.agreement import ANSWERS
from classify.evaluation.intervals import cluster_counts, overall
from classify.evaluation.metrics import COMPLETENESS
from classify.evaluation.paired_tests import P_FOR, Comparison, compare, holm
from classify.evaluation.predictions import CLUSTERS
from classify.evaluation.result_files import AGAIN, PREDICTIONS
from classify.experiment import run_grid
from classify.grid.config import GridConfig
from classify.grid.execution import Notify
from classify.metadata import METADATA, TAGS, columns_tagged
from classify.names import NO_METADATA
from classify.results.files import write_csv
from classify.systems.definitions import System
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import StoreError, UsageError
from embeddings_store.reading import reading
from embeddings_store.vectors.catalogue import catalogue, only_corpus

FILE = "metadata_ablation.csv"
FOLDER = "metadata-ablation"
METRIC = "WA"


@dataclass(frozen=True, slots=True)
class MetadataGroup:
    """What one run adds.

    Attributes:
        tags: Leak tags of its columns.
        vector: Columns that become the modality ``metadata``.
        texts: Columns that a text encoder read.
    """

    tags: tuple[str, ...]
    vector: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For example ``safe+context``."""
        return "+".join(self.tags) or NO_METADATA


def ablate(config: GridConfig, notify: Notify = lambda message: None) -> tuple[pd.DataFrame, Path]:
    """Run the grid without metadata and with each group, and write ``metadata_ablation.csv``.

    Args:
        config: What to run; its modalities are those that metadata is added to, its classifiers
            those that judge.
        notify: Gets one line at a time about what happens.

    Returns:
        The table, one row per group and classifier, shares and not per cent, and where it is.
        ``difference`` is to the run without metadata, over the rows that both answered; ``p`` is
        paired by speaker for the ``models`` that it names, ``p_holm`` corrected over the table, and
        ``detectable`` the smallest difference that the corpus could have shown.

    Raises:
        UsageError: The corpus has no metadata that could be added.
    """
    corpus = config.corpus or only_corpus(config.store)
    manifest = Manifest.load(config.store / corpus)
    stored = {e.ref.modality for e in catalogue(config.store, corpus)}
    base = config.modalities or tuple(sorted(m for m in stored if not m.startswith("meta_")))
    lines: list[dict[str, object]] = []
    without: Mapping[str, pd.DataFrame] = {}
    for group in groups_of(manifest, stored):
        added = ", ".join((*group.vector, *group.texts))
        notify(f"metadata {group.name}: {added or 'without any'}")
        systems = _systems(config, group, base)
        result = run_grid(_config_of(config, group, base, tuple(systems.values())), notify)
        answers = {
            system.name: _answers(result.prepared.config.out, system.name, base)
            for system in systems.values()
        }
        without = without or answers
        for classifier, system in systems.items():
            rows = result.table.rows[result.table.rows["method"] == system.name]
            line: dict[str, object] = {
                "claim": result.prepared.claim.text,
                "corpus": corpus,
                "protocol": result.prepared.plan.name,
                "group": group.name,
                "columns": "+".join((*group.vector, *group.texts)),
                "classifier": classifier,
            }
            for metric in ("WA", "UAR"):
                line[metric] = rows[metric].mean()
                line[f"{metric}_sd"] = rows[metric].std(ddof=1)
            for figure in COMPLETENESS:
                line[figure] = rows[figure].mean()
            difference = _difference(answers[system.name], without[system.name], group)
            lines.append(line | difference | {"n_test": int(rows["n_test"].sum())})
    table = pd.DataFrame(lines)
    table["p_holm"] = holm(table["p"].astype(float).tolist())
    write_csv(config.out / FILE, table, claim=None)
    return table, config.out / FILE


def _views(group: MetadataGroup, base: Sequence[str]) -> tuple[str, ...]:
    return (*base, *group.texts, *((METADATA,) if group.vector else ()))


def _systems(config: GridConfig, group: MetadataGroup, base: Sequence[str]) -> dict[str, System]:
    """Return for each classifier the system that concatenates all modalities of one run."""
    views = ", ".join(_views(group, base))
    return {
        name: System(f"fused-{name}", f"{name}(concat({views}))", "--metadata-ablation")
        for name in config.classifiers
    }


def _config_of(
    config: GridConfig, group: MetadataGroup, base: Sequence[str], systems: tuple[System, ...]
) -> GridConfig:
    """Return the configuration of one run: its systems alone, in a folder of its own."""
    return replace(
        config,
        out=config.out / FOLDER / group.name,
        modalities=_views(group, base),
        metadata=group.vector,
        early=(),
        late=(),
        systems=systems,
        subsets=False,
        drop_rates=(),
    )


def groups_of(manifest: Manifest, stored: Iterable[str]) -> list[MetadataGroup]:
    """Return what is to be compared.

    Nothing, each leak tag, all that is fair together, and everything.

    Raises:
        UsageError: No column can be added.
    """

    def group(*tags: str) -> MetadataGroup:
        vector, texts = columns_tagged(manifest, *tags)
        return MetadataGroup(tags, vector, tuple(c for c in texts if c in set(stored)))

    single = [g for g in map(group, TAGS) if g.vector or g.texts]
    if not single:
        raise UsageError(
            f"corpus {manifest.name!r} has no metadata to add: it has no column meta_* of numbers "
            "or a few kinds of words, and the store no vectors of one that is text "
            "(extract-features --modality text --text-column)"
        )
    tags = [g.tags[0] for g in single]
    fair = tuple(t for t in tags if t in {"safe", "context"})
    together = [combined for combined in dict.fromkeys((fair, tuple(tags))) if len(combined) > 1]
    return [MetadataGroup(()), *single, *(group(*combined) for combined in together)]


def _answers(results: Path, system: str, base: Sequence[str]) -> pd.DataFrame:
    """Return the test rows of one system by id, fold, seed and encoder seed.

    Of encoder seeds only those count that every run has, so not those of texts that one run adds.
    """
    path, wanted = results / PREDICTIONS, [("role", "==", "test"), ("method", "==", system)]
    with reading(path, ANSWERS, AGAIN, StoreError):
        table = pd.read_parquet(path, filters=wanted)
    table = table.astype(dict.fromkeys(("y_true", "y_pred", "encoder_seed", *CLUSTERS), str))
    shared = {}
    for text in table["encoder_seed"].unique():
        pairs = [pair for pair in text.split(",") if pair.partition("=")[0] in base]
        shared[text] = ",".join(pairs)
    return table.assign(encoder_seed=table["encoder_seed"].map(shared)).set_index(
        ["id", "fold", "seed", "encoder_seed"]
    )


def _difference(
    answers: pd.DataFrame, without: pd.DataFrame, group: MetadataGroup
) -> dict[str, object]:
    """Return the paired difference to the run without metadata; the run itself has none."""
    nan, by = float("nan"), _cluster(answers)
    both = answers.join(without["y_pred"].rename("y_pred_without"), how="inner")
    about: dict[str, object] = {"metric": METRIC, "n_rows": len(both), "cluster_by": by}
    if not group.tags or not by:
        return about | {
            "difference": nan,
            "low": nan,
            "high": nan,
            "detectable": nan,
            "models": P_FOR,
            "p": nan,
            "clusters": both[by].nunique() if by else 0,
        }
    found = _compare(both, by)
    effect, why = found.difference, found.difference.why_none
    return about | {
        "difference": effect.value,
        "low": nan if why else effect.low,
        "high": nan if why else effect.high,
        "detectable": nan if why else found.detectable,
        "models": P_FOR,
        "p": nan if why else found.p,
        "clusters": effect.clusters,
    }


def _compare(both: pd.DataFrame, by: str) -> Comparison:
    classes = pd.Index(sorted({*both["y_true"], *both["y_pred"], *both["y_pred_without"]}))
    clusters, names = pd.factorize(both[by])
    true = classes.get_indexer(pd.Index(both["y_true"]))
    first, second = (
        cluster_counts(
            true, classes.get_indexer(pd.Index(both[column])), clusters, len(names), len(classes)
        )
        for column in ("y_pred", "y_pred_without")
    )
    return compare(first, second, overall(METRIC))


def _cluster(answers: pd.DataFrame) -> str:
    """Return what tells independent rows apart.

    The first of speaker, group and session that every row has.
    """
    return next((c for c in CLUSTERS if bool((answers[c] != "").all())), "")
