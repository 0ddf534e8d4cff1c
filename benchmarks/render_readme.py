"""Render the tables of the README files from benchmarks/results: no figure is kept in two places.

    python -m benchmarks.render_readme          # rewrite both
    python -m benchmarks.render_readme --check  # exit 1 if one would change

Each table stands between ``<!-- table NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from benchmarks.record import RESULTS

README = Path(__file__).parent.parent / "README.md"
PAGES = (README, Path(__file__).with_name("README.md"), README.with_name("classify") / "AUDIT.md")
CLASSES = {"ravdess": 8, "meld": 7, "mosi": 2}
USED = {
    "WA": "WA",
    "UAR": "UAR",
    "macro_F1": "macro F1",
    "recall of the rarest class": "recall of the rarest class",
}
BLOCK = re.compile(r"(<!-- table (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Rewrite or check."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--check", action="store_true")
    given = options.parse_args()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        new = rendered(text)
        if given.check and new != text:
            raise SystemExit(1)
        page.write_text(new, encoding="utf-8")


def rendered(text: str) -> str:
    """Return a page with every table as the CSV files have it now."""
    return BLOCK.sub(lambda block: f"{block[1]}{TABLES[block[2]]()}\n{block[4]}", text)


def markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown, numbers to the right."""
    marks = []
    for name in table:
        numbers = [isinstance(value, float | int) for value in table[name] if value != ""]
        marks.append("--:" if all(numbers) else "---")
    lines = [f"| {' | '.join(map(str, table.columns))} |", f"|{'|'.join(marks)}|"]
    for row in table.itertuples(index=False):
        lines.append(f"| {' | '.join(map(_cell, row))} |")
    return "\n".join(lines)


