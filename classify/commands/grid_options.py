"""The options of ``run-fusion-grid`` and the configuration that they make."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from classify.commands.video_options import add_video_options
from classify.fusion.rules import late_methods
from classify.fusion.strategies import vector_strategies
from classify.grid.calibration import METHODS as CALIBRATIONS
from classify.grid.config import GridConfig
from classify.grid.presets import PRESETS, explained_presets, with_preset
from classify.grid.tuning import TRIALS
from classify.leakage.checks import ACCEPTABLE
from classify.metadata import TAGS
from classify.models.classifiers import CLASSIFIERS, competitors
from classify.names import (
    AS_ALLOWED,
    BY_MODALITY,
    CHOOSE,
    FIT_ROWS,
    FITTED,
    INNER,
    LAYER_JUDGE,
    LAYERS_AS,
    SUBSETS_BY,
    TUNE_ON,
    VALID,
)
from classify.systems.definitions import read_systems
from classify.systems.view_sets import EXACT_VIEWS
from embeddings_store.commands.common import parser
from embeddings_store.commands.protocol_options import add_protocol_options
from embeddings_store.errors import UsageError
from embeddings_store.fold_request import SELECT_ON
from embeddings_store.folds.rules import PLAN_NAMES
from embeddings_store.folds.validation_rules import VALID_RULES, explained_rules
from embeddings_store.vectors.view_names import GRAMMAR

PROGRAM = "run-fusion-grid"

DESCRIPTION = (
    "Fuse the stored vectors and class scores of one corpus in every way, classify with every "
    "classifier, fold by fold, and\nwrite the tables. Finished cells are kept: the same command "
    "goes on after a kill, and a changed setting computes only what\nit changes."
)
NONE = "none"
DROP_RATES = (0.1, 0.25, 0.5, 0.75)
DEFAULTS = {field.name: field.default for field in dataclasses.fields(GridConfig)}
DEFAULT_OUT = {"valid": GridConfig().out, "test": Path("results-upper-bound")}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser.

    Classifier settings come from the table in :mod:`classify.models.classifiers`.
    """
    top = parser(
        PROGRAM,
        DESCRIPTION,
        [
            PROGRAM,
            f"{PROGRAM} --store embeddings --corpus mosi --out results/mosi",
            f"{PROGRAM} --corpus iemocap --protocol iemocap-paper",
            f"{PROGRAM} --corpus iemocap --list-protocols",
            f"{PROGRAM} --corpus ravdess --folds speaker-kfold:6 --layer choose --choose inner",
            f"{PROGRAM} --modalities text audio --encoder audio=wav2vec2-base@3f2a --early "
            "concatenation --late none",
            f"{PROGRAM} --modalities text audio --metadata safe context",
            f'{PROGRAM} --system "two = mean(svm(concat(audio, text)), svm(concat(video, text)))" '
            "--subsets --drop-sweep",
            f"{PROGRAM} --shuffle-labels --out results/shuffled",
            f"{PROGRAM} --tune 30 --valid-split --calibrate temperature",
            f"{PROGRAM} --seed 0,1,2 --encoder-seed all",
            f"{PROGRAM} --valid none --select-on test",
        ],
    )
    goes_in = top.add_argument_group("what goes in")
    _add_modalities(goes_in)
    _add_encoders(goes_in)
    _add_protocol(goes_in)
    grid = top.add_argument_group("the grid")
    _add_families(grid)
    _add_missing_modalities(grid)
    _add_rows(grid)
    _add_tuning(grid)
    _add_calibration(grid)
    _add_settings(top.add_argument_group("settings of the classifiers"))
    add_video_options(top)
    _add_running(top.add_argument_group("how it runs"))
    return top


