"""The one gate from the store to a model: it finds vectors, joins them by id, and refuses what a leak would need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings_store.arrays import Embeddings, EncoderRef, FoldData, RoleData
from embeddings_store.errors import (
    FoldError,
    LabelError,
    LeakError,
    StoreError,
    StoreMismatchError,
    StoreNotFoundError,
    UsageError,
    did_you_mean,
    unknown_name,
)
from embeddings_store.folds import Fold, FoldPlan
from embeddings_store.hdf5 import read_embeddings, read_header, store_path
from embeddings_store.labels import LabelSet
from embeddings_store.manifest import Manifest

SELECT_ON = ("valid", "test")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the store, by its header: where it is, what made it, how much is in it."""

    path: Path
    corpus: str
    ref: EncoderRef
    fold: str
    rows: int
    ok: int
    dim: int
    has_scores: bool
    settings: Mapping[str, object]
    digest: str


def corpora(store: Path) -> list[str]:
    """Names of the corpora in a store, sorted.

    Raises:
        StoreNotFoundError: There is no store, or it is empty.
    """
    found = sorted(p.parent.name for p in store.glob("*/corpus.json"))
    if not found:
        raise StoreNotFoundError(f"{store}: no corpus in this store; run extract-features or embeddings-store import with "
                                 f"--store {store} first")
    return found


def catalogue(store: Path, corpus: str, damaged: list[str] | None = None) -> list[Entry]:
    """List every finished file of a corpus, in the order of their paths.

    Args:
        store: The store's folder.
        corpus: The corpus' name.
        damaged: Where to put what is wrong with files that cannot be read; without it the first of them raises.

    Raises:
        UnknownNameError: The store has no such corpus.
        StoreNotFoundError: The corpus has no vectors yet.
        StoreError: A file is damaged.
    """
    if not (store / corpus / "corpus.json").is_file():
        unknown_name("corpus", corpus, corpora(store))
    entries = []
    for path in sorted((store / corpus).glob("*@*/seed-*/fold-*.h5")):
        try:
            entries.append(_entry(path))
        except StoreError as error:
            if damaged is None:
                raise
            damaged.append(str(error))
    if not entries and not damaged:
        raise StoreNotFoundError(f"{store / corpus}: no vectors of corpus {corpus!r} yet; run extract-features --corpus {corpus}")
    return entries


def choose_views(entries: Sequence[Entry], *, modalities: Sequence[str] = (), encoders: Mapping[str, str] | None = None,
                 layer: str = "", seed: int | None = None) -> dict[str, list[EncoderRef]]:
    """Choose one encoder per modality, and refuse to guess where several would do.

    Args:
        entries: The catalogue.
        modalities: Which to use, in this order; empty means all, sorted.
        encoders: Modality to ``NAME`` or ``NAME@FINGERPRINT`` (a beginning of the fingerprint is enough).
        layer: ``""`` takes the only one, ``"last"`` or a number picks one, ``"valid"`` returns every stored layer, for
            the grid to choose from on validation rows.
        seed: Which seed, where there are several.

    Returns:
        Modality to candidates, sorted by layer; more than one only for ``layer="valid"``.

    Raises:
        UsageError: Nothing matches, or more than one thing does; the message lists the choices.
    """
    # Vectors of inner folds lie beside their fold's own; they are no view of their own.
    entries = [e for e in entries if ".inner-" not in e.fold]
    known = sorted({e.ref.modality for e in entries})
    for name in [*modalities, *(encoders or {})]:
        if name not in known:
            unknown_name("modality", name, known)
    unused = sorted(set(encoders or {}) - set(modalities or known))
    if unused:
        raise UsageError(f"an encoder is named for {unused[0]}, which is not among the modalities {', '.join(modalities)}; add "
                         "it there, or leave the encoder out")
    return {m: _candidates([e for e in entries if e.ref.modality == m], m, (encoders or {}).get(m, ""), layer, seed)
            for m in (modalities or known)}


