"""One fine-tuning job: an encoder trained for one fold and seed, its vectors and scores of every row in the store."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings_store.arrays import EncoderRef
from embeddings_store.atomic import replacing
from embeddings_store.errors import FoldError, LabelError, UsageError
from embeddings_store.folds import FoldPlan, make_plan, natural_key
from embeddings_store.manifest import Manifest, safe_name
from embeddings_store.provenance import fingerprint
from embeddings_store.seen import parse_seen
from extract import dump
from extract.inputs import reader_for
from extract.run import encoder_provenance, read_manifest, require_inputs
from extract.training import PAPER, PLAN_VALID, TrainingSettings

# The choices of Tables 1 to 3.
PAPER_ENCODERS = {"text": "bert-base-uncased", "audio": "wav2vec2-base", "video": "videomae-base"}


@dataclass(frozen=True, slots=True)
class TunedJob:
    """Which encoder to fine-tune on what; every default of the command that is not the paper's stands here.

    Attributes:
        corpus: Name of a reader.
        root: The release's folder.
        modality: ``text``, ``audio`` or ``video``.
        fold: Number of the fold from 1, or ``final`` to train on all rows for later use.
        settings: How to train; its seed is part of the file's place.
        encoder: Registry name, hub id or local folder; empty takes the paper's choice.
        store: The store's folder.
        corpus_name: Name in the store; empty keeps the reader's.
        corpus_options: The reader's own options.
        folds: Name of the fold plan; empty takes the corpus' own.
        inner: Number of inner folds; 0 for none, and then the one file of the fold is made.
        inner_fold: Which inner fold, from 1: its rows are left out of training, so that their vectors are out-of-fold.
        pooling: Empty takes the one that belongs to the encoder.
        device: As for frozen encoders.
        max_duration_s: As for frozen encoders.
        long_rule: As for frozen encoders.
        max_tokens: As for frozen encoders.
        video_options: What :func:`extract.inputs.reader_for` takes for video.
        seen: What the encoder knew of the rows before it was fine-tuned.
        shuffle_labels: Seed of a permutation of all labels, to see whether everything then falls to chance; none for none.
        keep_models: Keep the tuned weights below ``models/`` after their vectors are made.
        memory_gb: Prepared inputs are kept in memory up to this many gigabytes.
        overwrite: Train again even if the vectors are there.
    """

    corpus: str
    root: Path
    modality: str
    fold: str
    settings: TrainingSettings
    encoder: str = ""
    store: Path = Path("embeddings")
    corpus_name: str = ""
    corpus_options: Mapping[str, str] = field(default_factory=dict)
    folds: str = ""
    inner: int = 0
    inner_fold: int = 0
    pooling: str = ""
    device: str = "auto"
    max_duration_s: float = 10.0
    long_rule: str = "first"
    max_tokens: int = 128
    video_options: Mapping[str, Any] = field(default_factory=dict)
    seen: str = ""
    shuffle_labels: int | None = None
    keep_models: bool = False
    memory_gb: float = 4.0
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Roles:
    """Which rows do what in one training.

    Attributes:
        fit: Manifest positions that are trained on.
        choose: Positions whose accuracy chooses the epoch; may be empty.
        seen: What the encoder then knows of each row (N,).
    """

    fit: NDArray[np.int64]
    choose: NDArray[np.int64]
    seen: NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job with its corpus read, its encoder loaded and its rows assigned; nothing is written yet."""

    job: TunedJob
    dump: dump.Dump
    encoder: Any
    roles: Roles
    codes: NDArray[np.int64]
    model_folder: Path

    @property
    def pending(self) -> bool:
        """Whether there is anything to do."""
        return not dump.finished(self.dump)

    @property
    def steps(self) -> int:
        """Steps of the optimiser that a whole training takes."""
        s = self.job.settings
        batches = -(-len(self.roles.fit) // s.batch_size)
        return max(1, batches // s.gradient_accumulation) * s.epochs


def fold_names(job: TunedJob) -> list[str]:
    """Return what ``--fold all`` means for the job's corpus: the numbers of its plan."""
    plan = _plan(job, read_manifest(job.corpus, job.root, job.corpus_options, job.corpus_name))
    return [str(fold.number) for fold in plan]


def prepare(job: TunedJob) -> Prepared:
    """Read the corpus, load the encoder and assign the rows.

    Raises:
        ProjectError: The corpus, the plan, the encoder or an option is not as it must be.
    """
    from extract.encoders import load_encoder, resolve

    manifest = read_manifest(job.corpus, job.root, job.corpus_options, job.corpus_name)
    require_inputs(manifest, job.modality)
    if manifest.labels is None:
        raise LabelError(f"corpus {manifest.name!r} has no labels to train on; add --frozen to use the encoder as it is")
    plan = None if job.fold == "final" else _plan(job, manifest)
    resolved = resolve(job.encoder or PAPER_ENCODERS[job.modality], job.modality)
    encoder = load_encoder(resolved, layer="all" if job.settings.weighted_layers else "last", pooling=job.pooling or None,
                           device=job.device, max_duration_s=job.max_duration_s or None, long_rule=job.long_rule,
                           max_tokens=job.max_tokens)
    spec = job.seen or ("unknown" if encoder.likely_finetuned else "none")
    codes = _codes(manifest, job)
    roles = assign_roles(manifest, plan, job, codes, parse_seen(spec, manifest))
    settings = {**encoder.settings, "weights_digest": encoder.weights_digest,
                "layer": "weighted" if job.settings.weighted_layers else encoder.spec.layers,
                **job.settings.fingerprinted(), "labels_digest": manifest.labels.digest, "labels_shuffled": job.shuffle_labels,
                "plan": plan.name if plan else "all rows", "plan_digest": plan.digest if plan else "", "inner": job.inner}
    ref = EncoderRef(safe_name(encoder.spec.name), fingerprint(settings), job.modality, encoder.spec.layers, job.settings.seed)
    fold = f"{job.fold}.inner-{job.inner_fold}" if job.inner else job.fold
    described = dump.Dump(
        job.store, manifest, job.modality, (ref,), (settings,), roles.seen, fold, classes=manifest.labels.classes,
        attributes={"seen_spec": spec, "weights_digest": "", "plan": plan.name if plan else "",
                    "plan_digest": plan.digest if plan else "", "plan_valid": plan.valid if plan else "",
                    "selection_rule": job.settings.rule, "labels_digest": manifest.labels.digest,
                    "labels_shuffled": -1 if job.shuffle_labels is None else job.shuffle_labels},
        provenance=encoder_provenance(encoder, Path(resolved.source).name if resolved.is_local else resolved.source),
        overwrite=job.overwrite)
    model_folder = job.store / manifest.name / "models" / ref.folder / f"seed-{ref.seed}" / f"fold-{fold}"
    return Prepared(job, described, encoder, roles, codes, model_folder)


def assign_roles(manifest: Manifest, plan: FoldPlan | None, job: TunedJob, codes: NDArray[np.int64],
                 before: NDArray[np.str_]) -> Roles:
    """Say which rows are trained on, which choose the epoch, and what the encoder then knows of each.

    Raises:
        FoldError: A class has no row to train on, or an inner fold cannot be made.
    """
    usable = (codes >= 0) & (manifest.column(job.modality) != "")
    if plan is None:
        fit, choose = usable, np.zeros_like(usable)
    else:
        fold = plan.fold(int(job.fold))
        fit = usable & fold.mask("train")
        choose = usable & (fold.mask("test") if job.settings.rule == "test" else fold.mask("valid"))
    if job.inner:
        fit &= ~_inner_part(manifest, fit, job.inner, job.inner_fold)
    labels = manifest.labels
    if labels is None:
        raise LabelError(f"corpus {manifest.name!r} has no labels")
    absent = [name for code, name in enumerate(labels.classes) if not (codes[fit] == code).any()]
    if absent:
        raise FoldError(f"fold {job.fold}: no row to train on of class {absent[0]!r} ({len(absent)} classes absent); use fewer "
                        "folds, another grouping, or a label set without it")
    seen = np.where(fit, "fit", np.where(choose, "select", before))
    return Roles(np.flatnonzero(fit), np.flatnonzero(choose), seen)


def run_tuned(prepared: Prepared, say: dump.Say, advance_training: dump.Advance, advance_rows: dump.Advance) -> dump.Summary | None:
    """Train and dump what is not there yet; none in the helper processes of a distributed run.

    Raises:
        StoreBusyError: Another process makes the same vectors.
        StoreFullError: The disk is full; finished epochs and rows are safe.
    """
    if int(os.environ.get("RANK", "0")):
        if prepared.pending:
            _tuned_classifier(prepared, say, advance_training)
        return None
    with dump.locked(prepared.dump):
        if not prepared.pending:
            return dump.summarise(prepared.dump)
        outcome = _tuned_classifier(prepared, say, advance_training)
        return _dump(prepared, outcome, say, advance_rows)


def _dump(prepared: Prepared, outcome: Any, say: dump.Say, advance: dump.Advance) -> dump.Summary:
    from extract.classifier import TunedEncoder
    from extract.encoders.loading import digest_of_weights

    encoder = TunedEncoder(outcome.classifier)
    described = replace(prepared.dump, attributes={
        **prepared.dump.attributes, "weights_digest": digest_of_weights(outcome.classifier), "best_epoch": outcome.best_epoch})
    history = described.path(described.refs[0]).with_suffix(".history.csv")
    history.parent.mkdir(parents=True, exist_ok=True)
    with replacing(history) as temporary:
        outcome.history.to_csv(temporary, index=False)
    read = reader_for(prepared.encoder, described.manifest.root, **prepared.job.video_options)
    summary = dump.write(described, encoder, read, say, advance, encoder.scores)
    if not prepared.job.keep_models and prepared.job.fold != "final":
        shutil.rmtree(prepared.model_folder)
    return summary


def _tuned_classifier(prepared: Prepared, say: dump.Say, advance: dump.Advance) -> Any:
    """Return the outcome of the training, reading it where an earlier run had finished it."""
    from extract.checkpoints import is_complete
    from extract.encoders import load_encoder
    from extract.finetune import load_model, save_model

    job, folder = prepared.job, prepared.model_folder
    if is_complete(folder):
        say("goes on: the training was finished before")
        encoder = load_encoder(str(folder / "encoder"), layer="all" if job.settings.weighted_layers else "last",
                               pooling=prepared.encoder.pooling, device=job.device, max_duration_s=job.max_duration_s or None,
                               long_rule=job.long_rule, max_tokens=job.max_tokens)
        return load_model(folder, encoder, len(prepared.dump.classes))
    outcome = _train(prepared, say, advance)
    if not int(os.environ.get("RANK", "0")):
        save_model(outcome, folder, {"settings": dict(prepared.dump.settings[0]), "classes": list(prepared.dump.classes),
                                     "modality": job.modality, "fold": prepared.dump.fold})
        shutil.rmtree(prepared.dump.running / "checkpoints", ignore_errors=True)
    return outcome


def _train(prepared: Prepared, say: dump.Say, advance: dump.Advance) -> Any:
    from extract.augment import augmenter
    from extract.finetune import finetune
    from extract.training_data import Rows, usable_rows

    job, manifest, encoder = prepared.job, prepared.dump.manifest, prepared.encoder
    read = reader_for(encoder, manifest.root, **job.video_options)

    def load(position: int) -> Any:
        return read(manifest.row(position)).item

    fit, bad_fit = usable_rows(load, encoder, prepared.roles.fit, lambda n: None)
    choose, bad_choose = usable_rows(load, encoder, prepared.roles.choose, lambda n: None)
    for position, reason in {**bad_fit, **bad_choose}.items():
        say(f"left out of training: {manifest.ids[position]}: {reason}")
    room = int(job.memory_gb * 1e9)
    train = Rows(encoder, load, fit, prepared.codes[fit], seed=job.settings.seed, memory_bytes=room,
                 augment=augmenter(job.modality, job.settings.augment))
    valid = Rows(encoder, load, choose, prepared.codes[choose], memory_bytes=room // 4) if len(choose) else None
    checkpoints = prepared.dump.running / "checkpoints"
    outcome = finetune(encoder, len(prepared.dump.classes), job.settings, train, valid, checkpoints, advance)
    if outcome.resumed_from_step:
        say(f"goes on: training was at step {outcome.resumed_from_step} of {prepared.steps}")
    return outcome


def _plan(job: TunedJob, manifest: Manifest) -> FoldPlan:
    rule = job.settings.rule
    plan = make_plan(manifest, job.folds, PLAN_VALID[rule])
    if rule == "valid-session" and not plan.has_valid:
        raise FoldError(f"plan {plan.name!r} has no validation rows to choose the epoch on; choose --rule fixed-epochs, or add "
                        "validation rows to the split")
    return plan


def _codes(manifest: Manifest, job: TunedJob) -> NDArray[np.int64]:
    codes = manifest.codes()
    if job.shuffle_labels is not None:
        labelled = np.flatnonzero(codes >= 0)
        codes[labelled] = np.random.default_rng(job.shuffle_labels).permutation(codes[labelled])
    return codes


def _inner_part(manifest: Manifest, fit: NDArray[np.bool_], parts: int, part: int) -> NDArray[np.bool_]:
    """Rows of one of ``parts`` blocks of neighbouring speakers (else groups) within the training rows (N,)."""
    column = "speaker" if manifest.has("speaker") else "group"
    values = manifest.column(column)
    groups = sorted(set(values[fit].tolist()), key=natural_key)
    if not 2 <= parts <= len(groups) or not 1 <= part <= parts:
        raise UsageError(f"inner fold {part} of {parts}: the training rows have {len(groups)} different values in {column!r}")
    block = np.array_split(np.array(groups), parts)[part - 1]
    return fit & np.isin(values, block)


def paper_settings(modality: str, **given: Any) -> TrainingSettings:
    """The paper's settings for a modality, with whatever is given instead."""
    if modality not in PAPER:
        raise UsageError(f"modality {modality!r} cannot be fine-tuned; there is {', '.join(PAPER)}")
    return TrainingSettings.for_modality(modality, **given)
