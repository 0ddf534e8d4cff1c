"""One fine-tuning job.

An encoder trained for one fold and seed, its vectors and scores of every row in the store.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embeddings_store.atomic import explained, make_folder, replacing, write_json
from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest, safe_name
from embeddings_store.errors import FoldError, UsageError
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.folds.setup import Request, view_of
from embeddings_store.folds.validation_rules import FIXED_EPOCHS
from embeddings_store.provenance import fingerprint
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.seen import parse_seen
from extract.finetuning import distributed
from extract.finetuning.augmentation import augmenter
from extract.finetuning.checkpoints import MARKER, Checkpoint, is_complete, remove, resume_point
from extract.finetuning.row_roles import (
    Roles,
    assign_roles,
    class_codes,
    require_classes,
    training_setup,
)
from extract.finetuning.settings import PAPER, TrainingSettings
from extract.pipeline import write as dump
from extract.pipeline.inputs import decode_ahead, reader_for
from extract.pipeline.job import (
    default_encoder,
    encoder_provenance,
    frame_cache,
    read_manifest,
    require_inputs,
)

if TYPE_CHECKING:
    from extract.finetuning.model_files import Outcome

OVERWRITING = "overwriting"


@dataclass(frozen=True, slots=True)
class TunedJob:
    """Which encoder to fine-tune on what.

    Every default of the command that is not the paper's stands here.

    Attributes:
        corpus: Name of a reader.
        root: The release's folder.
        modality: ``text``, ``audio`` or ``video``.
        fold: Number of the fold from 1, or ``final`` to train on all rows for later use.
        settings: How to train; its seed is part of the file's place.
        encoder: Registry name, hub id or local folder; empty takes the paper's choice.
        store: The store's folder.
        text_column: As for frozen encoders.
        corpus_name: Name in the store; empty keeps the reader's.
        corpus_options: The reader's own options.
        folds: Name of the fold plan; empty takes the protocol's, else the corpus' own.
        protocol: Name in :mod:`embeddings_store.folds.protocols`; empty for none.
        protocol_files: Folder of the files that hold the protocol's folds, where it needs some.
        label_set: Name in :mod:`embeddings_store.corpus.label_sets`; empty takes the protocol's,
            else the corpus' own.
        inner: Number of inner folds; 0 for none, and then the one file of the fold is made.
        inner_fold: Which inner fold, from 1: its rows are left out of training, so that their
            vectors are out-of-fold; the epoch is still chosen on the fold's validation rows.
        pooling: Empty takes the one that belongs to the encoder.
        device: As for frozen encoders.
        max_duration_s: As for frozen encoders.
        long_rule: As for frozen encoders.
        max_tokens: As for frozen encoders.
        frame_rule: How pictures are drawn from a span, see :class:`extract.frames.FrameSettings`.
        region: Which part of the picture is used, see there.
        frame_cache: Folder of decoded pictures; none puts it into the store.
        frame_cache_gb: Its size in 10^9 bytes; 0 decodes each time.
        seen: What the encoder knew of the rows before it was fine-tuned.
        shuffle_labels: Seed of a permutation of all labels, to see whether everything then falls to
            chance; none for none.
        keep_models: Keep the tuned weights below ``models/`` after their vectors are made.
        memory_gb: Prepared inputs are kept in memory up to this many gigabytes.
        overwrite: Train again even if the vectors are there; if that is interrupted, it goes on.
    """

    corpus: str
    root: Path
    modality: str
    fold: str
    settings: TrainingSettings
    encoder: str = ""
    store: Path = Path("embeddings")
    text_column: str = ""
    corpus_name: str = ""
    corpus_options: Mapping[str, str] = field(default_factory=dict)
    folds: str = ""
    protocol: str = ""
    protocol_files: Path | None = None
    label_set: str = ""
    inner: int = 0
    inner_fold: int = 0
    pooling: str = ""
    device: str = "auto"
    max_duration_s: float = 10.0
    long_rule: str = "first"
    max_tokens: int = 128
    frame_rule: str = "uniform"
    region: str = "full"
    frame_cache: Path | None = None
    frame_cache_gb: float = 20.0
    seen: str = ""
    shuffle_labels: int | None = None
    keep_models: bool = False
    memory_gb: float = 4.0
    overwrite: bool = False

    @property
    def request(self) -> Request:
        """What is asked of the corpus: protocol, folds, label set."""
        return Request(self.protocol, self.folds, "", self.label_set, self.protocol_files)

    @property
    def column(self) -> str:
        """The manifest's column that is encoded."""
        return self.text_column or self.modality


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job with its corpus read, its encoder loaded and its rows assigned.

    Nothing is written yet.
    """

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
        return self.job.settings.steps(len(self.roles.fit))

    @property
    def to_read(self) -> NDArray[np.int64]:
        """Manifest positions that are read before training."""
        if frame_cache(self.job) is not None:
            return np.flatnonzero(self.dump.present)
        return np.concatenate([self.roles.fit, self.roles.choose])

    @property
    def checkpoints(self) -> Path:
        """Where a running training keeps its checkpoints."""
        return self.dump.running / "checkpoints"

    @property
    def keeps_model(self) -> bool:
        """Whether the tuned weights stay when their vectors are made."""
        return self.job.keep_models or self.job.fold == "final"


@dataclass(frozen=True, slots=True)
class Progress:
    """Whom to tell: ``say`` gets sentences, the others the number of rows read, steps done and rows finished."""

    say: dump.Say
    reading: dump.Advance
    training: dump.Advance
    rows: dump.Advance


def corpus_of(job: TunedJob) -> Manifest:
    """Read the job's corpus."""
    return read_manifest(job.corpus, job.root, job.corpus_options, job.corpus_name)


