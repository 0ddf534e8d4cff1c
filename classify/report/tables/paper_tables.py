"""The paper's tables on the page: 1 to 3 (choice of encoders), 4 to 6 (accuracies), 7 (classes).

Layers and systems of one's own have the shape of Tables 4 to 6.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from classify.evaluation.means import choosing_rows_in_words
from classify.evaluation.metrics import COMPLETENESS
from classify.figures.results_folder import FinishedRun
from classify.models.classifiers import CLASSIFIERS
from classify.names import EARLY, LATE, LAYER, SYSTEM, UNIMODAL
from classify.report.tables.cells import count_cell, number_cell, recorded_cell
from classify.report.tables.table import NO_VALUE, Table, TableCell, key_of
from classify.results.paper_tables import PAPER_TABLES, PER_CLASS, VALID, is_incomplete

# Tables 1 to 3: the title to the column of the CSV and its digits.
SELECTION_COLUMNS: Mapping[str, tuple[str, int]] = {
    "loss": ("test_loss", 2),
    "WA, %": ("test_WA", 1),
    "runtime, s": ("runtime_s", 2),
    "valid loss": ("valid_loss", 2),
    "valid WA, %": ("valid_WA", 1),
    "epochs": ("epochs", 0),
}
TITLES: Mapping[str, str] = {
    "table4_unimodal.csv": "Table 4: one modality",
    "table5_early.csv": "Table 5: early fusion, of vectors",
    "table6_late.csv": "Table 6: late fusion, of class scores",
    "table_layers.csv": "Layers, one at a time",
    "table_systems.csv": "Systems",
    "table1_text.csv": "Table 1: choice of the text encoder",
    "table2_audio.csv": "Table 2: choice of the speech encoder",
    "table3_video.csv": "Table 3: choice of the video encoder",
}
NOTES: Mapping[str, str] = {
    UNIMODAL: "Each modality alone: a classifier on its vectors, or its own class scores where a "
    "column “head or probe” shows them.",
    EARLY: "The modalities' vectors are put together, and one classifier answers.",
    LATE: "Each modality scores the classes by itself, and a classifier or a rule fuses these "
    "scores.",
    SYSTEM: "Systems that were written down as expressions; the column “expression” of grid.csv "
    "has each of them.",
    LAYER: "The same encoder, another layer at a time.",
}
ROW_TITLES: Mapping[str, str] = {
    UNIMODAL: "modality",
    EARLY: "fused by",
    LATE: "fused by",
    LAYER: "layer",
    SYSTEM: "system",
}
COMPLETENESS_HINTS: Mapping[str, str] = {
    "coverage": "scored utterances of all test utterances of the plan",
    "WA all": "of all test utterances of the plan: one that is not scored counts as wrong",
}
# What answers in the column "own", without a classifier of the grid.
OWN_SCORES: Mapping[str, str] = {UNIMODAL: "head or probe", LATE: "rule"}


def paper_tables(run: FinishedRun) -> list[Table]:
    """Return the tables that the run left: those of the encoder choice first, then 4 to 7."""
    found = []
    for name in sorted(set(TITLES) - set(PAPER_TABLES.values())):
        table = run.table(name)
        if table is not None and len(table):
            found.append(_encoder_choice(name, table))
    for family, name in PAPER_TABLES.items():
        table = run.table(name)
        if table is not None and {"row", "metric"} <= set(table):
            found.append(_accuracies(name, family, table, choosing_rows_in_words(run.rows)))
    table = run.table(PER_CLASS)
    if table is not None:
        found.append(_per_class(table))
    return found


def _encoder_choice(name: str, table: pd.DataFrame) -> Table:
    """The shape of the paper's Tables 1 to 3, and by what was chosen."""
    rows, chosen = [], set()
    for number, (_, line) in enumerate(table.iterrows()):
        figures = [number_cell(line[column], n) for column, n in SELECTION_COLUMNS.values()]
        remark = "" if pd.isna(line["remark"]) else str(line["remark"])
        rows.append([TableCell(str(line["encoder"])), *figures, TableCell(remark)])
        if remark:
            chosen.add(number)
    first = table.iloc[0]
    answered = str(first["n_test"])
    if first.get("n_scored", first["n_test"]) != first["n_test"]:
        answered = f"{first['n_scored']} of {first['n_test']}"
    return Table(
        key_of(name),
        TITLES[name],
        ["encoder", *SELECTION_COLUMNS, "remark"],
        rows,
        f"One split, plan “{first['protocol']}”, not the folds of the later tables: each encoder "
        f"is trained once, and its own classification head answers {answered} test rows. "
        "Loss and WA are of these, runtime is the time to read and encode them. The choice is made "
        "by WA on validation rows; of equal ones the first is taken.",
        frozenset(chosen),
        {"runtime, s": "reading and encoding the test rows"},
    )