def load_fold(store: Path, corpus: str, views: Mapping[str, EncoderRef], plan: FoldPlan, fold: int, *,
              labels: LabelSet | None = None, shuffle_seed: int | None = None, manifest: Manifest | None = None,
              select_on: str = "valid") -> FoldData:
    """Load one fold of a plan for some views, joined by id and checked for leaks.

    A row may be tested only where every encoder says that it has not seen it (``seen = no``), and may validate only
    where no encoder was fitted on it. Rows without a label in the set, and rows that no view has, play no role.

    Args:
        store: The store's folder.
        corpus: The corpus' name.
        views: View name (usually the modality) to encoder.
        plan: The fold plan over the corpus' manifest.
        fold: Number of the fold, from 1.
        labels: Another label set than the corpus' own.
        shuffle_seed: Permute the labels of all labelled rows, to see whether the pipeline then falls to chance.
        manifest: The corpus' manifest, for callers that load many folds and have read it already.
        select_on: ``valid``, or ``test`` to let rows be tested by which an encoder's epoch was chosen (``select``). What is
            then measured is an upper bound, and the caller has to stamp it so. Rows that it was fitted on stay refused.

    Raises:
        LeakError: A test or validation row was seen by an encoder.
        StoreMismatchError: Files that do not belong together.
        StoreNotFoundError: A view has no file for this fold.
        FoldError: The plan is for other rows, or a role or a class of the fold has no rows left.
        LabelError: The corpus has no labels.
    """
    if not views:
        raise UsageError("no view is named; a fold is loaded for one or more encoders")
    if select_on not in SELECT_ON:
        unknown_name("role to choose on", select_on, SELECT_ON)
    manifest = manifest or Manifest.load(store / corpus)
    plan.check(manifest, only=fold)
    labels = labels or manifest.labels
    if shuffle_seed is not None and shuffle_seed < 0:
        raise UsageError(f"the seed to permute labels with is {shuffle_seed}; expected 0 or more")
    if labels is None:
        raise LabelError(f"corpus {corpus!r} has no labels, so nothing can be trained or scored on it")
    y = labels.encode(manifest.column("label"))
    if shuffle_seed is not None:
        labelled = np.flatnonzero(y >= 0)
        y[labelled] = np.random.default_rng(shuffle_seed).permutation(y[labelled])
    chosen = plan.fold(fold)
    files = {name: _aligned(_file_for(store, corpus, ref, chosen), manifest, plan, chosen, ref, labels, shuffle_seed)
             for name, ref in views.items()}
    usable = (y >= 0) & np.logical_or.reduce([f.ok for f in files.values()])
    _refuse_leaks(files, plan, chosen, usable, select_on)
    unverified = tuple(name for name, f in files.items()
                       if (f.seen[usable & f.ok & (chosen.mask("test") | chosen.mask("valid"))] == "unknown").any())
    groups = manifest.column("group")
    groups = np.where(groups != "", groups, manifest.column("speaker"))
    roles = {role: _role(files, manifest.ids, y, groups, usable & chosen.mask(role)) for role in ("train", "valid", "test")}
    for role in ("train", "test"):
        if not len(roles[role]):
            raise FoldError(f"fold {fold} of {plan.name!r} has no {role} rows with a label and a vector; see "
                            "embeddings-store inspect for failed and missing rows")
    absent = sorted(set(range(len(labels.classes))) - set(roles["train"].y.tolist()))
    if absent:
        raise FoldError(f"fold {fold} of {plan.name!r} has no training row of class {labels.classes[absent[0]]!r} that has a "
                        "vector; no model can learn it. See embeddings-store inspect for failed and missing rows, or use a "
                        "label set without this class")
    return FoldData(corpus, plan.name, plan.digest, fold, labels, dict(views), **roles, unverified=unverified)


def _entry(path: Path) -> Entry:
    header = read_header(path)
    ref = EncoderRef(str(header["encoder"]), str(header["fingerprint"]), str(header["modality"]),
                     int(str(header["layer"])), int(str(header["seed"])))
    settings = header.get("settings")
    return Entry(path, str(header.get("corpus", "")), ref, str(header["fold"]), int(str(header["rows"])),
                 int(str(header["ok"])), int(str(header["dim"])), bool(header["has_scores"]),
                 settings if isinstance(settings, dict) else {}, str(header.get("digest", "")))


