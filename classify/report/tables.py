"""Tables of the page.

What a CSV of the results holds, as cells that can be read, sorted and explained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from classify.figures.results_folder import Run
from classify.leakage.checks import CHECKS, Audit
from classify.leakage.finding import LEAK, VERDICTS
from classify.models.classifiers import CLASSIFIERS
from classify.names import EARLY, LATE, LAYER, SYSTEM, UNIMODAL
from classify.results.paper_tables import CONFUSION, PAPER_TABLES, PER_CLASS, VALID

MAX_LINES = 1_000
SELECTION_COLUMNS: Mapping[str, tuple[str, int]] = {
    "loss": ("test_loss", 2),
    "WA, %": ("test_WA", 1),
    "runtime, s": ("runtime_s", 2),
    "valid loss": ("valid_loss", 2),
    "valid WA, %": ("valid_WA", 1),
    "epochs": ("epochs", 0),
}
TITLES = {
    "table4_unimodal.csv": "Table 4: one modality",
    "table5_early.csv": "Table 5: early fusion, of vectors",
    "table6_late.csv": "Table 6: late fusion, of class scores",
    "table_layers.csv": "Layers, one at a time",
    "table_systems.csv": "Systems",
    "table1_text.csv": "Table 1: choice of the text encoder",
    "table2_audio.csv": "Table 2: choice of the speech encoder",
    "table3_video.csv": "Table 3: choice of the video encoder",
}
NOTES = {
    UNIMODAL: "Each modality alone: a classifier on its vectors, and its own class scores (head "
    "or probe).",
    EARLY: "The modalities' vectors are put together, and one classifier answers.",
    LATE: "Each modality scores the classes by itself, and a classifier or a rule fuses these "
    "scores.",
    SYSTEM: "Systems that were written down as expressions; the column “expression” of grid.csv "
    "has each of them.",
    LAYER: "The same encoder, another layer at a time.",
}
OTHER = {
    "subsets.csv": (
        "Parts of the test rows (subsets.csv)",
        "As in the file: WA and UAR are shares from 0 to 1, mean and "
        "standard deviation (sd) over folds; n is the number of test rows.",
    )
}
RUN_COLUMNS = frozenset(
    {
        "corpus",
        "protocol",
        "label_set",
        "command",
        "commit",
        "machine",
        "date",
        "versions",
        "labels_shuffled",
        "valid_rule",
        "claim",
        "split_digest",
        "fit_rows",
    }
)
OWN = {*TITLES, PER_CLASS, CONFUSION, "grid.csv", "statistics.csv", "comparisons.csv"}
ROW_TITLES = {
    UNIMODAL: "modality",
    EARLY: "fused by",
    LATE: "fused by",
    LAYER: "layer",
    SYSTEM: "system",
}
WORDS = {"average": "average WA"}
OWN_SCORES = {UNIMODAL: "head or probe", LATE: "rule"}


@dataclass(frozen=True, slots=True)
class Cell:
    """What one place of a table shows, and the number that it is sorted by, if it is one."""

    text: str
    value: float | None = None
    spread: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the page.

    Attributes:
        key: A name for links, of letters, digits and dashes.
        title: What stands above it.
        columns: Titles of the columns.
        rows: Cells, as many as columns each.
        note: What to know when reading it.
        strong: Numbers of the rows that stand out.
        hints: Title of a column to what it means.
    """

    key: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    strong: frozenset[int] = frozenset()
    hints: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that every row is as wide as the head."""
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.key!r} has a row of {len(row)} cells under {len(self.columns)} "
                    "titles"
                )

    def is_number(self, column: int) -> bool:
        """Say whether a column holds numbers, which stand to the right."""
        return any(row[column].value is not None for row in self.rows)


def paper_tables(run: Run) -> list[Table]:
    """Return the tables that the run left, those of the encoder choice first, then Tables 4 to 7."""
    found = [
        _selection(name, table)
        for name in sorted(TITLES)
        if name not in PAPER_TABLES.values()
        and (table := run.table(name)) is not None
        and len(table)
    ]
    for family, name in PAPER_TABLES.items():
        table = run.table(name)
        if table is not None and {"row", "metric"} <= set(table):
            found.append(_accuracies(name, family, table))
    table = run.table(PER_CLASS)
    if table is not None:
        found.append(_per_class(table))
    return found


def all_systems(run: Run) -> Table:
    """Return every cell of the grid with its figures, per cent, mean and deviation over folds."""
    metrics = [
        m for m in ("WA", "UAR", "macro_F1", "weighted_F1", "valid_WA", "train_WA") if m in run.rows
    ]
    rows, strong = [], set()
    for number, (name, part) in enumerate(run.rows.groupby("cell", sort=False)):
        flags = str(part["flags"].iloc[0]).replace("_", " ")
        figures = [_of(run.by_fold(str(name), metric)) for metric in metrics]
        rows.append([Cell(str(name)), Cell(str(part["family"].iloc[0])), *figures, Cell(flags)])
        if name == run.headline:
            strong.add(number)
    hints = {
        "valid WA": "on validation rows, by which the result was chosen",
        "train WA": "on the rows that were learnt from: no measure of quality",
    }
    titles = ["system", "family", *(m.replace("_", " ") for m in metrics), "remark"]
    return Table(
        "systems",
        "Every system",
        titles,
        rows[:MAX_LINES],
        "Per cent, mean ± standard deviation over folds, test rows "
        "unless the title says otherwise (valid, train).",
        frozenset(strong),
        hints,
    )


def confusion_table(run: Run) -> Table | None:
    """Return counts of true class by answer."""
    table = run.table(CONFUSION)
    if table is None:
        return None
    counts = table.filter(regex="^predicted:")
    answers = [str(c).removeprefix("predicted:") for c in counts]
    rows = [
        [Cell(str(truth)), *(Cell(f"{int(v)}", float(v)) for v in line)]
        for truth, line in zip(table["truth"], counts.to_numpy(), strict=True)
    ]
    return Table(
        "confusion",
        "Which class is taken for which",
        ["true class", *answers],
        rows,
        "Counts of test utterances, all folds together; the columns are the system's answers.",
    )


def statistics_tables(run: Run) -> list[Table]:
    """Return intervals and comparisons where the run has them."""
    found = []
    statistics = run.table("statistics.csv")
    if statistics is not None and {"cell", "metric", "pooled", "low", "high"} <= set(statistics):
        whole = statistics[statistics["class"].isna()] if "class" in statistics else statistics
        lines = []
        for name, part in whole.groupby("cell", sort=False):
            by_metric = part.set_index("metric")
            lines.append(
                [
                    Cell(str(name)),
                    *(
                        _interval(by_metric.loc[m]) if m in by_metric.index else Cell("-")
                        for m in ("WA", "UAR", "macro_F1")
                    ),
                ]
            )
        strong = frozenset(n for n, line in enumerate(lines) if line[0].text == run.headline)
        found.append(
            Table(
                "intervals",
                "How sure the figures are",
                ["system", "WA", "UAR", "macro F1"],
                lines[:MAX_LINES],
                f"All test rows pooled, per cent, with {_level(whole)} confidence "
                f"intervals{_clusters(whole)}. Pooled "
                "figures can differ from means over folds, most of all UAR and F1 of the "
                "baselines.",
                strong,
            )
        )
    comparisons = run.table("comparisons.csv")
    if (
        comparisons is not None
        and len(comparisons)
        and {"first", "second", "difference", "low", "high"} <= set(comparisons)
    ):
        found.append(_comparisons(comparisons))
    return found


def audit_table(audit: Audit) -> Table:
    """Return what each check of the leakage audit found; leaks first."""
    order = sorted(audit.findings.items(), key=lambda item: VERDICTS.index(item[1].verdict))
    rows = [
        [
            Cell(CHECKS[name].question),
            Cell(f"{f.verdict}, accepted" if name in audit.accepted else f.verdict),
            Cell(f.number),
            Cell(" ".join(filter(None, (f.means, f.advice)))),
        ]
        for name, f in order
    ]
    strong = frozenset(n for n, (_, f) in enumerate(order) if f.verdict == LEAK)
    return Table(
        "audit",
        "What could have leaked",
        ["question", "verdict", "found", "what it means"],
        rows,
        strong=strong,
    )


def other_tables(run: Run) -> list[Table]:
    """Return every further CSV of the results folder that is small enough to read, as it is."""
    found = []
    for path in sorted(run.folder.glob("*.csv")):
        if path.name not in OWN:
            table = run.table(path.name)
            if table is not None and 0 < len(table) <= MAX_LINES:
                title, note = OTHER.get(path.name, (path.name, ""))
                found.append(_generic(path.name, title, table, note=note))
    return found


def _comparisons(table: pd.DataFrame) -> Table:
    rows = []
    for _, line in table.iterrows():
        value = 100 * float(line["difference"])
        ends = (
            ""
            if pd.isna(line["low"])
            else f" ({100 * float(line['low']):+.1f} to {100 * float(line['high']):+.1f})"
        )
        p = line.get("p_holm", float("nan"))
        chance = Cell("-") if pd.isna(p) else Cell("< 0.001" if p < 0.001 else f"{p:.3f}", float(p))
        rows.append(
            [
                Cell(str(line["first"])),
                Cell(str(line["second"])),
                Cell(f"{value:+.1f}{ends}", value),
                chance,
                _plain(line.get("survives")),
            ]
        )
    return Table(
        "comparisons",
        "Which differences can be believed",
        ["system", "against", "difference in WA", "p, corrected", "believable"],
        rows,
        f"The system minus the one it is set against, in percentage points, with {_level(table)} "
        "confidence intervals; "
        "p after Holm's correction for making many comparisons. Only p is corrected, so an "
        "interval without 0 "
        "may stand beside a “no”; and “no” means not shown, not that the two are equal.",
        hints={"believable": "whether the difference survives that correction"},
    )


def _selection(name: str, table: pd.DataFrame) -> Table:
    """The shape of the paper's Tables 1 to 3, and by what was chosen."""
    rows = [
        [
            Cell(str(line["encoder"])),
            *(_number(line[c], digits) for c, digits in SELECTION_COLUMNS.values()),
            Cell("" if pd.isna(line["remark"]) else str(line["remark"])),
        ]
        for _, line in table.iterrows()
    ]
    first = table.iloc[0]
    return Table(
        _key(name),
        TITLES[name],
        ["encoder", *SELECTION_COLUMNS, "remark"],
        rows,
        f"One split, plan “{first['protocol']}”, not the folds of the later tables: each encoder "
        "is trained once, and "
        f"its own classification head answers {first['n_test']} test rows. Loss and WA are of "
        "these, runtime is the "
        "time to read and encode them. The choice is made by WA on validation rows; of equal ones "
        "the first is taken.",
        frozenset(n for n, line in enumerate(rows) if line[-1].text),
        {"runtime, s": "reading and encoding the test rows"},
    )