def fold_names(job: TunedJob, manifest: Manifest) -> list[str]:
    """Return what ``--fold all`` means for a corpus: the numbers of its plan."""
    return [
        str(fold.number) for fold in training_setup(manifest, job.request, job.settings.rule).plan
    ]


def roles_of(
    job: TunedJob, manifest: Manifest
) -> tuple[LabelSet, FoldPlan | None, NDArray[np.int64], Roles]:
    """Return the label set, the fold plan, none for ``final``, the class codes (N,) and what each row does.

    Raises:
        ProjectError: The corpus does not allow it.
    """
    if job.fold == "final" and (job.inner or job.settings.early_stopping):
        given = "--inner-folds" if job.inner else "--early-stopping"
        raise UsageError(
            f"--fold final trains on all rows, so there are none for {given}; leave it out"
        )
    if job.fold == "final" and job.protocol:
        raise UsageError(
            "--fold final trains on all rows, so it is of no protocol; leave out --protocol "
            f"{job.protocol} "
            "(--label-set says which classes)"
        )
    require_inputs(manifest, job.modality, job.column)
    plan, view = None, manifest
    if job.fold != "final":
        setup = training_setup(manifest, job.request, job.settings.rule)
        plan, view = setup.plan, setup.view
    elif job.label_set:
        view = view_of(manifest, job.label_set)
    codes = class_codes(view, job.shuffle_labels)
    return (
        view.labels,
        plan,
        codes,
        assign_roles(
            view, job.column, plan, job.fold, job.settings.rule, codes, (job.inner_fold, job.inner)
        ),
    )


def prepare(job: TunedJob, manifest: Manifest | None = None) -> Prepared:
    """Assign the rows and load the encoder.

    Args:
        job: What to do.
        manifest: The job's corpus, for callers that have read it already.

    Raises:
        ProjectError: The corpus, the plan, the encoder or an option is not as it must be.
    """
    from extract.encoders import resolve

    manifest = manifest or corpus_of(job)
    labels, plan, codes, roles = roles_of(job, manifest)
    augmenter(job.modality, job.settings.augment)
    resolved = resolve(
        job.encoder or default_encoder(job.corpus, job.root, job.modality), job.modality
    )
    encoder = _load(job, resolved, job.pooling)
    if job.settings.freeze.isdigit() and int(job.settings.freeze) > encoder.spec.layers:
        raise UsageError(
            f"--freeze-layers {job.settings.freeze}: {encoder.spec.name} has "
            f"{encoder.spec.layers} layers"
        )
    spec = job.seen or ("unknown" if encoder.likely_finetuned else "none")
    read = {"text_column": job.text_column} if job.text_column else {}
    settings = {
        **encoder.settings,
        **read,
        "weights_digest": encoder.weights_digest,
        "layer": "weighted" if job.settings.weighted_layers else encoder.spec.layers,
        **job.settings.fingerprinted(),
        "labels_digest": labels.digest,
        "labels_shuffled": job.shuffle_labels,
        "plan": plan.name if plan else "all rows",
        "plan_digest": plan.digest if plan else "",
        "inner": job.inner,
    }
    ref = EncoderRef(
        safe_name(encoder.spec.name),
        fingerprint(settings),
        job.column,
        encoder.spec.layers,
        job.settings.seed,
    )
    fold = f"{job.fold}.inner-{job.inner_fold}" if job.inner else job.fold
    described = dump.Dump(
        job.store,
        manifest,
        job.column,
        (ref,),
        (settings,),
        roles.seen_after(parse_seen(spec, manifest)),
        fold,
        classes=labels.classes,
        attributes={
            "seen_spec": spec,
            "weights_digest": "",
            "plan": plan.name if plan else "",
            "plan_digest": plan.digest if plan else "",
            "plan_valid": plan.valid if plan else "",
            "selection_rule": job.settings.rule if plan else FIXED_EPOCHS,
            "labels_digest": labels.digest,
            "label_set": labels.name,
            "protocol": job.protocol,
            "labels_shuffled": -1 if job.shuffle_labels is None else job.shuffle_labels,
        },
        provenance=encoder_provenance(
            encoder, Path(resolved.source).name if resolved.is_local else resolved.source
        ),
        overwrite=job.overwrite,
    )
    model_folder = (
        job.store / manifest.name / "models" / ref.folder / f"seed-{ref.seed}" / f"fold-{fold}"
    )
    return Prepared(job, described, encoder, roles, codes, model_folder)