def _candidates(entries: list[Entry], modality: str, wanted: str, layer: str, seed: int | None) -> list[EncoderRef]:
    name, _, prefix = wanted.partition("@")
    found = {e.ref: e for e in entries if (not name or name in {e.ref.name, _family(e)})
             and e.ref.fingerprint.startswith(prefix) and (seed is None or e.ref.seed == seed)}
    if not found:
        listed = "\n".join(dict.fromkeys(f"  {e.ref.folder} (seed {e.ref.seed})" for e in entries))
        hint = did_you_mean(name, {e.ref.name for e in entries}) or "."
        asked = f"{f' match {wanted!r}' if wanted else ''}{f' with seed {seed}' if seed is not None else ''}"
        raise UsageError(f"no {modality} vectors{asked}{hint} The store has:\n{listed}")
    if layer not in {"", "valid"} and any(ref.layer >= 0 for ref in found):
        found = _one_layer(found, modality, layer)
    if layer == "valid" and len({_without_layer(e) for e in found.values()}) == 1:
        return sorted(found, key=lambda ref: ref.layer)
    if len(found) > 1:
        raise UsageError(_ambiguous(found, modality))
    return list(found)


def _one_layer(found: dict[EncoderRef, Entry], modality: str, layer: str) -> dict[EncoderRef, Entry]:
    stored = sorted({str(ref.layer) for ref in found})
    if layer == "last":
        return {ref: e for ref, e in found.items() if ref.name == _family(e)}
    if layer not in stored:
        unknown_name(f"layer of {modality}", layer, [*stored, "last", "valid"])
    return {ref: e for ref, e in found.items() if str(ref.layer) == layer}


def _ambiguous(found: Mapping[EncoderRef, Entry], modality: str) -> str:
    lines = [f"several {modality} vectors would do, and this program does not guess between them:"]
    first = next(iter(found.values())).settings
    for ref, entry in found.items():
        differs = [f"{k}={v}" for k, v in sorted(entry.settings.items()) if any(
            e.settings.get(k) != v for e in found.values())] if first else []
        lines.append(f"  --encoder {modality}={ref.folder}  (seed {ref.seed}{', ' if differs else ''}{', '.join(differs)})")
    if len({_without_layer(e) for e in found.values()}) == 1:
        lines.append("They differ in the layer alone: --layer N takes one, --layer valid chooses on validation rows.")
    if len({ref.seed for ref in found}) > 1:
        seeds = ", ".join(sorted({str(ref.seed) for ref in found}))
        lines.append(f"They differ in the seed: --encoder-seed takes one ({seeds}).")
    return "\n".join(lines)


def _family(entry: Entry) -> str:
    """The encoder's name without the mark of a layer."""
    return entry.ref.name.removesuffix(f".L{entry.ref.layer}")


def _without_layer(entry: Entry) -> str:
    rest = {k: v for k, v in entry.settings.items() if k != "layer"}
    return f"{_family(entry)} {entry.ref.seed} {sorted(rest.items(), key=str)}"


def _file_for(store: Path, corpus: str, ref: EncoderRef, fold: Fold) -> Path:
    for name in (str(fold.number), "any"):
        path = store_path(store, corpus, ref, name)
        if path.is_file():
            return path
    folder = store_path(store, corpus, ref, "any").parent
    there = ", ".join(sorted(p.stem for p in folder.glob("fold-*.h5"))) or "nothing"
    raise StoreNotFoundError(f"{folder}: no vectors for fold {fold.number} (there: {there}); run extract-features "
                             f"--corpus {corpus} --modality {ref.modality} --fold {fold.number}")


