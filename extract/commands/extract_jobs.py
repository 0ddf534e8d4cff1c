"""From the parsed arguments of ``extract-features`` to the jobs that they describe."""

from __future__ import annotations

import argparse
from dataclasses import fields

from embeddings_store.errors import UsageError
from embeddings_store.folds.protocols import PROTOCOLS
from embeddings_store.folds.setup import Request
from extract.commands.corpus_options import corpus_source
from extract.commands.face_options import face_source
from extract.corpora import READERS
from extract.encoders.settings import PRECISIONS, EncoderOptions, InputSettings
from extract.finetuning.augmentation import DEFAULT_AUGMENTATIONS
from extract.finetuning.row_roles import FoldChoice
from extract.finetuning.settings import TrainingSettings
from extract.frames.settings import FrameSettings
from extract.pipeline.finetuning_job import FinetuneJob, paper_settings
from extract.pipeline.frozen import FrozenJob
from extract.pipeline.job import EncoderChoice, StoreTarget

TRAINING_OPTIONS = (
    "fold",
    "folds",
    "protocol",
    "protocol_files",
    "label_set",
    "rule",
    "epochs",
    "learning_rate",
    "weight_decay",
    "scheduler",
    "warmup_ratio",
    "dropout",
    "gradient_accumulation",
    "freeze_layers",
    "label_smoothing",
    "early_stopping",
    "augment",
    "inner_folds",
    "eval_batch_size",
    "seed",
    "shuffle_labels",
    "class_weights",
    "balanced_sampling",
    "keep_models",
    "memory_gb",
)


def frozen_job(
    arguments: argparse.Namespace, modality: str, *, own_head: bool = False
) -> FrozenJob:
    """Return the job of ``--frozen``.

    Args:
        arguments: The command line.
        modality: What is encoded.
        own_head: Whether it is the one of ``--own-head``.

    Raises:
        UsageError: An option does not fit, or belongs to fine-tuning.
    """
    refuse_training_options(arguments)
    options = EncoderOptions(
        parse_layer(arguments.layer),
        arguments.pooling or None,
        arguments.device,
        arguments.batch_size or None,
        _frozen_precision(arguments),
        arguments.threads,
    )
    inputs = _input_settings(arguments, arguments.region)
    return FrozenJob(
        corpus_source(arguments),
        modality,
        EncoderChoice(arguments.encoder, options, inputs, arguments.seen),
        store_target(arguments),
        arguments.retry_failed,
        own_head,
    )


def refuse_training_options(arguments: argparse.Namespace) -> None:
    """Refuse an option of fine-tuning beside ``--frozen``, instead of ignoring it.

    Raises:
        UsageError: Which one was given.
    """
    for name in TRAINING_OPTIONS:
        value = getattr(arguments, name)
        # 0 is a value: --shuffle-labels 0 is refused too.
        if value is not None and value is not False and value != "":
            raise UsageError(
                f"--{name.replace('_', '-')} belongs to fine-tuning and does nothing with "
                "--frozen; leave one of them out"
            )


def finetune_jobs(arguments: argparse.Namespace, modality: str) -> list[FinetuneJob]:
    """Return one job per seed; the fold is still what the user wrote.

    Raises:
        UsageError: An option does not fit, or belongs to ``--frozen``.
    """
    _check_training_options(arguments)
    own = _own_training(arguments, modality)
    region = own.pop("region", None)
    inputs = _input_settings(arguments, arguments.region or region)
    options = EncoderOptions(pooling=arguments.pooling or None, device=arguments.device)
    training = {"augment": DEFAULT_AUGMENTATIONS[modality], **own, **_given_training(arguments)}
    kept = {} if arguments.memory_gb is None else {"memory_gb": arguments.memory_gb}
    return [
        FinetuneJob(
            corpus_source(arguments),
            modality,
            FoldChoice(arguments.fold),
            paper_settings(modality, **{**training, "seed": seed}),
            _request(arguments),
            EncoderChoice(arguments.encoder, options, inputs, arguments.seen),
            store_target(arguments),
            arguments.shuffle_labels,
            arguments.keep_models,
            **kept,
        )
        for seed in _seeds(arguments.seed)
    ]