def config_from(arguments: argparse.Namespace) -> GridConfig:
    """Turn parsed arguments into the configuration.

    Raises:
        UsageError: Options contradict each other, or a name does not exist.
    """
    if arguments.metadata_ablation and (
        arguments.metadata or arguments.system or arguments.systems
    ):
        raise UsageError(
            "--metadata-ablation adds every group of metadata by itself to systems of its own; "
            "leave out --metadata, --system and --systems"
        )
    return GridConfig(
        store=arguments.store,
        out=arguments.out or DEFAULT_OUT[arguments.select_on],
        corpus=arguments.corpus,
        modalities=tuple(arguments.modalities),
        metadata=tuple(arguments.metadata),
        encoders=_encoders(arguments.encoder),
        views=tuple(arguments.view),
        layers=arguments.layers,
        layers_as=arguments.layers_as,
        encoder_seeds=arguments.encoder_seed,
        layer=arguments.layer,
        folds=arguments.folds,
        valid=arguments.valid,
        protocol=arguments.protocol,
        protocol_files=arguments.protocol_files,
        label_set=arguments.label_set,
        choose=arguments.choose,
        choose_on=arguments.choose_on,
        fit_rows=arguments.fit_rows,
        inner_folds=arguments.inner_folds,
        classifiers=tuple(arguments.classifiers),
        early=_methods(arguments.early),
        late=_methods(arguments.late),
        project=arguments.project,
        systems=read_systems(arguments.system, arguments.systems),
        subsets=bool(arguments.subsets),
        subsets_by=arguments.subsets or BY_MODALITY,
        drop_rates=_rates(arguments.drop_sweep),
        drop_seed=arguments.drop_seed,
        settings=with_preset(arguments.preset, _settings(arguments), tuple(arguments.classifiers)),
        seeds=arguments.seed,
        shuffle_seed=arguments.shuffle_labels,
        select_on=arguments.select_on,
        calibrate=arguments.calibrate,
        tune=arguments.tune,
        tune_minutes=arguments.tune_minutes,
        tune_on=arguments.tune_on,
        valid_split=arguments.valid_split,
        accept=tuple(arguments.accept),
        jobs=arguments.jobs,
    )


def _add_modalities(group: argparse._ArgumentGroup) -> None:
    """Which corpus and which modalities of it."""
    group.add_argument(
        "--store", type=Path, default=DEFAULTS["store"], help="the store (default: %(default)s)"
    )
    group.add_argument(
        "--corpus", default=DEFAULTS["corpus"], help="corpus in the store (default: the only one)"
    )
    group.add_argument(
        "--modalities",
        nargs="+",
        default=[],
        metavar="NAME",
        help="which, in this order (default: all in the store)",
    )
    group.add_argument(
        "--metadata",
        nargs="+",
        default=[],
        metavar="NAME",
        help=f"add the modality metadata, made of the manifest's columns with these leak tags "
        f"({', '.join(TAGS)}) or names; with leaky or unknown ones every output says so (default: "
        "none)",
    )
    group.add_argument(
        "--metadata-ablation",
        action="store_true",
        help="instead of the grid: concatenate the modalities without metadata and with the "
        "columns of each leak tag, and write what each is worth to metadata_ablation.csv",
    )


def _add_encoders(group: argparse._ArgumentGroup) -> None:
    """Which encoders stand for the modalities."""
    group.add_argument(
        "--encoder",
        action="append",
        default=[],
        metavar="MODALITY=NAME[@FINGERPRINT]",
        help="which encoder, where the store has several; repeatable",
    )
    group.add_argument(
        "--view",
        action="append",
        default=[],
        metavar=GRAMMAR.replace(" ", ""),
        help="one of several views of a modality, in the place of --modalities, --encoder and "
        "--layer; repeatable: --view text --view audio:whisper-small.L4-8",
    )
    group.add_argument(
        "--layers",
        default=DEFAULTS["layers"],
        metavar="all|4-8|2,5",
        help="make each of these layers a view of its own: audio.L4, audio.L5 ...",
    )
    group.add_argument(
        "--layers-as",
        default=DEFAULTS["layers_as"],
        choices=LAYERS_AS,
        help="what stands for a modality whose --layers are several: views, each by itself; mean, "
        "the mean of the standardised layers; concat, all side by side; stack, a stack over the "
        "layers' class scores (default: %(default)s)",
    )
    group.add_argument(
        "--encoder-seed",
        type=_encoder_seeds,
        metavar="N[,N]|all",
        help="which seeds of the fine-tuning, where the store has several; of more than one, "
        "tables give mean and deviation over seeds beside the deviation over folds",
    )
    group.add_argument(
        "--layer",
        default=DEFAULTS["layer"],
        metavar="last|N|choose",
        help="which layer, where the store has several; choose: per fold the best one, in inner "
        f"folds for each classifier its own, on validation rows (also: {VALID}) by the "
        f"{CLASSIFIERS[LAYER_JUDGE].title} for all",
    )