def _aligned(path: Path, manifest: Manifest, plan: FoldPlan, fold: Fold, ref: EncoderRef, labels: LabelSet,
             shuffle_seed: int | None) -> Embeddings:
    """Read a file and check that it belongs to this corpus, plan, fold and label set, and to this reference."""
    file = read_embeddings(path)
    told = file.attributes
    if file.encoder != ref or told.get("corpus") != manifest.name:
        raise StoreMismatchError(f"{path}: holds {file.encoder.folder} of corpus {told.get('corpus')!r}, wanted is {ref.folder} "
                                 f"of {manifest.name!r}; run embeddings-store verify and move the file back")
    inputs = manifest.inputs_digest_of(ref.modality)
    if told.get("inputs_digest") != inputs or not np.array_equal(file.ids, manifest.ids):
        raise StoreMismatchError(f"{path}: was made from other inputs (digest {told.get('inputs_digest')}, {len(file.ids)} rows) "
                                 f"than the corpus beside it ({inputs}, {len(manifest)} rows); extract it "
                                 "again with --overwrite, or keep the two corpora in stores of their own")
    if file.fold != "any" and (file.fold != str(fold.number) or told.get("plan_digest") != plan.digest):
        trained = f"--folds {told.get('plan')} --valid {told.get('plan_valid')}"
        raise StoreMismatchError(f"{path}: was fine-tuned for fold {file.fold} of plan {told.get('plan')!r} (valid: "
                                 f"{told.get('plan_valid')}, digest {told.get('plan_digest')}), not fold {fold.number} of "
                                 f"{plan.name!r} (valid: {plan.valid}, {plan.digest}); an encoder serves only the fold it was "
                                 f"trained for: {trained}")
    shuffled = int(str(told.get("labels_shuffled", -1)))
    if file.fold != "any" and shuffled != (-1 if shuffle_seed is None else shuffle_seed):
        advice = (f"permuted labels; score it with --shuffle-labels {shuffled}" if shuffled >= 0 else
                  "true labels; leave out --shuffle-labels, or fine-tune with the same --shuffle-labels first")
        raise StoreMismatchError(f"{path}: was fine-tuned on {advice}")
    if file.scores is not None and file.classes != labels.classes:
        raise StoreMismatchError(f"{path}: its scores are of the classes {file.classes}, the label set {labels.name!r} has "
                                 f"{labels.classes}; use the label set that the encoder was trained with")
    return file


def _refuse_leaks(files: Mapping[str, Embeddings], plan: FoldPlan, fold: Fold, usable: NDArray[np.bool_],
                  select_on: str) -> None:
    for role, refused in (("test", ("fit", "select") if select_on == "valid" else ("fit",)), ("valid", ("fit",))):
        rows = usable & fold.mask(role)
        for name, file in files.items():
            bad = np.flatnonzero(rows & file.ok & np.isin(file.seen, refused))
            if len(bad):
                raise LeakError(_explain(name, file, plan, fold, role, bad, int(rows.sum())))


def _explain(view: str, file: Embeddings, plan: FoldPlan, fold: Fold, role: str, bad: NDArray[np.int64], rows: int) -> str:
    verb = "score" if role == "test" else "choose on"
    word = str(file.seen[bad[0]])
    act = "trained on them" if word == "fit" else "chosen by its accuracy on them"
    unseen = int((file.seen == "no").sum())
    first = str(file.ids[bad[0]])
    bound = ", or add --select-on test, which stamps every result as an upper bound" if word == "select" else ""
    return (f"refused: fold {fold.number} ({fold.name}) of {plan.name!r} would {verb} {len(bad)} of {rows} {role} rows that the "
            f"{view} encoder {file.encoder.folder} has seen (seen={word}, first {first!r}). The encoder was {act}, so "
            f"their vectors carry their labels and the accuracy would be far too high. Only the {unseen} rows with seen=no can "
            "be scored: use the plan under which the encoder was trained (often --folds split), drop the view with "
            f"--modalities, or extract vectors with an encoder per fold{bound}")


def _role(files: Mapping[str, Embeddings], ids: NDArray[np.str_], y: NDArray[np.int64], groups: NDArray[np.str_],
          rows: NDArray[np.bool_]) -> RoleData:
    fitted, selected = (np.logical_or.reduce([(f.seen == word) & f.ok for f in files.values()]) for word in ("fit", "select"))
    return RoleData(ids[rows], y[rows], groups[rows], {name: f.vectors[rows] for name, f in files.items()},
                    {name: f.scores[rows] for name, f in files.items() if f.scores is not None},
                    {name: f.ok[rows] for name, f in files.items()}, fitted[rows], selected[rows])
