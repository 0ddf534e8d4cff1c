"""Train for one fold and seed, then store vectors and scores of every row."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from embeddings_store.atomic import explained, make_folder, replacing
from embeddings_store.errors import FoldError
from extract.finetuning import distributed
from extract.finetuning.augmentation import augmenter
from extract.finetuning.checkpoints import Checkpoint, is_complete, resume_point
from extract.finetuning.row_roles import require_classes
from extract.pipeline.finetuning_prepare import PreparedFinetuning, load_for_training
from extract.pipeline.finetuning_resume import remember_to_keep, remove_leftovers, start_over
from extract.pipeline.inputs import decode_ahead, reader_for
from extract.pipeline.one_reason import refuse_one_reason
from extract.pipeline.write import Advance, Notify, Summary, locked, summarise, write

if TYPE_CHECKING:
    from extract.finetuning.dataset import TrainingRows
    from extract.finetuning.model_files import TrainingOutcome


@dataclass(frozen=True, slots=True)
class FinetuningProgress:
    """Who hears how far a fine-tuning is.

    Attributes:
        notify: Called with each sentence that a user should read.
        reading: Called with the number of rows that were just read.
        training: Called with the number of steps that were just done.
        rows: Called with the number of rows whose vectors were just made.
    """

    notify: Notify
    reading: Advance
    training: Advance
    rows: Advance


def run_finetuning(prepared: PreparedFinetuning, progress: FinetuningProgress) -> Summary | None:
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
    with locked(prepared.dump):
        if prepared.job.target.overwrite:
            start_over(prepared)
        if not prepared.pending:
            distributed.agree((False, None), device_type)
            remove_leftovers(prepared, progress.notify)
            return summarise(prepared.dump)
        return _dump(prepared, _outcome(prepared, progress), progress)


def _outcome(prepared: PreparedFinetuning, progress: FinetuningProgress) -> TrainingOutcome:
    """Return the outcome of the training, reading what earlier runs had finished of it."""
    from extract.finetuning.model_files import save_model

    if is_complete(prepared.model_folder):
        distributed.agree((False, None), prepared.encoder.device.type)
        progress.notify("goes on: the training was finished before")
        return _saved_outcome(prepared)
    outcome = _trained_outcome(prepared, progress)
    about = {
        "settings": dict(prepared.dump.settings[0]),
        "classes": list(prepared.dump.classes),
        "modality": prepared.job.modality,
        "fold": prepared.dump.fold,
        "kept": prepared.job.keeps_model,
    }
    with explained(prepared.model_folder):
        save_model(outcome, prepared.model_folder, about)
    shutil.rmtree(prepared.checkpoints)
    return outcome


def _saved_outcome(prepared: PreparedFinetuning) -> TrainingOutcome:
    """Load the model that an earlier run had saved."""
    from extract.finetuning.model_files import load_model

    folder = prepared.model_folder
    if prepared.job.keeps_model:
        remember_to_keep(folder)
    tuned = load_for_training(prepared.job, str(folder / "encoder"), prepared.encoder.pooling)
    return load_model(folder, tuned, len(prepared.dump.classes))


def _trained_outcome(prepared: PreparedFinetuning, progress: FinetuningProgress) -> TrainingOutcome:
    """Train, from the last checkpoint if there is one."""
    from extract.finetuning.trainer import finished_log, restore

    start = resume_point(prepared.checkpoints)
    log = finished_log(start, prepared.job.settings)
    distributed.agree((log is None, start), prepared.encoder.device.type)
    if start is None or log is None:
        return _train(prepared, progress, start)
    progress.notify("goes on: every epoch was trained before")
    classes = len(prepared.dump.classes)
    return restore(prepared.encoder, classes, log, prepared.checkpoints, start)


def _train(
    prepared: PreparedFinetuning, progress: FinetuningProgress, start: Checkpoint | None
) -> TrainingOutcome:
    from extract.finetuning.trainer import finetune

    settings, classes = prepared.job.settings, prepared.dump.classes
    train, choose = _read_rows(prepared, progress)
    if start and start.about.get("rows") == train.digest:
        steps = settings.steps(len(train))
        progress.notify(f"goes on: training was at step {start.step} of {steps}")
    return finetune(
        prepared.encoder,
        len(classes),
        settings,
        train,
        choose,
        prepared.checkpoints,
        progress.training,
        start,
    )


def _read_rows(
    prepared: PreparedFinetuning, progress: FinetuningProgress
) -> tuple[TrainingRows, TrainingRows | None]:
    """Read the rows that are trained on and those that choose the epoch, none for no such rows.

    Raises:
        MediaError: Every row fails for one reason.
        FoldError: A class has no row that can be read, or none of the rows that choose the epoch
            can.
    """
    from extract.finetuning.dataset import Memory, TrainingRows

    job, encoder = prepared.job, prepared.encoder
    manifest, roles, codes = prepared.dump.manifest, prepared.roles, prepared.codes
    cache, reading = job.target.open_cache(job.modality), progress.reading
    read = reader_for(encoder, manifest, cache, job.column)
    refuse_one_reason(read, manifest, roles.fit.tolist())
    if cache is not None:  # Those rows too that are only dumped, while their files are open.
        decode_ahead(encoder, manifest, cache, prepared.to_read, reading)
        reading = _ignore
    memory = Memory(int(job.memory_gb * 1e9))

    def load(position: int) -> Any:
        return read(manifest.row(position)).item

    train = TrainingRows(
        encoder,
        load,
        roles.fit,
        codes[roles.fit],
        memory,
        augment=augmenter(job.modality, job.settings.augment),
        seed=job.settings.seed,
    )
    choose = None
    if len(roles.choose):
        choose = TrainingRows(encoder, load, roles.choose, codes[roles.choose], memory)
    reasons = train.read(reading)
    if choose is not None:
        reasons |= choose.read(reading)
    if reasons:
        first = min(reasons)
        progress.notify(
            f"{len(reasons)} rows cannot be read and are left out of training, first "
            f"{manifest.ids[first]}: {reasons[first]}"
        )
    fold = prepared.dump.fold
    require_classes(prepared.dump.classes, train.labels, f"fold {fold}, rows that can be read")
    if choose is not None and not len(choose):
        first = min(reasons)
        raise FoldError(
            f"fold {fold}: none of the rows that choose the epoch can be read, first "
            f"{manifest.ids[first]}: {reasons[first]}"
        )
    return train, choose


def _dump(
    prepared: PreparedFinetuning, outcome: TrainingOutcome, progress: FinetuningProgress
) -> Summary:
    from extract.encoders.loading import digest_of_weights
    from extract.finetuning.classifier import FinetunedEncoder

    encoder, dump = FinetunedEncoder(outcome.classifier), prepared.dump
    dump = replace(
        dump,
        provenance={**dump.provenance, "training": dict(outcome.record)},
        attributes={
            **dump.attributes,
            "weights_digest": digest_of_weights(outcome.classifier),
            "best_epoch": outcome.best_epoch,
        },
    )
    history = dump.path(dump.refs[0]).with_suffix(".history.csv")
    make_folder(history.parent)
    with replacing(history) as temporary:
        outcome.history.to_csv(temporary, index=False)
    cache = prepared.job.target.open_cache(prepared.job.modality)
    read = reader_for(prepared.encoder, dump.manifest, cache, dump.modality)
    summary = write(dump, encoder, read, progress.notify, progress.rows, encoder.scores)
    remove_leftovers(prepared, progress.notify)
    return summary


def _ignore(count: int) -> None:
    """Count nothing."""
