"""What a run of the grid leaves behind: ``grid.csv``, ``predictions.parquet`` and the paper's tables, and which cell counts.

**Choosing.** Where every fold has validation rows, the cell with the best mean accuracy on them is ``chosen_on_valid`` and
its test figures are the result. Without validation rows nothing is chosen: the paper's final model (concatenation + SVM; of
one modality its SVM) stands as ``fixed_beforehand``. The cell that is best on test is shown as ``best_on_test``, an upper
bound and no result; with ``--select-on test`` it is also ``chosen_on_test``, and the column ``claim`` of every row and
table says ``upper bound`` instead of ``result``. A row that a cell cannot answer, for want of its modality, counts as wrong
in these comparisons.
Baselines and single layers are not candidates; ties go to the first in the order of the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from classify.answers import CLUSTERS, read_answers
from classify.cellfile import read_outcome
from classify.cells import BASELINE, EARLY, LATE, LAYER, SYSTEM, UNIMODAL, Cell, Outcome
from classify.confidence import Calibrated, calibration_columns, margin_columns
from classify.families import declared
from classify.metrics import METRICS, accuracy, summary
from classify.modalities import write_modalities
from classify.models import LOG_PROBABILITY, PROBABILITY, resolve
from classify.prepare import RESULT, Prepared
from classify.purposes import calibrated_cell, for_choice, in_words, purposes_of, sharing
from classify.statistics_files import COMPARISONS, DECLARED_METRIC, STATISTICS, write_statistics
from classify.subsets import write_subsets
from classify.tables import per_class_tables, write_csv, write_paper_tables
from classify.tasks import Task
from classify.tune import trial_rows
from embeddings_store.arrays import SCORED_ROLES
from embeddings_store.atomic import replacing
from embeddings_store.entries import Entry
from embeddings_store.errors import StoreError, UsageError
from embeddings_store.manifest import Manifest

TEXT, COUNT, NUMBER = "text", "count", "number"
SCHEMA: Mapping[str, str] = {
    "claim": TEXT, "corpus": TEXT, "protocol": TEXT, "plan": TEXT, "plan_digest": TEXT, "split_digest": TEXT,
    "test_digest": TEXT, "valid_rule": TEXT, "shared": TEXT, "selection_rule": TEXT, "label_set": TEXT, "labels_digest": TEXT,
    "fold": COUNT, "fold_name": TEXT, "cell": TEXT, "family": TEXT, "method": TEXT, "modalities": TEXT, "classifier": TEXT,
    "scores_from": TEXT, "layer": TEXT, "encoders": TEXT, "metadata": TEXT, "verified": TEXT, "fit_rows": TEXT, "learnt_on": TEXT,
    "weights": TEXT, "expression": TEXT, "settings": TEXT,
    "seed": COUNT, "encoder_seed": TEXT, "labels_shuffled": TEXT,
    "n_train": COUNT, "n_valid": COUNT, "n_test": COUNT, "n_fit": COUNT, "n_fit_seen": COUNT,
    "n_test_selected": COUNT, "n_choice": COUNT, "n_scored": COUNT, "n_valid_scored": COUNT, "n_missing": COUNT,
    **dict.fromkeys(METRICS, NUMBER),
    "train_WA": NUMBER, "valid_WA": NUMBER, "constant": TEXT, "constant_WA": NUMBER,
    "train_margin": NUMBER, "test_margin": NUMBER, "margin_gap": NUMBER,
    "calibration": TEXT, "ECE": NUMBER, "ECE_calibrated": NUMBER, "calibrated_WA": NUMBER,
    "chosen_on": TEXT, "shared_rows": TEXT, "flags": TEXT, "versions": TEXT,
    "fit_s": NUMBER, "date": TEXT, "commit": TEXT, "command": TEXT}
VOLATILE = ("fit_s", "date", "commit", "command")  # the columns in which two runs of the same grid may differ
CHOSEN, FIXED, ON_TEST, BEST_ON_TEST = "chosen_on_valid", "fixed_beforehand", "chosen_on_test", "best_on_test"
TUNING = "tuning.csv"
CANDIDATES = (UNIMODAL, EARLY, LATE, SYSTEM)
DTYPES = {TEXT: "str", COUNT: "int64", NUMBER: "float64"}


@dataclass(frozen=True, slots=True)
class ResultTable:
    """One row per cell, fold and seed, in the columns of :data:`SCHEMA`.

    Attributes:
        rows: The table. Metrics are in [0, 1], ``nan`` where nothing was measured; ``train_WA`` of a probe is out of fold;
            ``constant`` is the commonest class of the rows scored and ``constant_WA`` what always answering it gives,
            which nobody could know beforehand. ``protocol`` is the plan's name where none was asked for; ``split_digest`` is
            over the labelled rows and their roles, so it is the same in every store; ``shared`` says which roles share
            speakers or groups; ``selection_rule`` what chose the epochs of trained encoders. ``valid_WA`` and
            ``n_valid_scored`` are of those validation rows that choose the cell, of which there are ``n_choice``. For margins,
            calibration and the ``ECE`` of test rows see :mod:`classify.confidence`, for ``chosen_on`` and ``shared_rows``
            :mod:`classify.purposes`.
    """

    rows: pd.DataFrame

    def __post_init__(self) -> None:
        """Bring the columns into their order and types."""
        absent, strange = [c for c in SCHEMA if c not in self.rows], [str(c) for c in self.rows if c not in SCHEMA]
        if absent or strange:
            raise StoreError(f"a table of results lacks the columns {absent} and has {strange} too many; it was written by "
                             "another version of this program, delete it and run the grid again")
        object.__setattr__(self, "rows", self.rows[list(SCHEMA)].astype({c: DTYPES[kind] for c, kind in SCHEMA.items()}))

    def write(self, path: Path) -> None:
        """Write CSV, whole or not at all; :meth:`read` gives back the same table to the last bit."""
        with replacing(path) as temporary:
            self.rows.to_csv(temporary, index=False, lineterminator="\n")

    @classmethod
    def read(cls, path: Path) -> ResultTable:
        """Read what :meth:`write` wrote.

        Raises:
            StoreError: The file is not such a table.
        """
        try:
            raw = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
            numbers = {c: [float(cell) if cell else np.nan for cell in raw[c]]
                       for c, kind in SCHEMA.items() if kind == NUMBER and c in raw}
            return cls(raw.assign(**numbers))
        except (OSError, ValueError) as error:
            raise StoreError(f"{path}: is not a table of results ({error})") from error

    def flagged(self, flag: str) -> str:
        """Return the name of the cell that carries a flag, or an empty string."""
        names = self.rows.loc[self.rows["flags"].str.split().map(lambda flags: flag in flags), "cell"]
        return str(names.iloc[0]) if len(names) else ""

    @property
    def headline(self) -> str:
        """The cell that counts: chosen on valid, else fixed beforehand, else (an upper bound) chosen on test, else none."""
        return self.flagged(CHOSEN) or self.flagged(FIXED) or self.flagged(ON_TEST)


@dataclass(frozen=True, slots=True)
class GridResult:
    """What a run returns.

    Attributes:
        prepared: What was run.
        table: All cells and folds.
        files: What was written, in reading order.
    """

    prepared: Prepared
    table: ResultTable
    files: Sequence[Path]


def write_results(prepared: Prepared, tasks: Sequence[Task], dropped: Sequence[Task] = ()) -> GridResult:
    """Read every finished cell once and write all result files into the output folder, each whole or not at all."""
    out, rows, trials = prepared.config.out, [], list[dict[str, object]]()
    clusters = _clusters(prepared)
    predictions = out / "predictions.parquet"
    with replacing(predictions) as temporary:
        schema = _prediction_schema(prepared)
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for task in tasks:
                outcome = read_outcome(task.path, task.key)
                calibrated = calibrated_cell(prepared, task, outcome)
                rows.append(result_row(prepared, task, outcome, calibrated))
                trials += trial_rows(rows[-1], outcome)
                columns = _prediction_columns(prepared, rows[-1], outcome, clusters, calibrated)
                writer.write_table(pa.table(columns, schema=schema))
    table = ResultTable(_with_flags(pd.DataFrame(rows), prepared.config.select_on))
    table.write(out / "grid.csv")
    headline = [read_outcome(t.path, t.key) for t, row in zip(tasks, rows, strict=True) if row["cell"] == table.headline]
    answers = [(o.y["test"], o.reported("test").labels) for o in headline]
    of_fold = [t.source.fold for t, row in zip(tasks, rows, strict=True) if row["cell"] == table.headline]
    files = [out / "grid.csv", predictions, *write_paper_tables(table.rows, out)]
    files += per_class_tables(answers, of_fold, table.rows, table.headline, prepared.labels.classes, out)
    found = read_answers(out)
    write_statistics(found, declared(found), DECLARED_METRIC, out)
    files += [out / STATISTICS, out / COMPARISONS]
    files.append(prepared.audit.write(out))
    fit_roles = ("train", "valid") if "valid" in prepared.config.fit_rows else ("train",)
    files += write_subsets(out, prepared.setup.view, fit_roles, rows[0])
    files += write_modalities(table.rows, tasks, dropped, out)
    if trials:
        write_csv(out / TUNING, pd.DataFrame(trials))
        files.append(out / TUNING)
    else:
        (out / TUNING).unlink(missing_ok=True)
    return GridResult(prepared, table, files)


def result_row(prepared: Prepared, task: Task, outcome: Outcome, calibrated: Calibrated) -> dict[str, object]:
    """Return one row of :data:`SCHEMA`, without flags."""
    cell, config = task.cell, prepared.config
    fold = next(f for f in prepared.folds if f.number == task.source.fold)
    test, facts = outcome.reported("test"), outcome.facts
    choice = for_choice(outcome.ids["valid"], fold.apart)
    purposes = purposes_of(prepared, task, outcome, calibrated)
    refs = {} if cell.family == BASELINE else {m: ref for m, ref, _ in task.source.views}
    unverified = [] if cell.family == BASELINE else list(_strings(facts["unverified"]))
    layer = ",".join(f"{m}={ref.layer}" for m, ref in refs.items() if ref.layer >= 0)
    tuned = facts.get("tuned")
    settings = resolve(cell.classifier, tuned["settings"]) if isinstance(tuned, dict) else task.what["settings"]
    commonest = np.bincount(outcome.y["test"]).argmax()
    shown = "; ".join(f"{k}={v:g}" for k, v in settings.items()) if isinstance(settings, dict) else ""
    return {
        "claim": prepared.claim, "corpus": prepared.corpus, "protocol": prepared.setup.protocol, "plan": prepared.plan.name,
        "plan_digest": prepared.plan.digest, "split_digest": prepared.setup.split_digest,
        "test_digest": prepared.setup.test_digest, "valid_rule": prepared.plan.valid, "shared": prepared.setup.shared,
        "selection_rule": selection_rule([prepared.entry(ref, fold.number) for ref in refs.values()]),
        "label_set": prepared.labels.name, "labels_digest": prepared.labels.digest,
        "fold": fold.number, "fold_name": fold.name, "cell": cell_name(cell, layer), "family": cell.family,
        "method": cell.method,
        "modalities": "" if cell.family == BASELINE else "+".join(cell.modalities), "classifier": cell.classifier,
        "scores_from": _sources(task), "layer": layer, "encoders": ",".join(f"{m}={ref.folder}" for m, ref in refs.items()),
        "metadata": "+".join(c for chosen in prepared.metadata if chosen.view in refs for c in chosen.columns),
        "verified": f"unverified: {'+'.join(unverified)}" if unverified else "verified", "fit_rows": task.fit_rows,
        "learnt_on": facts.get("learnt_on", "train" if cell.family == LATE else ""),
        "weights": "; ".join(f"{part} {weight}" for part, weight in _pairs(facts.get("weights"))),
        "expression": str(cell.tree(tuned["settings"] if isinstance(tuned, dict) else task.settings, prepared.scores_from,
                                    task.fit_rows)), "settings": shown, "seed": task.seed,
        "encoder_seed": ",".join(f"{m}={refs[0].seed}" for m, refs in prepared.replicas[task.replica].items()),
        "labels_shuffled": "no" if config.shuffle_seed is None else f"seed {config.shuffle_seed}",
        "n_train": fold.counts["train"], "n_valid": fold.counts["valid"], "n_test": fold.counts["test"],
        "n_fit": facts["n_fit"], "n_fit_seen": 0 if cell.family == BASELINE else facts["n_fit_seen"],
        "n_test_selected": 0 if cell.family == BASELINE else facts.get("n_test_selected", 0),
        "n_choice": len(fold.apart) or fold.counts["valid"], "n_scored": len(test), "n_valid_scored": int(choice.sum()),
        "n_missing": int(str(facts["n_missing"])) + fold.counts["test"] - len(test),
        **summary(outcome.y["test"], test.labels),
        "train_WA": accuracy(outcome.y["train"], outcome.reported("train").labels),
        "valid_WA": accuracy(outcome.y["valid"][choice], outcome.reported("valid").labels[choice]),
        **margin_columns(outcome), **calibration_columns(outcome, calibrated),
        "chosen_on": in_words(purposes), "shared_rows": sharing(purposes),
        "constant": prepared.labels.classes[commonest], "constant_WA": accuracy(outcome.y["test"], commonest), "flags": "",
        "versions": "; ".join(f"{k} {v}" for k, v in _pairs(task.what["versions"])), "fit_s": facts["fit_s"],
        "date": facts["date"], "commit": facts["commit"], "command": facts["command"]}


def selection_rule(entries: Iterable[Entry]) -> str:
    """Say what chose the epochs of the encoders: ``none`` where nothing was trained, several rules joined by ``+``.

    >>> selection_rule([])
    'none'
    """
    return "+".join(sorted({"none" if e.fold == "any" else e.selection_rule or "unknown" for e in entries})) or "none"


def cell_name(cell: Cell, layer: str = "") -> str:
    """Name a cell in one word per part, the same for all folds.

    >>> cell_name(Cell("early", "sum", ("audio", "text"), "svm"))
    'early sum audio+text svm'
    >>> cell_name(Cell("layer", "", ("audio",), "svm", layer=2), "audio=2")
    'layer audio=2 svm'
    """
    if cell.family == BASELINE:
        return f"{BASELINE} {cell.classifier}"
    return " ".join(filter(None, (cell.family, cell.method, layer if cell.family == LAYER else "+".join(cell.modalities),
                                  cell.classifier)))


def refuse_other_results(out: Path, prepared: Prepared) -> None:
    """Refuse to replace the results of another corpus, of true labels by shuffled ones, or of results by upper bounds.

    Raises:
        UsageError: The folder holds such results.
    """
    path = out / "grid.csv"
    if not path.is_file():
        return
    shuffled = prepared.config.shuffle_seed is not None
    try:  # not a ResultTable: what another version wrote may be replaced too
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
        corpora, labels = set(rows["corpus"]), set(rows["labels_shuffled"] != "no")
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{path}: is not a table of results ({error!r}); move it away, or choose another --out") from error
    claims = set(rows["claim"]) if "claim" in rows else {RESULT}
    for held, there, now in (("results of corpus {!r}", corpora, prepared.corpus),
                             ("results of true labels" if shuffled else "results of shuffled labels", labels, shuffled),
                             ("figures of the kind {!r}", claims, prepared.claim)):
        if others := sorted(there - {now}):
            raise UsageError(f"{path} holds {held.format(others[0])}, which this run would replace; give it a folder of its "
                             "own with --out")


def _with_flags(rows: pd.DataFrame, select_on: str) -> pd.DataFrame:
    """Mark the cells that count, see the module's first lines."""
    candidates = rows[rows["family"].isin(CANDIDATES)]
    marks: dict[str, list[str]] = {}
    if select_on == "test":
        marks[_best(candidates, "WA", "n_scored", "n_test")] = [ON_TEST]
    elif (rows["n_valid"] > 0).all():
        marks.setdefault(_best(candidates, "valid_WA", "n_valid_scored", "n_choice"), []).append(CHOSEN)
    else:
        fused = candidates[candidates["family"] == EARLY]
        sizes = fused["modalities"].str.count(r"\+")
        fixed = fused[(fused["method"] == "concatenation") & (sizes == sizes.max())] if len(fused) else (
            candidates[candidates["family"] == UNIMODAL])
        fixed = fixed[fixed["classifier"] == "svm"]
        if fixed["cell"].nunique() == 1:
            marks.setdefault(str(fixed["cell"].iloc[0]), []).append(FIXED)
    marks.setdefault(_best(candidates, "WA", "n_scored", "n_test"), []).append(BEST_ON_TEST)
    return rows.assign(flags=rows["cell"].map(lambda name: " ".join(marks.get(name, []))))