def run_tuned(prepared: Prepared, progress: Progress) -> dump.Summary | None:
    """Train and dump what is not there yet; none in the helper processes of a distributed run.

    Raises:
        StoreBusyError: Another process makes the same vectors.
        StoreFullError: The disk is full; finished epochs and rows are safe.
        TrainingError: The training cannot go on.
    """
    device_type = prepared.encoder.device.type
    if distributed.rank():
        trains, start = distributed.agree(None, device_type)
        if trains:
            _train(prepared, progress, start)
        return None
    with dump.locked(prepared.dump):
        if prepared.job.overwrite:
            _start_over(prepared)
        if not prepared.pending:
            distributed.agree((False, None), device_type)
            _remove_leftovers(prepared, progress.say)
            return dump.summarise(prepared.dump)
        return _dump(prepared, _outcome(prepared, progress), progress)


def paper_settings(modality: str, **given: Any) -> TrainingSettings:
    """The paper's settings for a modality, with whatever is given instead."""
    if modality not in PAPER:
        raise UsageError(f"modality {modality!r} cannot be fine-tuned; there is {', '.join(PAPER)}")
    return TrainingSettings.for_modality(modality, **given)


def _load(job: TunedJob, source: Any, pooling: str) -> Any:
    from extract.encoders import InputSettings, load_encoder
    from extract.frames.settings import FrameSettings

    return load_encoder(
        source,
        layer="all" if job.settings.weighted_layers else "last",
        pooling=pooling or None,
        device=distributed.local_device(job.device),
        inputs=InputSettings(
            job.max_duration_s or None,
            job.long_rule,
            job.max_tokens,
            FrameSettings(rule=job.frame_rule, region=job.region),
        ),
    )


def _outcome(prepared: Prepared, progress: Progress) -> Outcome:
    """Return the outcome of the training, reading what earlier runs had finished of it."""
    from extract.finetuning.model_files import load_model, save_model
    from extract.finetuning.trainer import finished_log, restore

    job, folder, encoder, classes = (
        prepared.job,
        prepared.model_folder,
        prepared.encoder,
        len(prepared.dump.classes),
    )
    if is_complete(folder):
        distributed.agree((False, None), encoder.device.type)
        progress.say("goes on: the training was finished before")
        if prepared.keeps_model:
            marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
            write_json(folder / MARKER, {**marker, "kept": True})
        return load_model(folder, _load(job, str(folder / "encoder"), encoder.pooling), classes)
    start = resume_point(prepared.checkpoints)
    log = finished_log(start, job.settings)
    distributed.agree((log is None, start), encoder.device.type)
    if start is None or log is None:
        outcome = _train(prepared, progress, start)
    else:
        progress.say("goes on: every epoch was trained before")
        outcome = restore(encoder, classes, log, prepared.checkpoints, start)
    with explained(folder):
        save_model(
            outcome,
            folder,
            {
                "settings": dict(prepared.dump.settings[0]),
                "classes": list(prepared.dump.classes),
                "modality": job.modality,
                "fold": prepared.dump.fold,
                "kept": prepared.keeps_model,
            },
        )
    shutil.rmtree(prepared.checkpoints)
    return outcome