def _number(value: object, digits: int) -> Cell:
    number = float(str(value))
    return Cell("-") if np.isnan(number) else Cell(f"{number:.{digits}f}", number)


def _accuracies(name: str, family: str, table: pd.DataFrame) -> Table:
    """Accuracy per classifier and the averages of the other metrics.

    The shape of the paper's table.
    """
    classifiers = [
        c
        for c in table
        if f"{c}_sd" in table and (table.loc[table["metric"] == "WA", c].notna()).any()
    ]
    others = [m for m in ("UAR", "macro_F1", VALID) if (table["metric"] == m).any()]
    rows = []
    for label, part in table.groupby("row", sort=False):
        by_metric = part.set_index("metric")
        cells = [_with_sd(by_metric.loc["WA"], c) for c in classifiers]
        cells += [
            _with_sd(by_metric.loc[m], "average") if m in by_metric.index else Cell("-")
            for m in others
        ]
        rows.append([Cell(str(label)), *cells])
    own = OWN_SCORES.get(family, "no classifier")
    titles = [
        CLASSIFIERS[c].title if c in CLASSIFIERS else own if c == "own" else WORDS.get(c, c)
        for c in classifiers
    ]
    titles += [f"{'valid WA' if m == VALID else m.replace('_', ' ')}" for m in others]
    return Table(
        _key(name),
        TITLES[name],
        [ROW_TITLES[family], *titles],
        rows,
        f"{NOTES[family]} Per cent, mean ± standard deviation over folds; WA where no other name "
        "stands. Like “average "
        "WA”, the columns UAR, macro F1 and valid WA are averages over the classifiers. The last "
        "lines answer without "
        "looking at the input: the commonest class of the training rows, or one drawn as often as "
        "it occurs there.",
        hints={
            "average WA": "over the classifiers: judges the fusion apart from the classifier",
            "UAR": "average over the classifiers",
            "macro F1": "average over the classifiers",
            "valid WA": "on validation rows, average over the classifiers",
            own: "the largest class score itself, of a head, a probe, a rule or a system",
        },
    )


