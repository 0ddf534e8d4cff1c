"""Before anything is trained: rows get their roles, and the encoder is loaded.

What will be written is named here, with the settings that its fingerprint is made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest, safe_name
from embeddings_store.errors import UsageError
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.folds.setup import view_of
from embeddings_store.folds.validation_rules import FIXED_EPOCHS
from embeddings_store.provenance import fingerprint
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.seen import parse_seen
from extract.finetuning import distributed
from extract.finetuning.augmentation import augmenter
from extract.finetuning.row_roles import Roles, assign_roles, class_codes, training_setup
from extract.pipeline.film_parts import require_sides
from extract.pipeline.finetuning_job import FinetuneJob
from extract.pipeline.job import encoder_provenance, require_inputs
from extract.pipeline.write import Dump, finished

if TYPE_CHECKING:
    from extract.encoders.base import ModelEncoder
    from extract.encoders.resolving import ResolvedEncoder


@dataclass(frozen=True, slots=True)
class RowAssignment:
    """What each row of a corpus is for in one training.

    Attributes:
        labels: The label set that is trained on.
        plan: The fold plan; none where all rows are trained on.
        codes: Class code of each row (N,), -1 for none, permuted where that was asked for.
        roles: Which rows are trained on, and which choose the epoch.
    """

    labels: LabelSet
    plan: FoldPlan | None
    codes: NDArray[np.int64]
    roles: Roles

    def settings(self) -> dict[str, object]:
        """Return what of the plan changes a vector."""
        return {
            "plan": self.plan.name if self.plan else "all rows",
            "plan_digest": self.plan.digest if self.plan else "",
        }


@dataclass(frozen=True, slots=True)
class PreparedFinetuning:
    """A job with its corpus read, its encoder loaded and its rows assigned; nothing is written yet.

    Attributes:
        job: What was asked for.
        dump: What will be written where.
        encoder: The loaded encoder; training changes its weights.
        roles: Which rows are trained on, and which choose the epoch.
        codes: Class code of each row (N,), -1 for none.
        model_folder: Where the tuned weights go.
    """

    job: FinetuneJob
    dump: Dump
    encoder: ModelEncoder
    roles: Roles
    codes: NDArray[np.int64]
    model_folder: Path

    @property
    def pending(self) -> bool:
        """Whether there is anything to do."""
        return not finished(self.dump)

    @property
    def steps(self) -> int:
        """Steps of the optimiser that a whole training takes."""
        return self.job.settings.steps(len(self.roles.fit))

    @property
    def to_read(self) -> NDArray[np.int64]:
        """Manifest positions (n,) that are read before training."""
        if self.job.target.open_cache(self.job.modality) is not None:
            return np.flatnonzero(self.dump.present)
        return np.concatenate([self.roles.fit, self.roles.choose])

    @property
    def checkpoints(self) -> Path:
        """Where a running training keeps its checkpoints."""
        return self.dump.running / "checkpoints"


def assign_rows(job: FinetuneJob, manifest: Manifest) -> RowAssignment:
    """Say what each row of the corpus is for.

    Raises:
        ProjectError: The corpus does not allow it.
    """
    fold = job.fold
    if fold.is_final:
        _check_final(job)
    require_inputs(manifest, job.modality, job.column)
    if job.modality == "video":
        require_sides(manifest, job.encoder.inputs.frames.region)
    plan, view = None, manifest
    if not fold.is_final:
        setup = training_setup(manifest, job.request, job.settings.rule)
        plan, view = setup.plan, setup.view
    elif job.request.label_set:
        view = view_of(manifest, job.request.label_set)
    codes = class_codes(view, job.shuffle_labels)
    roles = assign_roles(view, job.column, plan, fold, job.settings.rule, codes)
    assert view.labels is not None  # noqa: S101 - class_codes refuses a corpus without labels
    return RowAssignment(view.labels, plan, codes, roles)


def prepare_finetuning(
    job: FinetuneJob, manifest: Manifest | None = None, encoder: ModelEncoder | None = None
) -> PreparedFinetuning:
    """Assign the rows and load the encoder.

    Args:
        job: What to do.
        manifest: The job's corpus, for callers that have read it already.
        encoder: The job's encoder, for callers that have loaded it already and trained nothing.

    Raises:
        ProjectError: The corpus, the plan, the encoder or an option is not as it must be.
    """
    if manifest is None:
        manifest = job.source.read()
    rows = assign_rows(job, manifest)
    augmenter(job.modality, job.settings.augment)  # Refuses a name that it does not know.
    resolved = job.encoder.resolve(job.source, job.modality)
    if encoder is None:
        encoder = load_for_training(job, resolved, job.encoder.options.pooling)
    freeze = job.settings.freeze
    if freeze.isdigit() and int(freeze) > encoder.spec.layers:
        raise UsageError(
            f"--freeze-layers {freeze}: {encoder.spec.name} has {encoder.spec.layers} layers"
        )
    settings = _fingerprinted(job, encoder, rows)
    ref = EncoderRef(
        safe_name(encoder.spec.name),
        fingerprint(settings),
        job.column,
        encoder.spec.layers,
        job.settings.seed,
    )
    seen = job.encoder.seen_by(encoder)
    dump = Dump(
        job.target.folder,
        manifest,
        job.column,
        (ref,),
        (settings,),
        rows.roles.seen_after(parse_seen(seen, manifest)),
        job.fold.name,
        classes=rows.labels.classes,
        attributes=_attributes(job, rows, seen),
        provenance=encoder_provenance(encoder, resolved),
        overwrite=job.target.overwrite,
    )
    models = job.target.folder / manifest.name / "models"
    model_folder = models / ref.folder / f"seed-{ref.seed}" / f"fold-{job.fold.name}"
    return PreparedFinetuning(job, dump, encoder, rows.roles, rows.codes, model_folder)


def load_for_training(
    job: FinetuneJob, source: str | ResolvedEncoder, pooling: str | None
) -> ModelEncoder:
    """Load an encoder with the layers that are trained, on the device of this process.

    Args:
        job: Says what is trained, and what the encoder is given.
        source: The encoder that was chosen, or the folder of one that was trained.
        pooling: None for the encoder's own.

    Raises:
        UsageError: The encoder is a fixed set of features.
    """
    from extract.encoders import load_encoder
    from extract.encoders.base import ModelEncoder

    encoder = load_encoder(
        source,
        layer="all" if job.settings.weighted_layers else "last",
        pooling=pooling,
        device=distributed.local_device(job.encoder.options.device),
        inputs=job.encoder.inputs,
    )
    if not isinstance(encoder, ModelEncoder):
        raise UsageError(
            f"{encoder.spec.name} is a fixed set of features, so nothing of it can be fine-tuned; "
            "use --frozen instead of --fold"
        )
    return encoder


def _check_final(job: FinetuneJob) -> None:
    """Refuse what needs rows that are not trained on.

    Raises:
        UsageError: Which option does.
    """
    if job.fold.inner_folds or job.settings.early_stopping:
        option = "--inner-folds" if job.fold.inner_folds else "--early-stopping"
        raise UsageError(
            f"--fold final trains on all rows, so there are none for {option}; leave it out"
        )
    if job.request.protocol:
        raise UsageError(
            "--fold final trains on all rows, so it is of no protocol; leave out --protocol "
            f"{job.request.protocol} (--label-set says which classes)"
        )


def _fingerprinted(
    job: FinetuneJob, encoder: ModelEncoder, rows: RowAssignment
) -> dict[str, object]:
    """Return everything that changes a vector; the fingerprint is made of it."""
    return {
        **encoder.settings,
        **job.source.settings(),
        "weights_digest": encoder.weights_digest,
        "layer": "weighted" if job.settings.weighted_layers else encoder.spec.layers,
        **job.settings.fingerprinted(),
        "labels_digest": rows.labels.digest,
        "labels_shuffled": job.shuffle_labels,
        **rows.settings(),
        "inner": job.fold.inner_folds,
    }


def _attributes(job: FinetuneJob, rows: RowAssignment, seen: str) -> Mapping[str, object]:
    """Return what the file says besides its settings."""
    plan = rows.plan
    return {
        "seen_spec": seen,
        "weights_digest": "",  # Known after training.
        "plan": plan.name if plan else "",
        "plan_digest": plan.digest if plan else "",
        "plan_valid": plan.valid if plan else "",
        "selection_rule": job.settings.rule if plan else FIXED_EPOCHS,
        "labels_digest": rows.labels.digest,
        "label_set": rows.labels.name,
        "protocol": job.request.protocol,
        "labels_shuffled": -1 if job.shuffle_labels is None else job.shuffle_labels,
    }