def _best(candidates: pd.DataFrame, metric: str, answered: str, of: str) -> str:
    """Return the cell with the largest mean over folds of correct answers over all rows."""
    share = candidates[metric].fillna(0.0) * candidates[answered] / candidates[of]
    return str(share.groupby(candidates["cell"], sort=False).mean().idxmax())


def _sources(task: Task) -> str:
    """``head``, ``probe``, or each modality's own where they differ; empty where no class scores go in."""
    sources = dict(_pairs(task.what["scores_from"]))
    if len(set(sources.values())) <= 1:
        return next(iter(sources.values()), "")
    return ",".join(f"{m}={source}" for m, source in sources.items())


def _pairs(mapping: object) -> Iterable[tuple[str, str]]:
    return ((str(k), str(v)) for k, v in mapping.items()) if isinstance(mapping, Mapping) else ()


def _strings(values: object) -> Iterable[str]:
    return (str(v) for v in values) if isinstance(values, list) else ()


def _calibrated_columns(prepared: Prepared) -> list[str]:
    """Further columns of the predictions: none where nothing is calibrated."""
    return [f"calibrated:{name}" for name in prepared.labels.classes] if prepared.config.calibrate != "none" else []


def _prediction_schema(prepared: Prepared) -> pa.Schema:
    word, calibrated = pa.dictionary(pa.int32(), pa.string()), _calibrated_columns(prepared)
    words = (*CLUSTERS, "encoder_seed", "role", "cell", "family", "method", "modalities", "classifier", "layer", "kind", "y_true",
             "y_pred")
    return pa.schema([("id", pa.string()), ("fold", pa.int32()), ("seed", pa.int32()), *((name, word) for name in words),
                      *((f"score:{name}", pa.float64()) for name in prepared.labels.classes),
                      *((name, pa.float64()) for name in calibrated),
                      *((("calibration", word),) if calibrated else ())],
                     metadata={"claim": prepared.claim, "corpus": prepared.corpus})


