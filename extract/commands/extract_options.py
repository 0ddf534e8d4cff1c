"""The options of ``extract-features``; their defaults are those of the jobs that they describe."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from embeddings_store.commands.common import parser
from embeddings_store.commands.protocol_options import add_protocol_options
from embeddings_store.folds.rules import PLAN_NAMES
from embeddings_store.folds.validation_rules import SELECTION_RULES
from extract.commands.corpus_options import add_reading_options
from extract.commands.face_options import add_face_options
from extract.commands.window_options import add_window_options
from extract.corpora import corpus_names
from extract.encoders.architectures import PERCENTILES
from extract.encoders.settings import PRECISIONS as FROZEN_IN
from extract.encoders.settings import EncoderOptions, InputSettings
from extract.finetuning.augmentation import AUGMENTATIONS
from extract.finetuning.settings import PAPER, SCHEDULERS, TrainingSettings
from extract.finetuning.settings import PRECISIONS as TRAINED_IN
from extract.frames.settings import REGIONS
from extract.frames.settings import RULES as FRAME_RULES
from extract.pipeline.finetuning_job import FinetuneJob
from extract.pipeline.job import PAPER_ENCODERS, EncoderChoice, StoreTarget

PROGRAM = "extract-features"
# Where a default is shown or used, it comes from the value that the jobs are composed of.
_OPTIONS, _INPUTS = EncoderOptions(), InputSettings()
_ENCODER, _TARGET = EncoderChoice(), StoreTarget()


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; every default comes from the dataclass of its job."""
    top = parser(
        PROGRAM,
        "Turn a corpus into vectors: one per utterance, modality, encoder and fold, in a store "
        "that says what made them.",
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
            f"{PROGRAM} --corpus reels --root reels --modality video --encoder vit-base --frozen "
            "--window-s 1 --hop-s 0.5 --frames 4",
            f"{PROGRAM} --list",
            "torchrun --nproc-per-node 4 -m extract.commands.extract_features --corpus iemocap "
            "--root DIR --modality video --fold 1",
        ],
    )
    _add_what(top)
    _add_how(top)
    _add_video(top)
    add_window_options(top)
    _add_training(top)
    _add_run(top)
    return top