def _per_class(table: pd.DataFrame) -> Table:
    rows = [
        [
            Cell(str(line["class"])),
            *(_with_sd(line, m) for m in ("precision", "recall", "F1")),
            Cell(f"{int(line['support'])}", float(line["support"])),
        ]
        for _, line in table.iterrows()
    ]
    titles = ["class", "precision", "recall", "F1", "utterances"]
    return Table(
        "table7",
        "Table 7: the reported system, per class",
        titles,
        rows,
        "Per cent, mean ± standard deviation over the folds that hold the class. “all” is "
        "weighted by the classes' "
        "sizes inside each fold.",
        frozenset({len(rows) - 1}),
        {
            "precision": "of the answers with this class, how many are right",
            "recall": "of the utterances of this class, how many are found",
            "F1": "the harmonic mean of the two",
        },
    )


def _generic(name: str, title: str, table: pd.DataFrame, note: str = "") -> Table:
    constant = [c for c in table if c in RUN_COLUMNS and table[c].nunique(dropna=False) == 1]
    shown = table.drop(columns=constant)
    rows = [
        [_plain(value) for value in line] for line in shown.head(MAX_LINES).itertuples(index=False)
    ]
    return Table(_key(name), title, [str(c).replace("_", " ") for c in shown], rows, note)