def store_target(arguments: argparse.Namespace) -> StoreTarget:
    """Return where the vectors go."""
    return StoreTarget(
        arguments.store, arguments.frame_cache, arguments.frame_cache_gb, arguments.overwrite
    )


def parse_layer(text: str) -> str | int | list[int]:
    """Turn ``last``, ``all``, ``3`` or ``0,3`` into what ``load_encoder`` takes.

    Raises:
        UsageError: It is none of these.

    >>> parse_layer("all"), parse_layer("3"), parse_layer("0,3")
    ('all', 3, [0, 3])
    """
    if text in {"last", "all"}:
        return text
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(
            f"--layer {text!r} is neither last, all, a number, nor numbers with commas"
        ) from error
    return numbers[0] if len(numbers) == 1 else numbers


def _check_training_options(arguments: argparse.Namespace) -> None:
    if arguments.shuffle_labels is not None and arguments.shuffle_labels < 0:
        raise UsageError(
            f"--shuffle-labels {arguments.shuffle_labels}: expected a seed of 0 or more"
        )
    if arguments.retry_failed:
        raise UsageError(
            "--retry-failed belongs to --frozen; a fine-tuning is made again with --overwrite"
        )
    if arguments.threads:
        raise UsageError("--threads belongs to --frozen; fine-tuning takes what PyTorch takes")
    if arguments.own_head:
        raise UsageError(
            "--own-head belongs to --frozen: a fine-tuning trains a head of the corpus' labels, "
            "whose scores are kept anyway; leave it out"
        )
    if arguments.augment is not None and "none" in arguments.augment and len(arguments.augment) > 1:
        raise UsageError("--augment none stands alone")
    if arguments.inner_folds is not None and arguments.inner_folds < 2:
        raise UsageError(f"--inner-folds {arguments.inner_folds}: it takes 2 or more")
    if arguments.layer not in {"last", "weighted"}:
        raise UsageError(
            f"--layer {arguments.layer}: fine-tuning reads the last layer, or a learnt sum with "
            "--layer weighted; other layers go with --frozen"
        )


def _own_training(arguments: argparse.Namespace, modality: str) -> dict[str, object]:
    """Return how the corpus' own encoder is trained, if it brings one and no other is chosen."""
    if arguments.encoder or arguments.corpus not in READERS:
        return {}
    return dict(READERS[arguments.corpus].own_training(modality))


def _given_training(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the training's settings that the command line or its protocol gives."""
    values: dict[str, object] = {
        field.name: getattr(arguments, field.name, None) for field in fields(TrainingSettings)
    }
    values["freeze"] = arguments.freeze_layers
    values["weighted_layers"] = arguments.layer == "weighted"
    if arguments.augment is not None:
        values["augment"] = tuple(name for name in arguments.augment if name != "none")
    given = {name: value for name, value in values.items() if value is not None}
    protocol = PROTOCOLS.get(arguments.protocol.partition(":")[0])
    if protocol and protocol.rule:
        given.setdefault("rule", protocol.rule)
    return given


def _request(arguments: argparse.Namespace) -> Request:
    """Return protocol, fold plan and label set; the rule of validation rows follows from theirs."""
    return Request(
        arguments.protocol,
        arguments.folds or "",
        label_set=arguments.label_set,
        files=arguments.protocol_files,
    )


def _input_settings(arguments: argparse.Namespace, region: object) -> InputSettings:
    frames = FrameSettings(
        frames=arguments.frames or FrameSettings().frames,
        rule=arguments.frame_rule,
        region=str(region or InputSettings().frames.region),
        faces=face_source(arguments),
    )
    return InputSettings(
        arguments.max_duration_s or None, arguments.long_rule, arguments.max_tokens, frames
    )


def _frozen_precision(arguments: argparse.Namespace) -> str:
    """Return in what a frozen encoder multiplies."""
    precision = arguments.precision or EncoderOptions().precision
    if precision not in PRECISIONS:
        raise UsageError(
            f"--precision {precision} belongs to fine-tuning; with --frozen it is "
            f"{', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}"
        )
    return str(precision)


def _seeds(text: str | None) -> list[int]:
    try:
        seeds = [int(part) for part in (text or "0").split(",")]
    except ValueError as error:
        raise UsageError(f"--seed {text!r}: expected a number, or several with commas") from error
    return list(dict.fromkeys(seeds))