def _accuracies(name: str, family: str, table: pd.DataFrame, choosing_rows: str) -> Table:
    """The shape of the paper's Tables 4 to 6.

    A column of accuracy per classifier, then the averages of the other metrics over classifiers.
    """
    of_accuracy = table[table["metric"] == "WA"]
    classifiers = [
        column for column in table if f"{column}_sd" in table and of_accuracy[column].notna().any()
    ]
    wanted = ["UAR", "macro_F1", *(COMPLETENESS if is_incomplete(table) else ()), VALID]
    averaged = [m for m in wanted if (table["metric"] == m).any()]
    rows = []
    for label, part in table.groupby("row", sort=False):
        by_metric = part.set_index("metric")
        cells = [recorded_cell(by_metric.loc["WA"], column) for column in classifiers]
        for metric in averaged:
            there = metric in by_metric.index
            cells.append(recorded_cell(by_metric.loc[metric], "average") if there else NO_VALUE)
        rows.append([TableCell(str(label)), *cells])
    own = OWN_SCORES.get(family, "no classifier")
    titles = [_classifier_title(column, own) for column in classifiers]
    titles += ["valid WA" if metric == VALID else metric.replace("_", " ") for metric in averaged]
    return Table(
        key_of(name),
        TITLES[name],
        [ROW_TITLES[family], *titles],
        rows,
        f"{NOTES[family]} Per cent, mean ± standard deviation over folds; WA where no other name "
        "stands. Like “average WA”, the columns UAR, macro F1 and valid WA are averages over the "
        "classifiers. The last lines answer without looking at the input: the commonest class of "
        "the training rows, or one drawn as often as it occurs there.",
        hints={
            "average WA": "over the classifiers: judges the fusion apart from the classifier",
            "UAR": "average over the classifiers",
            "macro F1": "average over the classifiers",
            "valid WA": f"on {choosing_rows}, average over the classifiers",
            **COMPLETENESS_HINTS,
            own: "the largest class score itself, of a head, a probe, a rule or a system",
        },
    )


def _classifier_title(column: str, own: str) -> str:
    if column in CLASSIFIERS:
        return CLASSIFIERS[column].title
    return {"own": own, "average": "average WA"}.get(column, column)


def _per_class(table: pd.DataFrame) -> Table:
    rows = []
    more = "planned" in table and bool((table["planned"] > table["support"]).any())
    for _, line in table.iterrows():
        figures = [recorded_cell(line, metric) for metric in ("precision", "recall", "F1")]
        figures.append(count_cell(line["support"]))
        if more:
            figures.append(count_cell(line["planned"]))
            figures += [number_cell(line[metric], 1) for metric in COMPLETENESS]
        rows.append([TableCell(str(line["class"])), *figures])
    titles = ["class", "precision", "recall", "F1", "utterances"]
    if more:
        titles += ["planned", *(metric.replace("_", " ") for metric in COMPLETENESS)]
    return Table(
        "table7",
        "Table 7: the reported system, per class",
        titles,
        rows,
        "Per cent, mean ± standard deviation over the folds that hold the class. “all” is "
        "weighted by the classes' sizes inside each fold.",
        frozenset({len(rows) - 1}),
        {
            "planned": "test utterances of the plan, scored or not",
            **COMPLETENESS_HINTS,
            "precision": "of the answers with this class, how many are right",
            "recall": "of the utterances of this class, how many are found",
            "F1": "the harmonic mean of the two",
        },
    )
