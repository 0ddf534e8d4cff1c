"""What is computed for many cells at once is what plain pandas says of one after the other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from classify.evaluation.intervals import all_of_class, all_overall, estimate, estimates, overall
from classify.evaluation.intervals import of_class as figure_of_class
from classify.evaluation.metrics import COMPLETENESS, METRICS
from classify.results.cell_rows import SEEDS, CellRows, spreads
from classify.results.paper_tables import paper_table, per_cent
from classify.results.shapley import contributions

FIGURES = [*METRICS, *COMPLETENESS]
NAMES = ("family", "method", "modalities", "classifier")


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Return a grid of 12 folds and two seeds in a shuffled order, some figures not measured."""
    generator = np.random.default_rng(3)
    found: list[dict[str, object]] = []
    baseline = ("baseline", "", "audio+text", "majority")
    cells = [baseline] + [
        (family, method, modalities, classifier)
        for family, method, modalities in (
            ("unimodal", "", "audio"),
            ("unimodal", "", "text"),
            ("early", "sum", "audio+text"),
            ("early", "product", "audio+text"),
        )
        for classifier in ("svm", "nn", "xgboost")
    ]
    cells += [("unimodal", "", m, "probe") for m in ("audio", "text")]
    cells += [("late", "mean", "audio+text", "rule")]
    for family, method, modalities, classifier in cells:
        for fold in range(12):
            for seed in (0, 1):
                words = (family, method, modalities, classifier)
                cell = " ".join(filter(None, words))
                if family == "baseline":
                    cell = f"baseline {classifier}"
                about = dict(
                    zip(("family", "method", "modalities", "classifier"), words, strict=True)
                )
                figures = {name: generator.integers(0, 65) / 64 for name in FIGURES}
                line = {"cell": cell, **about, "fold": fold, "seed": seed, **figures}
                line |= {"valid_WA": generator.random(), "valid_WA_all": generator.random()}
                found.append(line | {"n_scored": 64, "n_test": 64 + fold})
    table = pd.DataFrame(found)
    table.loc[generator.choice(len(table), 9, replace=False), "macro_F1"] = np.nan
    for name in ("claim", "corpus", "protocol", "plan", "split_digest", "valid_rule", "shared"):
        table[name] = "x"
    for name in ("label_set", "labels_shuffled", "fit_rows", "encoder_seed", "layer"):
        table[name] = "x"
    table["encoders"] = "e@" + table["modalities"]
    table["verified"], table["scores_from"] = "verified", ""
    return table.sample(frac=1, random_state=0).reset_index(drop=True)


def plain_means(of_line: pd.DataFrame, metric: str) -> tuple[float, float, float]:
    """Return mean, deviation over folds and deviation over seeds as the tables define them."""
    by_fold = of_line.groupby("fold")[[metric]].mean()[metric]
    by_seed = of_line.groupby(SEEDS)[[metric]].mean()[metric]
    return tuple(map(per_cent, (by_fold.mean(), by_fold.std(ddof=1), by_seed.std(ddof=1))))  # type: ignore[return-value]


@pytest.mark.parametrize("family", ["unimodal", "early"])
def test_the_tables_of_the_paper_are_pandas_means_to_the_last_digit(
    rows: pd.DataFrame, family: str
) -> None:
    table = paper_table(rows, family)
    label = "modalities" if family == "unimodal" else "method"
    labels = rows.loc[rows["family"] == family, label].drop_duplicates()
    assert table["row"].tolist()[: len(labels)] == labels.tolist()
    checked = 0
    for _, line in table.iterrows():
        if line["row"] == "majority":
            columns = {"average": rows[rows["family"] == "baseline"]}
        else:
            of_line = rows[(rows["family"] == family) & (rows[label] == line["row"])]
            names = ("svm", "nn", "xgboost")
            columns = {name: of_line[of_line["classifier"] == name] for name in names}
            columns["average"] = of_line[of_line["classifier"].isin(names)]
        for name, part in columns.items():
            found = tuple(line[[name, f"{name}_sd", f"{name}_seed_sd"]])
            assert found == plain_means(part, line["metric"]), (line["row"], line["metric"], name)
            checked += 1
    assert checked == (len(FIGURES) + 2) * (4 * 2 + 1)


def test_means_over_runs_are_pandas_means_to_the_last_bit(rows: pd.DataFrame) -> None:
    cells = CellRows.of(rows, ["cell"], FIGURES)
    columns = list(cells.by("cell", list(range(len(rows)))).values())
    for places, of_folds in zip(columns, spreads(columns, cells.fold, cells.figures), strict=True):
        by_fold = rows.iloc[places].groupby("fold")[FIGURES].mean()
        np.testing.assert_array_equal(of_folds.mean, [by_fold[m].mean() for m in FIGURES])
        np.testing.assert_array_equal(of_folds.deviation, [by_fold[m].std() for m in FIGURES])


def test_several_figures_at_once_have_the_intervals_that_each_has_alone() -> None:
    generator = np.random.default_rng(4)
    for clusters in (1, 2, 5, 24):
        counts = generator.integers(0, 9, (clusters, 4, 4))
        counts[0, 2] = 0  # a speaker without rows of a class
        counts[:, :, 3] *= generator.integers(0, 2)
        sizes = counts.sum((-1, -2))
        together = estimates(counts, all_overall(METRICS), sizes)
        assert repr(together) == repr([estimate(counts, overall(m)) for m in METRICS])
        for code in range(4):
            names = ("precision", "recall", "F1")
            sizes = counts[:, code].sum(-1)
            together = estimates(counts, all_of_class(names, code), sizes)
            alone = [estimate(counts, figure_of_class(m, code), sizes) for m in names]
            assert repr(together) == repr(alone)


def test_contributions_are_those_of_a_table_that_is_grouped(rows: pd.DataFrame) -> None:
    """With two modalities the Shapley value is the mean of joining first and joining last."""
    found = contributions(rows, {"audio": "audio", "text": "text"})
    right = rows["WA"] * rows["n_scored"] / rows["n_test"]
    table = rows.assign(right=right).pivot_table(
        index=["fold", "seed"], columns="cell", values="right"
    )
    assert len(found) == 2 * (2 * 3 + 1)
    for _, line in found.iterrows():
        single = "probe" if line["family"] == "late" else line["classifier"]
        worth = {m: table[f"unimodal {m} {single}"] for m in ("audio", "text")}
        whole = table[f"{line['family']} {line['method']} audio+text {line['classifier']}"]
        floor = table["baseline majority"]
        me, other = worth.pop(line["modality"]), next(iter(worth.values()))
        expected = ((me - floor) + (whole - other)) / 2
        assert line["shapley"] == pytest.approx(100 * expected.mean(), abs=0.0051)
        assert line["total"] == pytest.approx(100 * (whole - floor).mean(), abs=0.0051)