def _plain(value: object) -> Cell:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return Cell("-")
    if isinstance(value, bool | np.bool_ | str):
        return Cell(str(value))
    if isinstance(value, int | float | np.integer | np.floating):
        number = float(value)
        return Cell(
            f"{number:,.0f}" if number.is_integer() and abs(number) < 1e9 else f"{number:.3g}",
            number,
        )
    return Cell(str(value))


def _of(values: pd.Series) -> Cell:
    if values.isna().all():
        return Cell("-")
    mean, deviation = (
        round(float(v), 2) for v in (values.mean(), values.std(ddof=1))
    )  # as the CSVs: one figure, one text
    return Cell(f"{mean:.1f}", mean, "" if np.isnan(deviation) else f"{deviation:.1f}")


def _with_sd(line: pd.Series, name: str) -> Cell:
    if pd.isna(line[name]):
        return Cell("-")
    deviation = line.get(f"{name}_sd", np.nan)
    return Cell(
        f"{float(line[name]):.1f}",
        float(line[name]),
        "" if pd.isna(deviation) else f"{float(deviation):.1f}",
    )


def _interval(line: pd.Series) -> Cell:
    value = 100 * float(line["pooled"])
    if pd.isna(line["low"]) or pd.isna(line["high"]):
        return Cell(f"{value:.1f}", value)
    return Cell(
        f"{value:.1f} ({100 * float(line['low']):.1f} to {100 * float(line['high']):.1f})", value
    )


def _level(table: pd.DataFrame) -> str:
    levels = table["level"].dropna().tolist() if "level" in table else []
    return f"{100 * float(levels[0] if levels else 0.95):.0f} %"


def _clusters(table: pd.DataFrame) -> str:
    """Say what the intervals take as drawn together, where the file tells."""
    if not {"cluster_by", "clusters"} <= set(table) or table[["cluster_by", "clusters"]].isna().any(
        axis=None
    ):
        return ""
    first = table.iloc[0]
    return f" that judge by how much {first['clusters']:.0f} {first['cluster_by']}s differ from each other"


def _key(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name.removesuffix(".csv"))