def _cell(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def result(name: str) -> pd.DataFrame:
    """Read one table of results."""
    return pd.read_csv(
        RESULTS / f"{name}.csv", keep_default_na=False, na_values=[""], dtype={"layers": str}
    )


def demo() -> str:
    """The demo's Tables 4 to 6 in one.

    Accuracy by method and classifier, their average, and what is possible by design.
    """
    table, rows = result("demo").fillna({"method": "", "modalities": ""}), []
    names = {"svm": "SVM", "nn": "NN", "xgboost": "XGBoost"}
    kinds = table[table["family"].isin(["unimodal", "early", "late"])]
    for (family, method, modalities), cells in kinds.groupby(
        ["family", "method", "modalities"], sort=False
    ):
        scores = cells.set_index("classifier")["WA"]
        named = [scores.get(n, "") for n in names]
        what = modalities.replace("+", " + ") if family == "unimodal" else f"{family}, {method}"
        rows.append(
            [
                what,
                *named,
                scores[scores.index.isin([*names, "rule"])].mean(),
                cells["best_possible_WA"].iloc[0],
            ]
        )
    chance = _first(table, table["classifier"] == "majority", "WA")
    rows.append(["always the commonest class of training", "", "", "", chance, ""])
    return markdown(
        pd.DataFrame(
            rows,
            columns=["WA %", *names.values(), "average, or the rule", "best possible by design"],
        )
    )


def demo_table7() -> str:
    """Precision, recall and F1 of the cell that was chosen on validation rows."""
    table = result("demo_table7")
    rows = [
        [r["class"], r["precision"], r["recall"], r["F1"], int(r["support"])]
        for _, r in table.iterrows()
    ]
    return markdown(
        pd.DataFrame(rows, columns=["chosen cell, %", "precision", "recall", "F1", "support"])
    )


def frozen_against_finetuned() -> str:
    """Paired differences with their intervals."""
    table = result("frozen_against_finetuned")
    rows = [
        [
            f"{r.encoder}, {r.corpus}",
            r.frozen_WA,
            f"{r.tuned}: {r.tuned_WA:.1f}",
            f"{r.difference:+.1f} ({r.low:+.1f} to {r.high:+.1f})",
            r.interval,
        ]
        for r in table.itertuples()
    ]
    return markdown(
        pd.DataFrame(
            rows,
            columns=[
                "test WA %",
                "frozen, SVM",
                "fine-tuned",
                "difference, 95 % interval",
                "paired",
            ],
        )
    )


def ravdess() -> str:
    """SVM by layer, the layer chosen on valid, and chance."""
    both, rows = (
        {"train": result("grid_ravdess"), "train+valid": result("grid_ravdess_train_valid")},
        [],
    )
    for layer in range(5):
        rows.append(
            [f"layer {layer}", *(_svm(t, "layer", f"audio={layer}") for t in both.values())]
        )
    rows.append(
        ["**layer chosen on valid, per fold**", *(_svm(t, "unimodal", "") for t in both.values())]
    )
    rows.append(
        [
            "always the commonest class",
            *(_first(t, t["classifier"] == "majority", "WA") for t in both.values()),
        ]
    )
    return markdown(
        pd.DataFrame(
            rows,
            columns=["SVM on Whisper-tiny, eight classes, WA %", *(f"fitted on {n}" for n in both)],
        )
    )


def meld() -> str:
    """Accuracy and weighted F1 of every classifier on the official split."""
    table = result("grid_meld")
    rows = [[row.classifier, row.WA, row.UAR, row.weighted_F1] for row in table.itertuples()]
    return markdown(
        pd.DataFrame(
            rows, columns=["MiniLM, frozen, MELD's own split", "WA %", "UAR %", "weighted F1 %"]
        )
    )


def mosi() -> str:
    """The figures of the official split, and what a plain script reports that asks nothing."""
    table = result("mosi_leak")
    rows = [
        [r.vectors, r.official_split_WA, r.five_folds_by_video_WA, r.this_project]
        for r in table.itertuples()
    ]
    return markdown(
        pd.DataFrame(
            rows,
            columns=[
                "MOSI, SVM, WA %",
                "official split",
                "plain script, five folds by video",
                "`run-fusion-grid --folds group-kfold:5`",
            ],
        )
    )


def shuffled() -> str:
    """The best and the mean of all cells under permuted labels, beside chance."""
    rows = []
    for name in ("ravdess", "meld", "mosi"):
        table = result(f"grid_{name}_shuffled")
        cells = table[table["family"] != "baseline"]
        rows.append([name, cells["UAR"].mean(), cells["UAR"].max(), 100 / CLASSES[name]])
    return markdown(
        pd.DataFrame(
            rows,
            columns=["labels permuted, UAR %", "mean of all cells", "best of all cells", "chance"],
        )
    )


def window_story() -> str:
    """What a random split over windows reports, and what the audit and the grid say to it."""
    rows = []
    for row in result("window_story").itertuples():
        found = []
        for word, checks in (("leak", row.leaks), ("caution", row.cautions)):
            if isinstance(checks, str):  # an empty cell is not a number
                found.append(f"{word}: {checks.replace(' ', ', ')}")
        grid = f"{row.grid_WA:.1f}"
        if row.grid_exit_status:
            grid = f"refused, exit status {row.grid_exit_status}"
        rows.append([row.way, row.plain_script_WA, "; ".join(found) or "no leak", grid])
    return markdown(
        pd.DataFrame(
            rows,
            columns=[
                "split, WA %",
                "plain script, SVM",
                "`audit-leakage`",
                "`run-fusion-grid`, SVM",
            ],
        )
    )


def audit_speed() -> str:
    """Processor seconds of the whole audit, and of its slowest parts."""
    rows = []
    for _, table in result("audit").groupby("rows"):
        parts = table.iloc[1:].sort_values("cpu_s", ascending=False).head(3)
        rows += [
            [f"{row.check}, {row.rows:,} utterances", row.cpu_s]
            for row in [*table.head(1).itertuples(), *parts.itertuples()]
        ]
    return markdown(
        pd.DataFrame(rows, columns=["`audit-leakage` without media", "processor seconds"])
    )


def speed() -> str:
    """Ratios of each benchmark."""
    rows = []
    for path in sorted(RESULTS.glob("extraction_*.csv")):
        table = pd.read_csv(path)
        for row in table[table["way"] == "extract-features"].itertuples():
            low = getattr(row, "precision", "float32").replace("float32", "")
            low = low and f", {low}"
            if row.batch_size in {1, 4}:
                rows.append(
                    [
                        f"extract-features, {row.encoder}, batch {row.batch_size}{low}",
                        "plain one-clip-at-a-time Transformers loop",
                        f"{row.ratio_to_plain:.1f} x as fast",
                    ]
                )
    for row in result("finetuning").itertuples():
        if row.way == "extract-features":
            rows.append(
                [
                    f"fine-tuning, {row.encoder}, batch {row.batch_size}",
                    "plain PyTorch loop, padded to the maximum",
                    f"{row.ratio_to_padded:.1f} x as fast",
                ]
            )
    for row in result("decoding").itertuples():
        if row.way in {"one open film, seeking", "from the cache"}:
            rows.append(
                [
                    f"frames of {row.utterances} utterances, {row.way}",
                    "plain loop from the start of the film",
                    f"{row.ratio_to_plain:.0f} x as fast",
                ]
            )
    span = result("decoding_span")
    for row in span[span["way"] != "extract-features"].itertuples():
        if row.cpu_s > 0:
            rows.append(
                [
                    f"16 frames of 5 s inside a film of {row.minutes:g} minutes",
                    row.way,
                    f"{row.ours_to_this:.2f} x the processor time",
                ]
            )
    grid = result("grid")
    for row in grid[grid["classifier"] == "all"].itertuples():
        option = "" if row.way == "defaults" else f" --preset {row.way}"
        aim = f", missed {row.target_ratio:.0f} x" if row.verdict == "missed" else ""
        rows.append(
            [
                f"run-fusion-grid{option}, {row.cells} cells, {row.rows} x 3 x {row.dim}, CPU s",
                "plain scikit-learn/XGBoost script",
                f"{row.ratio_to_plain:.1f} x as fast{aim}",
            ]
        )
    store = result("store_io").iloc[0]
    for verb, plain, ratio, seconds in (
        ("read and check", "np.load", store.read_ratio, store.read_s),
        ("write and sync", "np.save", store.write_ratio, store.write_s),
    ):
        rows.append(
            [
                f"store, {verb} {store.rows} x {store.dim}",
                plain,
                f"{ratio:.1f} x the time ({seconds:.3f} s)",
            ]
        )
    return markdown(pd.DataFrame(rows, columns=["what", "against", "measured"]))


def coverage() -> str:
    """How often 95 % intervals cover the truth.

    The usual ways for WA, the way that is used for other figures too.
    """
    table = result("interval_coverage")
    table, rows = table[table["target"] == "pooled"], []
    usual = {
        "Wilson, ignoring speakers": "Wilson, over rows",
        "percentile bootstrap": "percentile bootstrap",
        "BCa bootstrap": "BCa",
        "bootstrap-t": "bootstrap-t",
        "t on speaker means": "t on speaker means",
        "cluster-robust, t(clusters - 1)": "cluster-robust",
    }
    for scenario, part in table.groupby("scenario", sort=False):
        of = part.set_index(["metric", "method"])["coverage"]
        used = part[part["used"] == "yes"].set_index("metric")["coverage"]
        rows.append(
            [scenario, *(of["WA", name] for name in usual), *(used[metric] for metric in USED)]
        )
    names = ["95 % wanted", *usual.values(), *(f"**used**: {name}" for name in USED.values())]
    return markdown(pd.DataFrame(rows, columns=names))


def false_positives() -> str:
    """How often tests at 5 % reject for accuracy.

    Where neither system is better, and where one is by three points.
    """
    table, rows = result("interval_false_positives"), []
    table = table[(table["metric"] == "WA") & (table["alpha"] == 0.05)]
    tests = {
        "jackknife t, by speaker": "**used**: t by speaker",
        "sign-flip, by speaker": "sign-flip",
        "McNemar, ignoring speakers": "McNemar",
        "Nadeau-Bengio over folds": "Nadeau-Bengio",
    }
    for (scenario, systems), part in table.groupby(["scenario", "systems"], sort=False):
        of = part.set_index(["points", "test"])["rejected"]
        if (0.0, "McNemar, ignoring speakers") in of:
            rates = [of[0.0, test] for test in tests] + [of[3.0, test] for test in tests]
            rows.append([scenario, systems, *rates])
    names = [*tests.values(), *(f"{name}, 3 points" for name in tests.values())]
    return markdown(pd.DataFrame(rows, columns=["rejected, %", "systems", *names]))


def with_training() -> str:
    """How often tests at 5 % reject where modalities are exchangeable and training is real.

    And how often they find the smallest difference that could be shown.
    """
    table, rows = result("interval_training"), []
    tests = {
        "t by speaker": "**used**: t by speaker",
        "t by speaker, variance widened by half the overlap": "half the overlap",
        "t by speaker, variance widened by overlap": "overlap",
        "Nadeau-Bengio over folds": "Nadeau-Bengio",
        "t by speaker, folds drawn three times": "folds drawn three times",
        "corrected t over folds drawn three times": "the same, corrected",
    }
    design = ["clusters", "folds", "classes", "dimensions", "rows_per_speaker", "unequal"]
    for key, part in table.groupby([*design, "signal"], sort=False):
        speakers, folds, classes, dimensions, n_rows, unequal, _ = key
        name = f"{speakers} speakers of {n_rows} rows{', unequal' * (unequal == 'yes')}"
        name += f", {folds} folds, {classes} classes, {dimensions} dimensions"
        of = part.set_index(["true_difference", "test"])["rejected"]
        found = of["smallest detectable"]["t by speaker"]
        rates = [of["none"].get(test, "") for test in tests]
        rows.append([name, *rates, found])
    names = [*tests.values(), "**used**, smallest detectable difference"]
    return markdown(pd.DataFrame(rows, columns=["rejected, %", *names]))


def mouths() -> str:
    """How many of a hundred corpora are cautioned, by how well mouths go with the sound."""
    table, rows = result("mouth_agreement"), []
    for (correlation, halves), part in table.groupby(["correlation", "halves"], sort=False):
        name = "one face" if halves == 1 else "both halves of a split screen"
        rows.append([f"{correlation:.2f}", name, *part["cautioned"].astype(float)])
    shares = [f"{share:g} % listeners" for share in table["listeners"].unique()]
    return markdown(pd.DataFrame(rows, columns=["correlation", "seen", *shares]))


def _svm(table: pd.DataFrame, family: str, layer: str) -> float:
    of_layer = table["layers"].astype(str).str.split().str[0] == layer if layer else True
    return _first(
        table, (table["family"] == family) & (table["classifier"] == "svm") & of_layer, "WA"
    )


def _first(table: pd.DataFrame, rows: pd.Series, column: str) -> float:
    return float(table.loc[rows, column].iloc[0])


def robustness() -> str:
    """What came of altered files, kills and flipped bits: how often, over how many kinds."""
    table, rows = result("robustness"), []
    for (campaign, outcome), part in table.groupby(["campaign", "outcome"], sort=False):
        kinds = part["kind"].nunique()
        rows.append((campaign, outcome, int(part["count"].sum()), kinds))
    columns = ["campaign", "what came of it", "how often", "kinds of file or command"]
    return markdown(pd.DataFrame(sorted(rows), columns=columns))


TABLES: dict[str, Callable[[], str]] = {
    "demo": demo,
    "demo_table7": demo_table7,
    "frozen_against_finetuned": frozen_against_finetuned,
    "ravdess": ravdess,
    "meld": meld,
    "mosi": mosi,
    "shuffled": shuffled,
    "speed": speed,
    "coverage": coverage,
    "false_positives": false_positives,
    "with_training": with_training,
    "window_story": window_story,
    "audit_speed": audit_speed,
    "mouths": mouths,
    "robustness": robustness,
}


if __name__ == "__main__":
    main()