def _add_what(top: argparse.ArgumentParser) -> None:
    what = top.add_argument_group("what")
    what.add_argument("--corpus", help=f"the reader: {', '.join(corpus_names())}")
    what.add_argument(
        "--root",
        type=Path,
        help="the release's folder; for --corpus manifest, the CSV or Parquet file",
    )
    what.add_argument(
        "--corpus-name", default="", help="its name in the store (default: the reader's)"
    )
    what.add_argument(
        "--corpus-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the reader, see --list; may be repeated",
    )
    add_reading_options(what)
    what.add_argument(
        "--modality",
        choices=[*PAPER_ENCODERS, "all"],
        help="which input to encode; all takes those that the corpus has",
    )
    what.add_argument(
        "--text-column",
        default="",
        metavar="meta_NAME",
        help="with --modality text: encode this metadata column instead of the transcript, such "
        "as a dialogue's history; in the store it is a modality of that name",
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
    what.add_argument(
        "--store", type=Path, default=_TARGET.folder, help="the store (default: %(default)s)"
    )
    what.add_argument(
        "--list", action="store_true", help="list corpora, their options, and encoders, and stop"
    )


def _add_how(top: argparse.ArgumentParser) -> None:
    how = top.add_argument_group("how")
    choices = ", ".join(f"{encoder} for {modality}" for modality, encoder in PAPER_ENCODERS.items())
    how.add_argument(
        "--encoder",
        default=_ENCODER.name,
        help="a registry name, a hub id, a local folder, or with --frozen classical features: "
        "mfcc, egemaps, compare (the last two need the extra 'opensmile', which is licensed for "
        "research and not for products) (default: the paper's choice, "
        f"{choices})",
    )
    how.add_argument(
        "--layer",
        default=_OPTIONS.layer,
        help="with --frozen: last, a number (0 is the input of the first layer), several with "
        "commas, or all; else last or weighted (default: %(default)s)",
    )
    how.add_argument(
        "--own-head",
        action="store_true",
        help="with --frozen: also make the class scores of the head that the checkpoint comes "
        "with, over labels of its own, as a view beside the vectors: text_head, audio_head, "
        "video_head",
    )
    how.add_argument(
        "--pooling",
        default="",
        help="from states to one vector: mean, std, max, percentiles (the "
        f"{', '.join(map(str, PERCENTILES))}th), thirds (means of the first and the last third), "
        "first; several with + stand side by side, as in mean+std (default: what belongs to the "
        "encoder)",
    )
    how.add_argument(
        "--max-duration-s",
        type=float,
        default=_INPUTS.max_duration_s,
        help="longer clips are cut to this many seconds, 0 for not at all (default: %(default)s, "
        "as in the paper)",
    )
    how.add_argument(
        "--long-rule",
        choices=["first", "middle"],
        default=_INPUTS.long_rule,
        help="which part of a longer clip is used (default: %(default)s)",
    )
    how.add_argument(
        "--max-tokens",
        type=int,
        default=_INPUTS.max_tokens,
        help="longer transcripts are cut to this many tokens (default: %(default)s)",
    )
    how.add_argument(
        "--seen",
        default=_ENCODER.seen,
        help="what the encoder knows of the rows beforehand: none, unknown, split:NAME or a file "
        "(default: none; unknown where the checkpoint has a classifier, since that learnt labels)",
    )


def _add_video(top: argparse.ArgumentParser) -> None:
    video = top.add_argument_group("video")
    video.add_argument(
        "--frame-rule",
        choices=FRAME_RULES,
        default=_INPUTS.frames.rule,
        help="uniform: spread over the utterance; consecutive: at 30 Hz from its middle (default: "
        "%(default)s)",
    )
    video.add_argument(
        "--region",
        choices=REGIONS,
        help="the whole picture (default), the speaker's half of a split screen (column "
        "meta_video_side: left or right), that half without its letterbox, or the face "
        "that is found in the picture or in that half (needs the extra 'face')",
    )
    add_face_options(video)
    video.add_argument(
        "--frame-cache",
        type=Path,
        metavar="DIR",
        default=_TARGET.frame_cache,
        help="decoded pictures are kept here for other epochs, folds and encoders (default: "
        "STORE/.frames)",
    )
    video.add_argument(
        "--frame-cache-gb",
        type=float,
        metavar="GB",
        default=_TARGET.frame_cache_gb,
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
    modalities = []
    for name, paper in PAPER.items():
        epochs, batch = int(paper["epochs"]), int(paper["batch_size"])
        modalities.append(f"{name} {epochs} epochs, batch {batch}, rate {paper['learning_rate']:g}")
    train = top.add_argument_group(
        f"fine-tuning (defaults per modality are the paper's: {'; '.join(modalities)})"
    )
    default = {field.name: field.default for field in fields(TrainingSettings)}
    _add_folds(train, default)
    _add_schedule(train, default)
    _add_regularisation(train, default)
    _add_training_run(train)


def _add_folds(train: argparse._ArgumentGroup, default: Mapping[str, object]) -> None:
    """Which rows are trained on, and which choose the epoch."""
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
        help=f"which rows choose the epoch: {rules} (default: {default['rule']})",
    )


def _add_schedule(train: argparse._ArgumentGroup, default: Mapping[str, object]) -> None:
    """How long, in which steps, and from which seed."""
    train.add_argument("--epochs", type=int, help="passes over the training rows")
    train.add_argument("--learning-rate", type=float, help="peak of the schedule")
    train.add_argument(
        "--weight-decay", type=float, help=f"(default: {default['weight_decay']}, as in the paper)"
    )
    train.add_argument("--scheduler", choices=SCHEDULERS, help=f"(default: {default['scheduler']})")
    train.add_argument(
        "--warmup-ratio",
        type=float,
        help=f"part of all steps (default: {default['warmup_ratio']:g})",
    )
    train.add_argument(
        "--gradient-accumulation",
        type=int,
        help=f"batches per step of the optimiser (default: {default['gradient_accumulation']})",
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


def _add_regularisation(train: argparse._ArgumentGroup, default: Mapping[str, object]) -> None:
    """What keeps the encoder from learning its rows by heart."""
    train.add_argument(
        "--freeze-layers",
        metavar="N|auto|none",
        help="auto freezes the convolutions of speech encoders that read samples; N freezes what "
        f"lies before the layers and N layers (default: {default['freeze']})",
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
    by_modality = [f"{modality}: {', '.join(names)}" for modality, names in AUGMENTATIONS.items()]
    known = "; ".join(by_modality)
    train.add_argument(
        "--augment",
        nargs="+",
        metavar="NAME",
        help=f"in training only: {known}; or none (default: flip for video, as in the paper)",
    )


def _add_training_run(train: argparse._ArgumentGroup) -> None:
    """What is trained besides, and what is kept."""
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
    jobs = {field.name: field.default for field in fields(FinetuneJob)}
    train.add_argument(
        "--memory-gb",
        type=float,
        help="prepared inputs are kept in memory up to this, the rest is read each time "
        f"(default: {jobs['memory_gb']:g})",
    )


def _add_run(top: argparse.ArgumentParser) -> None:
    run = top.add_argument_group("running")
    run.add_argument(
        "--batch-size",
        type=int,
        help="utterances per batch, over all devices; with --frozen it changes no vector, "
        "and the default is what was measured to be fast",
    )
    run.add_argument(
        "--device",
        default=_OPTIONS.device,
        help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)",
    )
    run.add_argument(
        "--threads",
        type=int,
        metavar="N",
        default=_OPTIONS.threads,
        help="with --frozen on a CPU: compute with so many threads; 0 takes one, or all where a "
        "few rows show at the start that these are faster (default: %(default)s)",
    )
    run.add_argument(
        "--precision",
        choices=list(dict.fromkeys((*TRAINED_IN, *FROZEN_IN))),
        help=f"with --frozen on a CPU: {', '.join(FROZEN_IN)}; bf16 and int8 take half the time "
        "or less where the processor has instructions for them; bf16 moves vectors by up to 1 %% "
        "of their length, int8 by up to 11 %%, so they are kept beside those of float32 (default: "
        f"{_OPTIONS.precision}). "
        f"Fine-tuning: {', '.join(TRAINED_IN)}; auto is bf16 on a GPU that has it (default: auto)",
    )
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
