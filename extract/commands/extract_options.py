"""The arguments of ``extract-features``, and the jobs that they describe."""

from __future__ import annotations

import argparse
from dataclasses import MISSING, fields
from pathlib import Path

from embeddings_store.commands.common import parser
from embeddings_store.commands.protocol_options import add_protocol_options
from embeddings_store.errors import UsageError
from embeddings_store.folds.protocols import PROTOCOLS
from embeddings_store.folds.rules import PLAN_NAMES
from embeddings_store.folds.validation_rules import SELECTION_RULES
from extract.corpora import READERS, corpus_names
from extract.finetuning.augmentation import AUGMENTATIONS, DEFAULT_AUGMENTATIONS
from extract.finetuning.settings import PAPER, PRECISIONS, SCHEDULERS, TrainingSettings
from extract.frames.settings import REGIONS
from extract.frames.settings import RULES as FRAME_RULES
from extract.pipeline.finetuned import TunedJob, paper_settings
from extract.pipeline.frozen import FrozenJob
from extract.pipeline.job import PAPER_ENCODERS

PROGRAM = "extract-features"
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
    "precision",
    "inner_folds",
    "eval_batch_size",
    "seed",
    "shuffle_labels",
    "class_weights",
    "balanced_sampling",
    "keep_models",
    "memory_gb",
)
# Without a default on the command line, so that one sees whether they were given, or because they
# are none of its options.
UNSAID = {
    "shuffle_labels",
    "keep_models",
    "folds",
    "batch_size",
    "inner",
    "inner_fold",
    "memory_gb",
    "region",
}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; every default comes from the dataclass of its job."""
    top = parser(
        PROGRAM,
        "Turn a corpus into vectors: one per utterance, modality, encoder and fold, in a store "
        "that says what "
        "made them.",
        [
            f"{PROGRAM} --corpus iemocap --root IEMOCAP_full_release --modality audio --fold 3",
            f"{PROGRAM} --corpus iemocap --root IEMOCAP_full_release --modality all --fold all "
            "--dry-run",
            f"{PROGRAM} --corpus iemocap --root IEMOCAP_full_release --modality text --fold all "
            "--protocol iemocap-selection",
            f"{PROGRAM} --corpus iemocap --root IEMOCAP_full_release --list-protocols",
            f"{PROGRAM} --corpus ravdess --root RAVDESS --modality audio --encoder whisper-tiny "
            "--frozen --layer all",
            f"{PROGRAM} --corpus manifest --root mine.csv --modality text --encoder FOLDER --fold "
            "all --epochs 5",
            f"{PROGRAM} --list",
            "torchrun --nproc-per-node 4 -m extract.commands.extract_features --corpus iemocap "
            "--root DIR --modality video --fold 1",
        ],
    )
    _add_what(top)
    _add_how(top)
    _add_video(top)
    _add_training(top)
    _add_run(top)
    top.set_defaults(**_defaults())
    return top


def frozen_job(arguments: argparse.Namespace, modality: str) -> FrozenJob:
    """Return the job of ``--frozen``; a training option beside it is refused, not ignored."""
    values = {name: getattr(arguments, name) for name in TRAINING_OPTIONS}
    said = [
        name
        for name, value in values.items()
        if value is not None and value is not False and value != ""
    ]
    given = [f"--{name.replace('_', '-')}" for name in said]
    if given:
        raise UsageError(
            f"{given[0]} belongs to fine-tuning and does nothing with --frozen; leave one of them "
            "out"
        )
    values = {
        f.name: getattr(arguments, f.name)
        for f in fields(FrozenJob)
        if getattr(arguments, f.name, None) is not None
    }
    return FrozenJob(
        **{
            **values,
            "batch_size": arguments.batch_size or 0,
            "modality": modality,
            "corpus_options": corpus_options(arguments),
        }
    )


def tuned_jobs(arguments: argparse.Namespace, modality: str) -> list[TunedJob]:
    """Return one job per seed; the fold is still what the user wrote.

    Raises:
        UsageError: An option does not fit, or belongs to ``--frozen``.
    """
    if arguments.shuffle_labels is not None and arguments.shuffle_labels < 0:
        raise UsageError(
            f"--shuffle-labels {arguments.shuffle_labels}: expected a seed of 0 or more"
        )
    if arguments.retry_failed:
        raise UsageError(
            "--retry-failed belongs to --frozen; a fine-tuning is made again with --overwrite"
        )
    if arguments.augment is not None and "none" in arguments.augment and len(arguments.augment) > 1:
        raise UsageError("--augment none stands alone")
    if arguments.inner_folds is not None and arguments.inner_folds < 2:
        raise UsageError(f"--inner-folds {arguments.inner_folds}: it takes 2 or more")
    if arguments.layer not in {"last", "weighted"}:
        raise UsageError(
            f"--layer {arguments.layer}: fine-tuning reads the last layer, or a learnt sum with "
            "--layer weighted; "
            "other layers go with --frozen"
        )
    names = {f.name for f in fields(TunedJob)}
    values = {
        name: value
        for name, value in vars(arguments).items()
        if name in names and value is not None
    }
    own = (
        dict(READERS[arguments.corpus].own_training(modality))
        if not arguments.encoder and arguments.corpus in READERS
        else {}
    )
    if "region" in own:
        values.setdefault("region", own.pop("region"))
    augment = (
        None
        if arguments.augment is None
        else tuple(name for name in arguments.augment if name != "none")
    )
    training = {f.name: getattr(arguments, f.name, None) for f in fields(TrainingSettings)} | {
        "freeze": arguments.freeze_layers,
        "augment": augment,
        "weighted_layers": arguments.layer == "weighted",
    }
    said = {name: value for name, value in training.items() if value is not None}
    row = PROTOCOLS.get(arguments.protocol.partition(":")[0])
    if row and row.rule:
        said.setdefault("rule", row.rule)
    chosen = {"augment": DEFAULT_AUGMENTATIONS[modality], **own, **said}
    return [
        TunedJob(
            **{
                **values,
                "modality": modality,
                "corpus_options": corpus_options(arguments),
                "settings": paper_settings(modality, **{**chosen, "seed": seed}),
            }
        )
        for seed in _seeds(arguments.seed)
    ]


def _defaults() -> dict[str, object]:
    return {
        f.name: f.default
        for job in (TunedJob, FrozenJob)
        for f in fields(job)
        if f.default is not MISSING and f.name not in UNSAID
    }


def _add_what(top: argparse.ArgumentParser) -> None:
    what = top.add_argument_group("what")
    what.add_argument("--corpus", help=f"the reader: {', '.join(corpus_names())}")
    what.add_argument(
        "--root",
        type=Path,
        help="the release's folder; for --corpus manifest, the CSV or Parquet file",
    )
    what.add_argument("--corpus-name", help="its name in the store (default: the reader's)")
    what.add_argument(
        "--corpus-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the reader, see --list; may be repeated",
    )
    what.add_argument(
        "--modality",
        choices=[*PAPER_ENCODERS, "all"],
        help="which input to encode; all takes those that the corpus has",
    )
    what.add_argument(
        "--text-column",
        metavar="meta_NAME",
        help="with --modality text: encode this metadata column instead of the transcript, such "
        "as a dialogue's "
        "history; in the store it is a modality of that name",
    )
    what.add_argument(
        "--fold",
        help="fine-tune for this fold, counted from 1; all for every fold, final to train on all "
        "rows",
    )
    what.add_argument(
        "--frozen",
        action="store_true",
        help="do not fine-tune: use the encoder as it is; one file serves every fold",
    )
    what.add_argument("--store", type=Path, help="the store (default: %(default)s)")
    what.add_argument(
        "--list", action="store_true", help="list corpora, their options, and encoders, and stop"
    )


def _add_how(top: argparse.ArgumentParser) -> None:
    how = top.add_argument_group("how")
    choices = ", ".join(f"{encoder} for {modality}" for modality, encoder in PAPER_ENCODERS.items())
    how.add_argument(
        "--encoder",
        help="a registry name, a hub id, or a local folder (default: the paper's choice, "
        f"{choices})",
    )
    how.add_argument(
        "--layer",
        help="with --frozen: last, a number (0 is the input of the first layer), several with "
        "commas, or "
        "all; else last or weighted (default: %(default)s)",
    )
    how.add_argument(
        "--pooling", help="from states to one vector (default: what belongs to the encoder)"
    )
    how.add_argument(
        "--max-duration-s",
        type=float,
        help="longer clips are cut to this many seconds, 0 for not at all (default: %(default)s, "
        "as in the paper)",
    )
    how.add_argument(
        "--long-rule",
        choices=["first", "middle"],
        help="which part of a longer clip is used (default: %(default)s)",
    )
    how.add_argument(
        "--max-tokens",
        type=int,
        help="longer transcripts are cut to this many tokens (default: %(default)s)",
    )
    how.add_argument(
        "--seen",
        help="what the encoder knows of the rows beforehand: none, unknown, split:NAME or a file "
        "(default: none; unknown where the checkpoint has a classifier, since that learnt labels)",
    )


def _add_video(top: argparse.ArgumentParser) -> None:
    video = top.add_argument_group("video")
    video.add_argument(
        "--frame-rule",
        choices=FRAME_RULES,
        help="uniform: spread over the utterance; consecutive: at 30 Hz from its middle (default: "
        "%(default)s)",
    )
    video.add_argument(
        "--region",
        choices=REGIONS,
        help="the whole picture (default), the speaker's half of a split screen, "
        "that half without IEMOCAP's letterbox, or the face that is found in "
        "the picture or in that half (needs the extra 'face')",
    )
    video.add_argument(
        "--frame-cache",
        type=Path,
        metavar="DIR",
        help="decoded pictures are kept here for other epochs, folds and encoders (default: "
        "STORE/.frames)",
    )
    video.add_argument(
        "--frame-cache-gb",
        type=float,
        metavar="GB",
        help="its size; 0 decodes each time (default: %(default)s)",
    )
    video.add_argument(
        "--clear-frame-cache", action="store_true", help="remove the decoded pictures and stop"
    )
    video.add_argument(
        "--contact-sheet",
        type=Path,
        metavar="FILE.png",
        help="draw what each region keeps of some utterances, for the eye, and stop",
    )


def _add_training(top: argparse.ArgumentParser) -> None:
    per_modality = "; ".join(
        f"{m} {int(p['epochs'])} epochs, batch {int(p['batch_size'])}, rate {p['learning_rate']:g}"
        for m, p in PAPER.items()
    )
    train = top.add_argument_group(
        f"fine-tuning (defaults per modality are the paper's: {per_modality})"
    )
    plain = {f.name: f.default for f in fields(TrainingSettings)}
    add_protocol_options(train)
    train.add_argument(
        "--folds",
        metavar="PLAN",
        help=f"the fold plan: {', '.join(PLAN_NAMES)} (default: the corpus' own)",
    )
    rules = "; ".join(f"{rule.name}: {rule.option}" for rule in SELECTION_RULES.values())
    train.add_argument(
        "--rule",
        choices=list(SELECTION_RULES),
        help=f"which rows choose the epoch: {rules} (default: {plain['rule']})",
    )
    train.add_argument("--epochs", type=int, help="passes over the training rows")
    train.add_argument("--learning-rate", type=float, help="peak of the schedule")
    train.add_argument(
        "--weight-decay", type=float, help=f"(default: {plain['weight_decay']}, as in the paper)"
    )
    train.add_argument("--scheduler", choices=SCHEDULERS, help=f"(default: {plain['scheduler']})")
    train.add_argument(
        "--warmup-ratio", type=float, help=f"part of all steps (default: {plain['warmup_ratio']:g})"
    )
    train.add_argument(
        "--gradient-accumulation",
        type=int,
        help=f"batches per step of the optimiser (default: {plain['gradient_accumulation']})",
    )
    train.add_argument(
        "--eval-batch-size",
        type=int,
        help="utterances per batch and device when validating; changes no number",
    )
    train.add_argument(
        "--seed",
        help="several with commas run one after the other and stand side by side (default: 0)",
    )
    train.add_argument(
        "--freeze-layers",
        metavar="N|auto|none",
        help="auto freezes the convolutions of speech encoders that read samples; N freezes what "
        "lies before the "
        f"layers and N layers (default: {plain['freeze']})",
    )
    train.add_argument("--label-smoothing", type=float, help="0 to below 1 (default: 0)")
    train.add_argument(
        "--class-weights", action="store_true", help="weigh the loss by inverse class frequency"
    )
    train.add_argument(
        "--balanced-sampling",
        action="store_true",
        help="draw rows so that classes are equally frequent",
    )
    train.add_argument(
        "--dropout", type=float, help="between vector and head, in training only (default: 0)"
    )
    train.add_argument(
        "--early-stopping",
        type=int,
        metavar="EPOCHS",
        help="stop after this many epochs without a better one",
    )
    known = "; ".join(f"{m}: {', '.join(a)}" for m, a in AUGMENTATIONS.items())
    train.add_argument(
        "--augment",
        nargs="+",
        metavar="NAME",
        help=f"in training only: {known}; or none (default: flip for video, as in the paper)",
    )
    train.add_argument(
        "--precision", choices=PRECISIONS, help="auto is bf16 on a GPU that has it (default: auto)"
    )
    train.add_argument(
        "--inner-folds",
        type=int,
        metavar="N",
        help="also train N inner folds on the training rows, which gives out-of-fold vectors of "
        "them",
    )
    train.add_argument(
        "--keep-models",
        action="store_true",
        help="keep tuned weights in STORE/CORPUS/models (always with --fold final)",
    )
    train.add_argument(
        "--shuffle-labels",
        type=int,
        metavar="SEED",
        help="train on permuted labels: everything must fall to chance",
    )
    memory_gb = next(f.default for f in fields(TunedJob) if f.name == "memory_gb")
    train.add_argument(
        "--memory-gb",
        type=float,
        help="prepared inputs are kept in memory up to this, the rest is read each time "
        f"(default: {memory_gb:g})",
    )


def _add_run(top: argparse.ArgumentParser) -> None:
    run = top.add_argument_group("running")
    run.add_argument(
        "--batch-size",
        type=int,
        help="utterances per batch, over all devices; with --frozen it changes no vector, "
        "and the default is what was measured to be fast",
    )
    run.add_argument("--device", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)")
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="show what would run, what exists, what changed, and what it costs",
    )
    run.add_argument(
        "--overwrite", action="store_true", help="make the vectors again even if they are there"
    )
    run.add_argument(
        "--retry-failed",
        action="store_true",
        help="with --frozen: try the failed rows of a finished file once more",
    )
    run.add_argument("--quiet", action="store_true", help="print errors only")


def corpus_options(arguments: argparse.Namespace) -> dict[str, str]:
    """Return what ``--corpus-option`` gave, by name.

    Raises:
        UsageError: One is no ``NAME=VALUE``.
    """
    options = {}
    for pair in arguments.corpus_option:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--corpus-option {pair!r}: write NAME=VALUE")
        options[name] = value
    return options


def _seeds(text: str | None) -> list[int]:
    try:
        seeds = [int(part) for part in (text or "0").split(",")]
    except ValueError as error:
        raise UsageError(f"--seed {text!r}: expected a number, or several with commas") from error
    return list(dict.fromkeys(seeds))
