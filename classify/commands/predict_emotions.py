"""The command ``predict-emotions``: labels of new sound, video and text by a saved model."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from embeddings_store.commands.common import guarded, parser
from embeddings_store.reading import visible

if TYPE_CHECKING:
    from classify.commands.emotion_model import MediaLabels
    from classify.labelling.timeline import Timeline

PROGRAM = "predict-emotions"
DESCRIPTION = (
    "Label files of sound, video or text, and those below folders, with a bundle that "
    "run-fusion-grid --export-model wrote.\nWhat a file lacks is missing, never zeros, and the "
    "timeline says so. The label is what people would call a recording\nlike those that the model "
    "was fitted on; inspect-model says how often it is right."
)
SHOWN_FAILURES, SHOWN_REMARKS = 20, 10


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    top = parser(
        PROGRAM,
        DESCRIPTION,
        [
            f"{PROGRAM} talk.wav --model model",
            f"{PROGRAM} films --model model --window-s 4 --hop-s 2 --out labels",
            f"{PROGRAM} 'talks/**/*.wav' --model model --unsure-below 0.5 --smooth transitions",
            f"{PROGRAM} talk.wav --model model --encoder audio=models/whisper-tiny",
        ],
    )
    top.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="files, folders, and patterns in quotes"
    )
    top.add_argument("--model", type=Path, required=True, metavar="DIR", help="the bundle's folder")
    top.add_argument(
        "--window-s",
        type=float,
        default=0.0,
        metavar="S",
        help="label windows of so many seconds; the last one of a file ends with it (default: "
        "each file as a whole)",
    )
    top.add_argument(
        "--hop-s",
        type=float,
        metavar="S",
        help="seconds from one window's start to the next (default: --window-s)",
    )
    top.add_argument(
        "--encoder",
        action="append",
        default=[],
        metavar="MODALITY=ENCODER",
        help="folder or Hub id of an encoder, where it is not found by the bundle's name; it must "
        "make the same vectors; repeatable",
    )
    _add_label_options(top)
    top.add_argument(
        "--out",
        type=Path,
        default=Path("predictions"),
        help="folder for timelines, labels.csv and the store of the vectors (default: %(default)s)",
    )
    top.add_argument("--device", default="auto", help="where encoders run (default: %(default)s)")
    top.add_argument(
        "--embed",
        action="store_true",
        help="put the recording into its page, which can then be passed on alone (default: a link)",
    )
    top.add_argument("--no-page", action="store_true", help="write no timeline.html")
    top.add_argument(
        "--quiet", action="store_true", help="print no table, only where the files are"
    )
    return top


def _add_label_options(top: argparse.ArgumentParser) -> None:
    """Add what becomes of the model's answers."""
    top.add_argument(
        "--unsure-below",
        type=float,
        default=0.0,
        metavar="P",
        help="call windows and files 'unsure' whose label is less probable (default: none)",
    )
    top.add_argument(
        "--smooth",
        default="none",
        choices=("none", "hysteresis", "transitions"),
        help="steady the labels of neighbouring windows: 'hysteresis' keeps a label until another "
        "is more probable by --margin; 'transitions' is a hidden Markov model in which a window "
        "keeps the class before it with probability --stay (default: %(default)s). Labels of files "
        "come from windows that are not smoothed",
    )
    top.add_argument(
        "--margin", type=float, default=0.2, metavar="M", help="see --smooth (default: %(default)s)"
    )
    top.add_argument(
        "--stay", type=float, default=0.8, metavar="P", help="see --smooth (default: %(default)s)"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return guarded(lambda: _run(argv), PROGRAM)


def _run(argv: Sequence[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    from classify.commands.emotion_model import EmotionModel, given_encoders
    from classify.labelling.page import require_extra, write_page
    from classify.labelling.smoothing import Smoothing
    from classify.labelling.timeline import LABELS, LabelOptions, write_labels
    from embeddings_store.atomic import make_folder

    smoothing = Smoothing(arguments.smooth, arguments.margin, arguments.stay)
    options = LabelOptions(smoothing, arguments.unsure_below)
    if not arguments.no_page:
        require_extra()
    model = EmotionModel.load(arguments.model, given_encoders(arguments.encoder), arguments.device)
    found = model.predict_many(
        arguments.files,
        window_s=arguments.window_s,
        hop_s=arguments.hop_s,
        store=arguments.out / "store",
        options=options,
        notify=_say,
    )
    make_folder(arguments.out)
    for timeline in found.timelines:
        timeline.write(arguments.out)
        if not arguments.no_page:
            write_page(arguments.out, timeline, found.root / timeline.file, embed=arguments.embed)
    if found.timelines:
        write_labels(arguments.out / LABELS, found.timelines)
        if not arguments.quiet:
            _show(found.timelines)
        pages = "" if arguments.no_page else "; pages that play them: FILE/timeline.html beside it"
        print(f"{arguments.out / LABELS}{pages}")
    return _report(found)


def _report(found: MediaLabels) -> int:
    """Say what is odd and what failed, and return the exit status."""
    remarks = Counter(remark for timeline in found.timelines for remark in timeline.remarks)
    for remark, files in remarks.most_common(SHOWN_REMARKS):
        _say(remark if len(found.timelines) == 1 else f"{files} of the files: {remark}")
    if len(remarks) > SHOWN_REMARKS:
        _say(
            f"... and {len(remarks) - SHOWN_REMARKS} more remarks; each file's timeline has its own"
        )
    for what, failures in (("files", found.failures), ("windows", found.failed_windows)):
        if failures:
            _say(f"{len(failures)} {what} failed:")
        for name, reason in failures[:SHOWN_FAILURES]:
            _say(f"  {name}: {reason}")
        if len(failures) > SHOWN_FAILURES:
            _say(f"  ... and {len(failures) - SHOWN_FAILURES} more")
    return 4 if found.failures or found.failed_windows else 0


def _show(timelines: Sequence[Timeline]) -> None:
    """Print one line per file: its label by each rule, and how sure the first of them is."""
    from classify.labelling.aggregate import RULES
    from classify.terminal.console import (
        add_line,
        console_for_output,
        figures_table,
        print_table,
    )

    table = figures_table(None, ["windows", "answered", "confidence"], ("file", *RULES))
    for timeline in timelines:
        labels = [timeline.label(rule) or "-" for rule in RULES]
        mean = timeline.labels.get("mean")
        sure = f"{mean.confidence:.2f}" if mean is not None and mean.code >= 0 else "-"
        counts = (str(len(timeline.windows)), str(timeline.answered), sure)
        add_line(table, timeline.file, *labels, *counts)
    about = "confidence: the mean probability of the label in the column 'mean'"
    print_table(console_for_output(), table, [about])


def _say(message: str) -> None:
    print(f"{PROGRAM}: {visible(message)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