def _add_protocol(group: argparse._ArgumentGroup) -> None:
    """Who trains, validates and tests, under which labels."""
    add_protocol_options(group)
    group.add_argument(
        "--folds",
        default=DEFAULTS["folds"],
        metavar="PLAN",
        help=f"a plan's name or a plan file (.parquet); names: {', '.join(PLAN_NAMES)} (default: "
        "the corpus' own)",
    )
    group.add_argument(
        "--valid",
        default=DEFAULTS["valid"],
        choices=VALID_RULES,
        help=f"{explained_rules()} (default: {VALID_RULES[0]})",
    )
    group.add_argument(
        "--accept",
        nargs="+",
        default=[],
        metavar="CHECK",
        help="run although the leakage audit refuses, and say so under every table: of "
        f"{', '.join(ACCEPTABLE)} (audit-leakage shows the findings; default: none)",
    )
    group.add_argument(
        "--shuffle-labels",
        nargs="?",
        type=int,
        const=0,
        default=None,
        metavar="SEED",
        help="permute the labels: everything must fall to chance (SEED: 0)",
    )


def _add_families(group: argparse._ArgumentGroup) -> None:
    """Which classifiers, ways of fusing and systems."""
    group.add_argument(
        "--classifiers",
        nargs="+",
        default=list(competitors()),
        metavar="NAME",
        help=f"of {', '.join(competitors())} (default: all)",
    )
    for name, strategies, rest in (
        ("early", vector_strategies(), "all that the widths allow"),
        ("late", late_methods(), "all that the rows allow; none leaves out probes too"),
    ):
        group.add_argument(
            f"--{name}",
            nargs="+",
            metavar="METHOD",
            help=f"{name} fusion: of {', '.join(strategies)}, or {NONE} (default: {rest})",
        )
    group.add_argument(
        "--project",
        default=DEFAULTS["project"],
        metavar="pca[:D]|linear[:D]",
        help="bring unequal widths to one for early sum and product, with maps fitted on training "
        "rows; D: columns, or the smallest width (default: sum and product are left out)",
    )
    group.add_argument(
        "--system",
        action="append",
        default=[],
        metavar='"NAME = EXPRESSION"',
        help='add a system of your own, for example "two = mean(svm(concat(audio, text)), '
        'svm(video))"; '
        "repeatable; classify/FUSION.md explains the language",
    )
    group.add_argument(
        "--systems",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="add every NAME = EXPRESSION of a file; repeatable",
    )


def _add_missing_modalities(group: argparse._ArgumentGroup) -> None:
    """What each modality contributes, and what happens without it."""
    group.add_argument(
        "--subsets",
        nargs="?",
        const=BY_MODALITY,
        default="",
        choices=SUBSETS_BY,
        help="fuse every set of two modalities or more, and write what each modality contributes "
        f"(Shapley); view: sets of views, too, all of up to {EXACT_VIEWS} and a sample of more "
        f"(without a word: {BY_MODALITY})",
    )
    group.add_argument(
        "--drop-sweep",
        nargs="*",
        type=float,
        default=None,
        metavar="RATE",
        help="take modalities away from test rows at these rates, and each modality from all of "
        "them, and write how every way of fusing degrades (default of rates: "
        f"{' '.join(map(str, DROP_RATES))})",
    )
    group.add_argument(
        "--drop-seed",
        type=int,
        default=DEFAULTS["drop_seed"],
        metavar="N",
        help="which rows lose which modality (default: %(default)s)",
    )


