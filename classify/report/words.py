"""The page's sentences: the one answer, the protocol, and what a reader must beware of.

Every figure from the run's files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from classify.figures.results_folder import Run
from classify.leakage.checks import CHECKS, Audit
from classify.leakage.checks import FILE as AUDIT
from classify.leakage.finding import CAUTION, LEAK, NOT_CHECKED, per_cent
from classify.models.classifiers import CLASSIFIERS
from classify.names import BASELINE, EARLY, HEAD, LATE, LAYER, RESULT, RULE, UNIMODAL
from classify.results.table import BEST_ON_TEST, FIXED, ON_TEST
from embeddings_store.corpus.manifest import GENERATED
from embeddings_store.folds.validation_rules import SELECTION_RULES, reported_rule

ROTATING = {
    "leave-one-": "one {what} is held out for testing in each fold",
    "kfold": "the {what}s are divided into {folds} blocks, and each fold holds one block out for "
    "testing",
    "split": "the corpus' own division is used",
}


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure that stands out: the number, what it is, and how to read it."""

    value: str
    name: str
    reading: str
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the page begins with.

    Attributes:
        sentence: What was measured, on what, how good.
        against: How that compares with chance and the best single modality.
        tiles: The figures.
        warnings: What makes the result other than it looks.
    """

    sentence: str
    against: str
    tiles: Sequence[Tile]
    warnings: Sequence[str]


def answer(run: Run) -> Answer:
    """Return the answer that the run gives."""
    corpus = _corpus(run)
    if not run.headline:
        return Answer(
            f"No system counts as the result on {corpus}.",
            "The plan has no validation rows to choose a system on, and the paper's final model "
            "(concatenation + SVM) "
            "was not run. The tables below show every system; none of them may be picked by its "
            "test figures.",
            _chance_tiles(run),
            warnings(run),
        )
    wa, uar = run.mean(run.headline), run.mean(run.headline, "UAR")
    low, high, level = interval(run, run.headline, "WA")
    sure = f"{level:.0f} % confidence interval {low:.1f} to {high:.1f}" if np.isfinite(low) else ""
    sentence = (
        f"On {corpus}, {system(run, run.headline)}, {run.how_chosen}, recognises the emotion of "
        f"{wa:.1f} % of the "
        f"test utterances (WA{f'; {sure}, all rows pooled' if sure else ''})."
    )
    tiles = [
        Tile(
            f"{wa:.1f} %",
            "WA, accuracy",
            f"of 100 test utterances {wa:.0f} are recognised{f', {sure}' if sure else ''}",
            strong=True,
        ),
        Tile(
            f"{uar:.1f} %",
            "UAR, mean recall",
            f"every class counts the same; blind guessing gives {100 / len(run.classes):.0f} %",
        ),
    ]
    sentences = []
    majority = _majority(run)
    if majority:
        sentences.append(
            "Always answering the commonest class of the training rows gives "
            f"{run.mean(majority):.1f} %."
        )
    single = run.best_single()
    if single and single != run.headline:
        gain = wa - run.mean(single)
        judged = (
            "by validation rows"
            if "valid_WA" in run.rows and run.rows["valid_WA"].notna().any()
            else "by test rows"
        )
        sentences.append(
            f"The best single modality ({judged}), {system(run, single)}, reaches "
            f"{run.mean(single):.1f} %: fusion "
            f"{'adds' if gain >= 0 else 'loses'} {abs(gain):.1f} "
            f"points{_sureness(run, run.headline, single)}."
        )
        tiles.append(
            Tile(
                f"{run.mean(single):.1f} %",
                "best single modality",
                f"WA of {system(run, single)}, the best {judged}",
            )
        )
    audit = read_audit(run)
    sentences.append(
        "No leakage audit stands beside these results." if audit is None else audit_sentence(audit)
    )
    return Answer(sentence, " ".join(sentences), [*tiles, *_chance_tiles(run)], warnings(run))


def warnings(run: Run) -> list[str]:
    """Return what a reader must know before believing a figure."""
    notes = run.manifest.notes if run.manifest else ()
    found = [f"This corpus is {note}." for note in notes if note.startswith(GENERATED)]
    claims = sorted(
        {v for v in run.rows.get("claim", pd.Series(dtype=str)) if v not in ("", RESULT)}
    )
    if claims:
        found.append(
            f"Every output of this run is marked “{'; '.join(claims)}”: it is no plain result."
        )
    if run.flagged(ON_TEST):
        found.append(
            "The system was chosen by its figures on the test rows themselves, as was asked for: "
            "every figure of it is "
            "an upper bound, not a result."
        )
    audit = read_audit(run)
    if audit is not None and audit.verdict == LEAK:
        leaks = "; ".join(audit.findings[name].number for name in audit.having(LEAK))
        found.append(f"The leakage audit finds: {leaks}. See below.")
    shared = sorted({v for v in run.rows.get("shared", pd.Series(dtype=str)) if v})
    if shared:
        found.append(f"Roles share speakers or groups: {'; '.join(shared)}.")
    if run.shuffled:
        found.append(
            "The labels were permuted on purpose: this is no result. Every figure must be at "
            "chance; where one is not, "
            "something leaks."
        )
    unverified = sorted(
        {v for v in run.rows.get("verified", pd.Series(dtype=str)) if v.startswith("unverified")}
    )
    if unverified:
        found.append(
            f"Nobody can say what an encoder was trained on ({'; '.join(unverified)}): test rows "
            "may have been "
            "among it."
        )
    if run.headline and "n_missing" in run.rows:
        missing = run.of(run.headline).drop_duplicates("fold")["n_missing"].sum()
        if missing:
            found.append(f"{missing:.0f} test utterances lack a modality.")
    if len(run.folds) > 1 and run.headline:
        folds = run.by_fold(run.headline)
        if folds.max() - folds.min() > 15:
            found.append(
                f"The folds differ much: WA is {folds.min():.1f} % in the worst and "
                f"{folds.max():.1f} % in the best."
            )
    return found


def read_audit(run: Run) -> Audit | None:
    """Return the leakage audit that stands beside the results, or none.

    Raises:
        StoreError: It is there and cannot be read.
    """
    return Audit.read(run.folder) if (run.folder / AUDIT).is_file() else None


def audit_sentence(audit: Audit) -> str:
    """Say what the leakage audit found, and name each check that is not clean by the question that it asks.

    >>> audit_sentence(Audit({}, {}))
    'The leakage audit made 0 of 0 checks.'
    """
    made = len(audit.findings) - len(audit.having(NOT_CHECKED))
    clean = " and found no leak" if made and not audit.having(LEAK) else ""
    said = [f"The leakage audit made {made} of {len(audit.findings)} checks{clean}."]
    for title, verdict in (("Leak", LEAK), ("Caution", CAUTION), ("Not checked", NOT_CHECKED)):
        named = [
            f"“{CHECKS[name].question}”{' (accepted)' * (name in audit.accepted)}"
            + (
                ""
                if (share := audit.findings[name].share) is None
                else f" ({per_cent(share)} of test rows)"
            )
            for name in audit.having(verdict)
        ]
        if named:
            said.append(f"{title}: {', '.join(named)}.")
    return " ".join(said)


def protocol(run: Run) -> list[str]:
    """Return the protocol in sentences: folds, roles, encoders, labels, choice."""
    first = run.rows.iloc[0]
    plan, folds = str(first["protocol"]), len(run.folds)
    known = next(
        (text for key, text in ROTATING.items() if key in plan), "the plan names each row's role"
    )
    what = plan.removeprefix("leave-one-").removesuffix("-out").partition("-kfold")[0]
    lines = [
        f"Plan “{plan}”, {folds} fold{'s' * (folds > 1)}: {known.format(what=what, folds=folds)}. "
        "A figure is the mean over "
        "folds of its value on each fold's test rows."
        if folds > 1
        else f"Plan “{plan}”: {known.format(what=what, folds=folds)}. The figures are of its test "
        "rows."
    ]
    valid = str(first.get("valid_rule", ""))
    lines.append(reported_rule(valid))
    lines.append(
        f"Label set “{first.get('label_set', '')}”: {len(run.classes)} classes, "
        f"{', '.join(run.classes)}."
    )
    if "fit_rows" in run.rows:
        lines.append(
            f"Classifiers are fitted on the rows of the role “{first['fit_rows']}”; scalers, "
            "probes and weights inside "
            "the fold, never on test rows."
        )
    lines += [_encoder(run, modality) for modality in run.modalities]
    if run.headline:
        lines.append(_choice(run))
    lines.append(
        "WA (weighted accuracy) is the share of utterances that are answered correctly. UAR "
        "(unweighted average recall) "
        "is the mean of the classes' recalls; with classes of unequal size the two differ. F1 is "
        "the harmonic mean of "
        "precision and recall."
    )
    return lines


def fold_lines(run: Run) -> list[tuple[str, ...]]:
    """Return per fold: number, what it holds out, rows that train, validate and test."""
    columns = ("fold", "fold_name", "n_train", "n_valid", "n_test")
    first = run.rows.drop_duplicates("fold")
    return [
        tuple(str(int(v)) if isinstance(v, float) else str(v) for v in line)
        for line in first[[c for c in columns if c in first]].itertuples(index=False)
    ]


def system(run: Run, cell: str) -> str:
    """Name a system in words.

    Returns:
        For example ``early fusion (concatenation) of audio, text and video with an SVM``.
    """
    row = run.of(cell).iloc[0]
    own = (
        "its own classification head"
        if row["classifier"] == HEAD
        else f"its own {row['classifier']}"
    )
    classifier = CLASSIFIERS[row["classifier"]].title if row["classifier"] in CLASSIFIERS else own
    names = str(row["modalities"]).split("+")
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    if row["family"] == UNIMODAL:
        return f"{listed} alone with {classifier}"
    if row["classifier"] == RULE:
        return f"{row['family']} fusion of {listed} by the rule “{row['method']}”"
    if row["family"] in (EARLY, LATE):
        return f"{row['family']} fusion ({row['method']}) of {listed} with {classifier}"
    return cell


def interval(run: Run, cell: str, metric: str) -> tuple[float, float, float]:
    """Return low, high and level in per cent from ``statistics.csv``, ``nan`` where it gives none."""
    none = (float("nan"),) * 3
    table = run.table("statistics.csv")
    if table is None or not {"cell", "metric", "low", "high"} <= set(table):
        return none
    found = table[(table["cell"] == cell) & (table["metric"] == metric)]
    found = found[found["class"].isna()] if "class" in found else found
    if not len(found) or found[["low", "high"]].isna().any(axis=None):
        return none
    line = found.iloc[0]
    return 100 * float(line["low"]), 100 * float(line["high"]), 100 * float(line.get("level", 0.95))


def _sureness(run: Run, first: str, second: str) -> str:
    """Say from ``comparisons.csv`` how sure a difference in WA is, or nothing where it does not compare the two."""
    table = run.table("comparisons.csv")
    if table is None or not {"first", "second", "metric", "low", "high", "p_holm"} <= set(table):
        return ""
    found = table[
        (table["first"] == first) & (table["second"] == second) & (table["metric"] == "WA")
    ]
    if not len(found) or found[["low", "high", "p_holm"]].isna().any(axis=None):
        return ""
    line = found.iloc[0]
    p = "p < 0.001" if line["p_holm"] < 0.001 else f"p = {line['p_holm']:.3f}"
    return (
        f" ({100 * float(line.get('level', 0.95)):.0f} % confidence interval "
        f"{100 * line['low']:+.1f} to {100 * line['high']:+.1f}; {p} after Holm's correction)"
    )


def _corpus(run: Run) -> str:
    tested = run.rows.drop_duplicates("fold")["n_test"].sum()
    speakers = ""
    if run.manifest is not None:
        count = len(set(run.manifest.column("speaker").tolist()) - {""})
        speakers = f" of {count} speakers" if count else ""
    return f"{run.corpus} ({tested:,.0f} test utterances{speakers}, {len(run.classes)} classes)"


def _majority(run: Run) -> str:
    names = [
        c
        for c in dict.fromkeys(run.rows.loc[run.rows["family"] == BASELINE, "cell"])
        if "majority" in c
    ]
    return names[0] if names else ""


def _chance_tiles(run: Run) -> list[Tile]:
    majority = _majority(run)
    if not majority:
        return []
    return [
        Tile(
            f"{run.mean(majority):.1f} %",
            "always the commonest class",
            "WA of answering without looking",
        )
    ]


def _encoder(run: Run, modality: str) -> str:
    entries = [entry for fold in run.folds if (entry := run.entry(modality, fold)) is not None]
    named = sorted(
        {
            pair.partition("=")[2]
            for cell in run.rows["encoders"]
            for pair in cell.split(",")
            if pair.partition("=")[0] == modality
        }
    )
    title = f"{modality[:1].upper()}{modality[1:]}: {', '.join(named)}"
    if not entries:
        return f"{title}."
    if all(entry.fold == "any" for entry in entries):
        return f"{title}, frozen: the encoder saw no label of this corpus; the same vectors serve every fold."
    settings = entries[0].settings
    epochs = (
        f", {settings['train_epochs']} epochs at learning rate {settings['train_learning_rate']:g}"
        if {"train_epochs", "train_learning_rate"} <= set(settings)
        else ""
    )
    rule = SELECTION_RULES.get(str(settings.get("train_rule")))
    kept = rule.report if rule else ""
    return f"{title}, fine-tuned for each fold on its training rows alone{epochs}{kept}."


def _choice(run: Run) -> str:
    count = int(run.rows.loc[~run.rows["family"].isin([BASELINE, LAYER]), "cell"].nunique())
    best = run.flagged(BEST_ON_TEST)
    bound = (
        f" The best of all on the test rows themselves is {system(run, best)} with "
        f"{run.mean(best):.1f} %: an upper bound, "
        "not a result."
        if best
        else ""
    )
    if run.flagged(ON_TEST):
        return "The system shown first is the best of all on the test rows themselves: an upper bound, not a result."
    if run.flagged(FIXED):
        return f"The reported system was fixed beforehand as the paper's final model; nothing was chosen.{bound}"
    return (
        f"The reported system has the best mean WA on validation rows of {count} candidates; test "
        "rows had no part in that "
        f"choice.{bound}"
    )
