"""Tables 1 to 3: the trainings by which an encoder was chosen, a line each.

A line holds loss, accuracy and runtime on the test rows.
The paper trains on sessions 1 to 3, validates on 4 and tests on 5 (the plan
``session-holdout:Ses05/Ses04``). Any store of trainings with class scores will do; it is read
through the gate, so no row is scored that an encoder has seen. The encoder that counts is the one
with the best accuracy on validation rows, where a row without an answer counts as wrong; test
figures stand beside it and choose nothing. Of the ``n_test`` rows of the plan ``n_scored`` have a
vector and a label, of the ``n_choice`` validation rows ``n_valid_scored``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import log_softmax

from classify.claim import CLAIM, Claim
from classify.evaluation.means import first_best, mean_on_valid
from classify.evaluation.metrics import accuracy
from classify.results.files import write_csv
from classify.results.paper_tables import per_cent
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import StoreMismatchError, StoreNotFoundError
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.apart import apart_by
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.folds.planned_rows import planned_rows
from embeddings_store.folds.rules import make_plan
from embeddings_store.load import load_fold
from embeddings_store.vectors.catalogue import Entry, catalogue
from embeddings_store.vectors.fold_data import RoleData
from embeddings_store.vectors.hdf5 import read_header

TABLES: Mapping[str, str] = {
    "text": "table1_text.csv",
    "audio": "table2_audio.csv",
    "video": "table3_video.csv",
}


def write_selection(store: Path, corpus: str, out: Path, claim: Claim) -> list[Path]:
    """Write a table for every modality that the store holds trainings of, each whole or not at all.

    Args:
        store: The store of the trainings.
        corpus: The corpus' name.
        out: Where to.
        claim: What the figures of the run in that folder may be called; its tables say so, too.

    Raises:
        UnknownNameError: The store holds another corpus.
        StoreNotFoundError: It holds no training with class scores.
        LeakError: A training would be scored on rows that it has seen.
    """
    manifest = Manifest.load(store / corpus)
    entries = [e for e in catalogue(store, corpus) if e.has_scores and e.fold.isdecimal()]
    if not entries:
        raise StoreNotFoundError(
            f"{store / corpus}: holds no trained encoder with class scores to choose from; train "
            "some with extract-features --folds session-holdout:Ses05/Ses04 --fold 1, or leave "
            "out --selection"
        )
    written = []
    for modality in dict.fromkeys(e.ref.modality for e in entries):
        of_modality = [e for e in entries if e.ref.modality == modality]
        path = out / TABLES.get(modality, f"table_selection_{modality}.csv")
        write_csv(path, _table(store, manifest, of_modality, claim), claim=None)
        written.append(path)
    return written


def _table(store: Path, manifest: Manifest, entries: Sequence[Entry], claim: Claim) -> pd.DataFrame:
    lines = pd.DataFrame(
        [_line(store, manifest, entry, _label(entry, entries)) for entry in entries]
    )
    chosen = ""
    if lines["valid_WA"].notna().all():
        of_encoder = lines.assign(cell=lines["encoder"])
        chosen = first_best(mean_on_valid(of_encoder).to_dict())
    lines[CLAIM] = [Claim.all_of([claim, Claim.read(own)]).text for own in lines[CLAIM]]
    lines["remark"] = np.where(lines["encoder"] == chosen, "chosen on valid", "")
    return lines


def _line(store: Path, manifest: Manifest, entry: Entry, label: str) -> dict[str, object]:
    """The figures of one training, under the plan that its file records."""
    header, fold = read_header(entry.path), int(entry.fold)
    plan = _plan_of(entry, header, manifest)
    data = load_fold(
        FoldRequest(store, manifest.name, {entry.ref.modality: entry.ref}, plan, fold), manifest
    )
    raw, of_fold = manifest.column("label"), plan.fold(fold)
    n_planned = {}
    for role in ("valid", "test"):
        n_planned[role] = int(planned_rows(of_fold, role, data.labels, raw).all.sum())
    return {
        CLAIM: _claim(header).text,
        "corpus": manifest.name,
        "protocol": str(header.get("plan", "")),
        "label_set": data.labels.name,
        "fold": fold,
        "encoder": label,
        "epochs": entry.settings.get("train_epochs"),
        "seed": entry.ref.seed,
        **_figures(data.valid, entry.ref.modality, "valid"),
        **_figures(data.test, entry.ref.modality, "test"),
        "runtime_s": _runtime_s(header, len(data.test)),
        "n_valid": len(data.valid),
        "n_valid_scored": len(data.valid),
        "n_choice": n_planned["valid"],
        "n_test": n_planned["test"],
        "n_scored": len(data.test),
    }


def _claim(header: Mapping[str, object]) -> Claim:
    """What the figures of a training may be called, by what its file records."""
    seed = int(str(header.get("labels_shuffled", -1)))
    return Claim.of_run(
        upper_bound=header.get("selection_rule") == "test",
        shuffle_seed=seed if seed >= 0 else None,
        apart_by=apart_by(str(header.get("plan", ""))),
    )


def _plan_of(entry: Entry, header: Mapping[str, object], manifest: Manifest) -> FoldPlan:
    """The plan that a training was made under, checked by its digest."""
    name, digest = str(header.get("plan", "")), header.get("plan_digest")
    plan = make_plan(manifest, name)
    if plan.digest != digest:
        # a name leaves open which rows validate; files record that beside it
        plan = make_plan(manifest, name, str(header.get("plan_valid")))
    if plan.digest != digest:
        raise StoreMismatchError(
            f"{entry.path}: was trained under a plan {name!r} (digest {digest}) that this corpus "
            f"does not give ({plan.digest}); train it again under a plan that has a name"
        )
    return plan


def _figures(rows: RoleData, modality: str, role: str) -> dict[str, object]:
    """Cross-entropy and accuracy (per cent) of the head's own scores."""
    if not len(rows):
        return {f"{role}_loss": np.nan, f"{role}_WA": np.nan}
    scores = rows.scores[modality].astype(float)
    loss = -log_softmax(scores, axis=1)[np.arange(len(rows)), rows.y].mean()
    answers: NDArray[np.int64] = scores.argmax(axis=1)
    return {
        f"{role}_loss": round(float(loss), 4),
        f"{role}_WA": per_cent(accuracy(rows.y, answers)),
    }


def _runtime_s(header: Mapping[str, object], rows: int) -> float:
    """How many seconds reading and encoding so many rows takes, at the speed of all rows.

    ``nan`` where no time was recorded.
    """
    provenance = header.get("provenance")
    encoding = provenance.get("encoding") if isinstance(provenance, dict) else None
    if not isinstance(encoding, dict) or not encoding.get("rows"):
        return float("nan")
    return round(float(encoding["wall_s"]) * rows / int(encoding["rows"]), 2)


def _label(entry: Entry, entries: Sequence[Entry]) -> str:
    """The encoder's name, and where another candidate has the same what sets it apart."""
    same = [other.settings for other in entries if other.ref.name == entry.ref.name]
    differs = []
    for key, value in sorted(entry.settings.items()):
        if any(settings.get(key) != value for settings in same):
            differs.append(f"{key.removeprefix('train_')} {value}")
    return f"{entry.ref.name} ({', '.join(differs)})" if differs else entry.ref.name