def _add_rows(group: argparse._ArgumentGroup) -> None:
    """Which rows classifiers learn from, and which rows choose."""
    group.add_argument(
        "--choose",
        default=DEFAULTS["choose"],
        choices=CHOOSE,
        help=f"which rows choose layers, settings and the cell; {INNER}: training and validation "
        "rows together, each answered by fits without its group, then everything is fitted on "
        f"both; needs vectors that no encoder was fitted on; {AS_ALLOWED}: {INNER} where that is "
        f"so of all vectors, else {VALID} with --fit-rows {AS_ALLOWED} (default: %(default)s)",
    )
    group.add_argument(
        "--choose-on",
        default=DEFAULTS["choose_on"],
        choices=[FITTED],
        help=f"with --choose {INNER}: choose on rows that an encoder was fitted on, too; they "
        "choose badly, but leak nothing of test rows, and every output says so (default: refuse "
        "them)",
    )
    group.add_argument(
        "--fit-rows",
        default=DEFAULTS["fit_rows"],
        choices=[*FIT_ROWS, AS_ALLOWED],
        help="train+valid: choose on valid with a fit on train, then fit again on both and test "
        "that; oof: on scores and vectors of training rows by inner encoders that have not seen "
        "them (extract-features --inner-folds), over vectors in the space of each, and averaged; "
        "valid: classifiers over class scores on validation rows, answered out of fold; "
        f"{AS_ALLOWED}: train+valid for cells of which no encoder was fitted on these rows, train "
        "for the others, and the column fit_rows says which (default: %(default)s)",
    )
    group.add_argument(
        "--inner-folds",
        type=int,
        default=DEFAULTS["inner_folds"],
        metavar="N",
        help="which inner folds --fit-rows oof takes, where the store has several choices",
    )
    group.add_argument(
        "--select-on",
        default=DEFAULTS["select_on"],
        choices=SELECT_ON,
        help="test: choose the cell on the test rows themselves, and score vectors whose epoch "
        "was chosen on them (extract-features --rule test); everything is stamped 'upper bound' "
        "(default: %(default)s)",
    )


def _add_tuning(group: argparse._ArgumentGroup) -> None:
    """Whether and how settings are searched."""
    group.add_argument(
        "--tune",
        nargs="?",
        type=int,
        const=TRIALS,
        default=DEFAULTS["tune"],
        metavar="TRIALS",
        help="choose the settings of every classifier per cell and fold, on training or "
        f"validation rows, by so many trials (without a number: {TRIALS}); settings that are given "
        "are kept",
    )
    group.add_argument(
        "--tune-minutes",
        type=float,
        default=DEFAULTS["tune_minutes"],
        metavar="M",
        help="begin no trial after M minutes per cell and fold; how many there were then depends "
        "on the machine",
    )
    group.add_argument(
        "--tune-on",
        default=DEFAULTS["tune_on"],
        choices=TUNE_ON,
        help="score trials on grouped splits of train, or on valid (default: train, but valid "
        "where encoders were fitted on training rows)",
    )


def _add_calibration(group: argparse._ArgumentGroup) -> None:
    """Calibrated probabilities, halves of validation rows, and seeds."""
    group.add_argument(
        "--calibrate",
        default=DEFAULTS["calibrate"],
        choices=CALIBRATIONS,
        help="add calibrated probabilities, fitted on validation rows; they change no answer and "
        "no choice (default: %(default)s)",
    )
    group.add_argument(
        "--valid-split",
        nargs="?",
        type=int,
        const=0,
        metavar="SEED",
        help="halve the validation rows by group: one half teaches (layers, weights, settings, "
        "calibration), the other chooses the cell (SEED: 0)",
    )
    group.add_argument(
        "--seed",
        type=_seeds,
        default=DEFAULTS["seeds"],
        metavar="N[,N]",
        help="for classifiers that draw random numbers; several are compared as those of "
        "--encoder-seed (default: 0)",
    )


