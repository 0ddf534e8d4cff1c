"""The protocol in sentences: folds, roles, encoders, labels and how the result was chosen."""

from __future__ import annotations

from collections.abc import Mapping

from classify.evaluation.means import choosing_rows_in_words
from classify.figures.results_folder import FinishedRun
from classify.names import BASELINE, LAYER
from classify.report.sentences.system import system_in_words
from classify.results.table import BEST_ON_TEST, FIXED, ON_TEST
from embeddings_store.folds.validation_rules import SELECTION_RULES, reported_rule
from embeddings_store.vectors.catalogue import Entry

# A part of a plan's name to how it makes its folds.
ROTATING: Mapping[str, str] = {
    "leave-one-": "one {what} is held out for testing in each fold",
    "kfold": "the {what}s are divided into {folds} blocks, and each fold holds one block out for "
    "testing",
    "split": "the corpus' own division is used",
}


def protocol(run: FinishedRun) -> list[str]:
    """Return the protocol in sentences: folds, roles, encoders, labels, choice."""
    first = run.rows.iloc[0]
    lines = [
        _plan(run),
        reported_rule(str(first.get("valid_rule", ""))),
        f"Label set “{first.get('label_set', '')}”: {len(run.classes)} classes, "
        f"{', '.join(run.classes)}.",
    ]
    if "fit_rows" in run.rows:
        lines.append(
            f"Classifiers are fitted on the rows of the role “{_fit_rows(run)}”; scalers, "
            "probes and weights inside the fold, never on test rows."
        )
    lines += [_encoder(run, modality) for modality in run.modalities]
    if run.headline:
        lines.append(_choice(run))
    lines.append(
        "WA (weighted accuracy) is the share of utterances that are answered correctly. UAR "
        "(unweighted average recall) is the mean of the classes' recalls; with classes of unequal "
        "size the two differ. F1 is the harmonic mean of precision and recall."
    )
    return lines


def _fit_rows(run: FinishedRun) -> str:
    """Return what cells are fitted on; with --fit-rows auto that differs among them."""
    cells = run.rows[run.rows["family"] != BASELINE]
    return "” or “".join(cells["fit_rows"].drop_duplicates())


def fold_lines(run: FinishedRun) -> list[tuple[str, ...]]:
    """Return per fold: number, what it holds out, rows that train, validate and test."""
    columns = ("fold", "fold_name", "n_train", "n_valid", "n_test")
    by_fold = run.rows.drop_duplicates("fold")
    shown = by_fold[[name for name in columns if name in by_fold]]
    return [tuple(map(_whole, line)) for line in shown.itertuples(index=False)]


def _whole(value: object) -> str:
    """Counts are read as floats, for the sake of cells that lack one."""
    return str(int(value)) if isinstance(value, float) else str(value)


def _plan(run: FinishedRun) -> str:
    plan, folds = str(run.rows["protocol"].iloc[0]), len(run.folds)
    known = [text for part, text in ROTATING.items() if part in plan]
    division = known[0] if known else "the plan names each row's role"
    what = plan.removeprefix("leave-one-").removesuffix("-out").partition("-kfold")[0]
    division = division.format(what=what, folds=folds)
    if folds == 1:
        return f"Plan “{plan}”: {division}. The figures are of its test rows."
    return (
        f"Plan “{plan}”, {folds} folds: {division}. A figure is the mean over folds of its value "
        "on each fold's test rows."
    )


def _encoder(run: FinishedRun, modality: str) -> str:
    """What made a modality's vectors, and what of this corpus it was trained on."""
    title = f"{modality[:1].upper()}{modality[1:]}: {', '.join(_encoder_names(run, modality))}"
    entries = run.entries_of(modality)
    if not entries:
        return f"{title}."
    if all(entry.fold == "any" for entry in entries):
        return (
            f"{title}, frozen: the encoder saw no label of this corpus; the same vectors serve "
            "every fold."
        )
    return f"{title}, fine-tuned for each fold on its training rows alone{_training(entries[0])}."


def _encoder_names(run: FinishedRun, modality: str) -> list[str]:
    names = set()
    for encoders in run.rows["encoders"]:
        for pair in encoders.split(","):
            of_modality, _, encoder = pair.partition("=")
            if of_modality == modality:
                names.add(encoder)
    return sorted(names)


def _training(entry: Entry) -> str:
    """How long an encoder was fine-tuned and which epoch was kept, as far as the store says."""
    settings = entry.settings
    epochs = ""
    if {"train_epochs", "train_learning_rate"} <= set(settings):
        rate = settings["train_learning_rate"]
        epochs = f", {settings['train_epochs']} epochs at learning rate {rate:g}"
    rule = SELECTION_RULES.get(str(settings.get("train_rule")))
    return f"{epochs}{rule.report if rule else ''}"


def _choice(run: FinishedRun) -> str:
    """How the reported system came to be it, and what the best on test rows would have been."""
    if run.flagged(ON_TEST):
        return (
            "The system shown first is the best of all on the test rows themselves: an upper "
            "bound, not a result."
        )
    best = run.flagged(BEST_ON_TEST)
    bound = ""
    if best:
        bound = (
            f" The best of all on the test rows themselves is {system_in_words(run, best)} with "
            f"{run.mean(best):.1f} %: an upper bound, not a result."
        )
    if run.flagged(FIXED):
        return (
            "The reported system was fixed beforehand as the paper's final model; nothing was "
            f"chosen.{bound}"
        )
    candidates = run.rows.loc[~run.rows["family"].isin([BASELINE, LAYER]), "cell"].nunique()
    return (
        f"The reported system has the best mean WA on {choosing_rows_in_words(run.rows)} of "
        f"{int(candidates)} candidates; test rows had no part in that choice.{bound}"
    )