def _clusters(prepared: Prepared) -> pd.DataFrame:
    """Who speaks, in which group and session, by utterance id."""
    table = Manifest.load(prepared.config.store / prepared.corpus).table
    return table.set_index("id")[list(CLUSTERS)].astype("category")


def _prediction_columns(prepared: Prepared, row: Mapping[str, object], outcome: Outcome,
                        clusters: pd.DataFrame, calibrated: Calibrated) -> dict[str, pa.Array]:
    """One cell and fold as columns; scores of heads and probes leave their logarithms here."""
    answers = [outcome.reported(role) for role in SCORED_ROLES]
    sizes = [len(answer) for answer in answers]
    total, classes = sum(sizes), list(prepared.labels.classes)
    values = np.concatenate([answer.values for answer in answers])
    kind = answers[0].kind
    chances = np.concatenate([calibrated.probabilities.get(role, np.full((size, len(classes)), np.nan))
                              for role, size in zip(SCORED_ROLES, sizes, strict=True)])
    if kind == LOG_PROBABILITY:
        values, kind = np.exp(values), PROBABILITY

    def same(text: object) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(total, dtype=np.int32)), [str(text)])

    def coded(codes: np.ndarray, names: Sequence[str]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), list(names))

    ids = np.concatenate([outcome.ids[role] for role in SCORED_ROLES]).tolist()
    of_rows = clusters.loc[ids]
    return {"id": pa.array(ids, pa.string()),
            **{name: pa.array(np.full(total, row[name], dtype=np.int32)) for name in ("fold", "seed")},
            **{name: coded(of_rows[name].cat.codes.to_numpy(), list(clusters[name].cat.categories)) for name in CLUSTERS},
            "role": coded(np.repeat(np.arange(len(sizes)), sizes), SCORED_ROLES),
            **{name: same(row[name]) for name in ("encoder_seed", "cell", "family", "method", "modalities", "classifier",
                                             "layer")},
            "kind": same(kind), "y_true": coded(np.concatenate([outcome.y[role] for role in SCORED_ROLES]), classes),
            "y_pred": coded(np.concatenate([answer.labels for answer in answers]), classes),
            **{f"score:{name}": pa.array(np.ascontiguousarray(values[:, i])) for i, name in enumerate(classes)},
            **{name: pa.array(np.ascontiguousarray(chances[:, i])) for i, name in enumerate(_calibrated_columns(prepared))},
            **({"calibration": same(calibrated.about)} if _calibrated_columns(prepared) else {})}