def _add_settings(group: argparse._ArgumentGroup) -> None:
    """A preset, and one option for each setting of each classifier."""
    group.add_argument(
        "--preset",
        default="",
        choices=list(PRESETS),
        help=f"a named set of settings, which the options below change; {explained_presets()}",
    )
    for classifier, spec in CLASSIFIERS.items():
        for name, setting in spec.settings.items():
            kind = type(setting.default)
            group.add_argument(
                f"--{classifier}-{name}",
                type=kind,
                metavar="N" if kind is int else "X",
                help=f"{setting.reason} (default: {setting.default:g})",
            )


def _add_running(group: argparse._ArgumentGroup) -> None:
    """Where results go, and what is shown."""
    group.add_argument(
        "--out",
        type=Path,
        help=f"folder for the results (default: {DEFAULT_OUT['valid']}; with --select-on test "
        f"{DEFAULT_OUT['test']})",
    )
    group.add_argument(
        "--jobs",
        type=int,
        default=DEFAULTS["jobs"],
        metavar="N",
        help="processes; the labels are the same for any number (default: one per processor)",
    )
    group.add_argument(
        "--dry-run",
        action="store_true",
        help="show folds, encoders, what would run, what is finished and what it costs; write "
        "nothing",
    )
    how_much = group.add_mutually_exclusive_group()
    how_much.add_argument(
        "--quiet", action="store_true", help="print one line: the result, and where the tables are"
    )
    how_much.add_argument(
        "--verbose",
        action="store_true",
        help="print also every way of fusing in the tables of modalities, chance and the best cell "
        "on test in all metrics, and the comparisons that survive correction",
    )
    group.add_argument(
        "--export-model",
        type=Path,
        metavar="DIR",
        help="fit the reported cell once more on all labelled rows and write it as a bundle, which "
        "inspect-model shows, score-model scores and Python's read_bundle reads",
    )
    group.add_argument(
        "--export-cell",
        default="",
        metavar="NAME",
        help="with --export-model: another cell, by its name in grid.csv, or a --system by its own",
    )
    group.add_argument(
        "--report",
        action="store_true",
        help="draw the figures and write report.html at the end, as make-report does (needs the "
        "extra report)",
    )


def _settings(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return classifier to the settings that were given.

    Raises:
        UsageError: A setting is of a classifier that does not run.
    """
    settings: dict[str, dict[str, float]] = {}
    for classifier, spec in CLASSIFIERS.items():
        for name in spec.settings:
            value = getattr(arguments, f"{classifier}_{name}")
            if value is None:
                continue
            if classifier not in arguments.classifiers:
                raise UsageError(
                    f"--{classifier}-{name} has no effect, because --classifiers leaves "
                    f"{classifier} out"
                )
            settings.setdefault(classifier, {})[name] = value
    return settings


def _encoders(pairs: Sequence[str]) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for pair in pairs:
        modality, equals, name = pair.partition("=")
        if not (modality and equals and name):
            raise UsageError(
                f"--encoder {pair!r} must have the form MODALITY=NAME or MODALITY=NAME@FINGERPRINT"
            )
        if modality in chosen:
            raise UsageError(f"--encoder names {modality} twice: {chosen[modality]} and {name}")
        chosen[modality] = name
    return chosen


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a number nor several with commas"
        ) from error


def _encoder_seeds(text: str) -> tuple[int, ...]:
    """``all`` is the empty tuple."""
    return () if text == "all" else _seeds(text)


def _rates(rates: Sequence[float] | None) -> tuple[float, ...]:
    """The option alone takes the usual rates; without it nothing is dropped."""
    return () if rates is None else tuple(rates) or DROP_RATES


def _methods(names: Sequence[str] | None) -> tuple[str, ...] | None:
    """``none`` leaves the family out; nothing given takes every method that works."""
    if names is None:
        return None
    if NONE in names and len(names) > 1:
        raise UsageError(f"{NONE} stands alone, not with {' '.join(n for n in names if n != NONE)}")
    return () if names == [NONE] else tuple(names)