def _train(prepared: Prepared, progress: Progress, start: Checkpoint | None) -> Outcome:
    from extract.finetuning.dataset import Memory, Rows
    from extract.finetuning.trainer import finetune

    job, manifest, encoder, roles, codes = (
        prepared.job,
        prepared.dump.manifest,
        prepared.encoder,
        prepared.roles,
        prepared.codes,
    )
    cache, reading = frame_cache(job), progress.reading
    if cache is not None:  # Those rows too that are only dumped, while their files are open.
        decode_ahead(encoder, manifest, cache, prepared.to_read, reading)
        reading = _unheard
    read, memory = (
        reader_for(encoder, manifest, cache, job.column),
        Memory(int(job.memory_gb * 1e9)),
    )

    def load(position: int) -> Any:
        return read(manifest.row(position)).item

    train = Rows(
        encoder,
        load,
        roles.fit,
        codes[roles.fit],
        memory,
        augment=augmenter(job.modality, job.settings.augment),
        seed=job.settings.seed,
    )
    choose = (
        Rows(encoder, load, roles.choose, codes[roles.choose], memory)
        if len(roles.choose)
        else None
    )
    reasons = {**train.read(reading), **(choose.read(reading) if choose is not None else {})}
    if reasons:
        first = min(reasons)
        progress.say(
            f"{len(reasons)} rows cannot be read and are left out of training, first "
            f"{manifest.ids[first]}: "
            f"{reasons[first]}"
        )
    require_classes(
        prepared.dump.classes, train.labels, f"fold {prepared.dump.fold}, rows that can be read"
    )
    if choose is not None and not len(choose):
        raise FoldError(
            f"fold {prepared.dump.fold}: none of the rows that choose the epoch can be read, first "
            f"{manifest.ids[min(reasons)]}: {reasons[min(reasons)]}"
        )
    if start and start.about.get("rows") == train.digest:
        progress.say(
            f"goes on: training was at step {start.step} of {job.settings.steps(len(train))}"
        )
    return finetune(
        encoder,
        len(prepared.dump.classes),
        job.settings,
        train,
        choose,
        prepared.checkpoints,
        progress.training,
        start,
    )


def _dump(prepared: Prepared, outcome: Outcome, progress: Progress) -> dump.Summary:
    from extract.encoders.loading import digest_of_weights
    from extract.finetuning.classifier import TunedEncoder

    encoder, described = TunedEncoder(outcome.classifier), prepared.dump
    described = replace(
        described,
        provenance={**described.provenance, "training": dict(outcome.record)},
        attributes={
            **described.attributes,
            "weights_digest": digest_of_weights(outcome.classifier),
            "best_epoch": outcome.best_epoch,
        },
    )
    history = described.path(described.refs[0]).with_suffix(".history.csv")
    make_folder(history.parent)
    with replacing(history) as temporary:
        outcome.history.to_csv(temporary, index=False)
    read = reader_for(
        prepared.encoder, described.manifest, frame_cache(prepared.job), described.modality
    )
    summary = dump.write(described, encoder, read, progress.say, progress.rows, encoder.scores)
    _remove_leftovers(prepared, progress.say)
    return summary


def _unheard(count: int) -> None:
    """Tell nobody."""


def _start_over(prepared: Prepared) -> None:
    """Forget an earlier training, once.

    An interrupted ``--overwrite`` goes on like any other run.
    """
    running = prepared.dump.running
    if not (running / OVERWRITING).is_file():
        remove(prepared.model_folder)
        shutil.rmtree(running, ignore_errors=True)
        make_folder(running)
        (running / OVERWRITING).touch()


def _remove_leftovers(prepared: Prepared, say: dump.Say) -> None:
    """Remove what a finished job needs no more, and what a kill at its very end left.

    Models that someone keeps stay.
    """
    shutil.rmtree(prepared.dump.running, ignore_errors=True)
    folder = prepared.model_folder
    try:
        kept = json.loads((folder / MARKER).read_text(encoding="utf-8"))["kept"]
    except (OSError, ValueError, KeyError):
        kept = False
    if not kept:
        remove(folder)
        with suppress(OSError):  # The folders above, as far as they are empty.
            for above in list(folder.parents)[:3]:
                above.rmdir()
    if prepared.keeps_model and not kept:
        say("the vectors are there, but their model was not kept; --overwrite trains it again")
