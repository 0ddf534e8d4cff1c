"""The command ``write-subtitles``: styled subtitles of films, with an emotion for every cue."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from embeddings_store.commands.common import guarded, parser
from embeddings_store.errors import MediaError, UsageError
from embeddings_store.reading import visible

if TYPE_CHECKING:
    from classify.commands.emotion_model import EmotionModel
    from classify.commands.subtitle_film import FilmSubtitles, SubtitleOptions, WordsFrom

PROGRAM = "write-subtitles"
DESCRIPTION = (
    "Write ASS, SRT and WebVTT of films and sound files, with a style for the emotion of every "
    "cue.\nThe emotion is what a bundle that run-fusion-grid --export-model wrote says of windows "
    "of the film;\nwords come from --transcribe, --words or --subtitles. What is done is skipped."
)
FORMATS = ("ass", "srt", "vtt")
STYLES = "subtle, expressive, colour-blind"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    top = parser(
        PROGRAM,
        DESCRIPTION,
        [
            f"{PROGRAM} film.mp4 --model model --transcribe whisper-tiny",
            f"{PROGRAM} season-1 --model model --transcribe whisper-small --style colour-blind",
            f"{PROGRAM} film.mp4 --model model --subtitles film.srt --style expressive",
            f"{PROGRAM} film.mp4 --model model --words words.json --limit line_characters=37",
            f"{PROGRAM} --write-style subtle > mine.toml",
        ],
    )
    top.add_argument("films", nargs="*", type=Path, metavar="VIDEO", help="files and folders")
    top.add_argument("--model", type=Path, metavar="DIR", help="the bundle's folder")
    top.add_argument(
        "--out", type=Path, default=Path("subtitles"), help="folder (default: %(default)s)"
    )
    _add_words(top.add_argument_group("words, one of three"))
    _add_look(top.add_argument_group("look"))
    _add_emotions(top.add_argument_group("emotions"))
    top.add_argument("--preview", action="store_true", help="a picture of the ten surest moments")
    top.add_argument("--burn", action="store_true", help="also write the film with subtitles in it")
    return top


def _add_words(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--transcribe", default="", metavar="WHISPER", help="folder, name or Hub id")
    group.add_argument("--words", type=Path, metavar="FILE", help="JSON of words with times")
    group.add_argument(
        "--subtitles",
        type=Path,
        metavar="FILE",
        help="SRT, WebVTT or ASS that gets a look; its text, times and tags stay",
    )
    group.add_argument("--encoding", default="", help="of --subtitles (default: found)")
    group.add_argument(
        "--language",
        default="auto",
        metavar="CODE",
        help="spoken: en, ko, ... (default: auto)",
    )


def _add_look(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--style",
        default="subtle",
        help=f"{STYLES}, or a TOML or ASS file (default: %(default)s)",
    )
    group.add_argument("--write-style", metavar="NAME", help="print a shipped style, to be edited")
    group.add_argument("--formats", default=",".join(FORMATS), help="(default: %(default)s)")
    group.add_argument("--karaoke", action="store_true", help="words light up in ASS")
    group.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another limit of a cue than its language's; SUBTITLES.md lists them with their "
        "sources; repeatable",
    )
    group.add_argument(
        "--shots", type=Path, metavar="FILE", help="seconds at which shots begin, one a line"
    )


def _add_emotions(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--window-s", type=float, default=4.0, metavar="S", help="(default: 4)")
    group.add_argument("--hop-s", type=float, default=2.0, metavar="S", help="(default: 2)")
    group.add_argument(
        "--threshold",
        type=float,
        default=0.4,
        metavar="P",
        help="less is neutral (default: 0.4)",
    )
    group.add_argument(
        "--margin",
        type=float,
        default=0.1,
        metavar="P",
        help="by how much an emotion has to be more probable than the one before (default: 0.1)",
    )
    group.add_argument(
        "--shortest-s",
        type=float,
        default=1.0,
        metavar="S",
        help="an emotion that lasts shorter is not shown (default: 1)",
    )
    group.add_argument("--by-word", action="store_true", help="words of one cue may differ")
    group.add_argument("--encoder", action="append", default=[], metavar="MODALITY=ENCODER")
    group.add_argument("--device", default="auto", help="where encoders run (default: %(default)s)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return guarded(lambda: _run(argv), PROGRAM)


def _run(argv: Sequence[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    from classify.subtitles.styles import write_style

    if arguments.write_style:
        print(write_style(arguments.write_style), end="")
        return 0
    source = _source(arguments)
    from classify.commands.emotion_model import EmotionModel, given_encoders
    from classify.commands.subtitle_film import media_files
    from embeddings_store.atomic import make_folder

    if arguments.burn or arguments.preview:
        from classify.subtitles.rendering import require_ffmpeg

        require_ffmpeg()
    options = _options(arguments)
    films = media_files(arguments.films)
    if len(films) > 1 and not arguments.transcribe:
        raise UsageError(f"--words and --subtitles are of one film, and here are {len(films)}")
    model = EmotionModel.load(arguments.model, given_encoders(arguments.encoder), arguments.device)
    make_folder(arguments.out)
    failed = 0
    for film, name in zip(films, _names(films), strict=True):
        try:
            _one(film, name, model, source, options, arguments)
        except MediaError as error:
            failed += 1
            _say(f"{error}")
    if failed:
        _say(f"{failed} of {len(films)} films failed")
    return 4 if failed else 0


def _one(
    film: Path,
    name: str,
    model: EmotionModel,
    source: WordsFrom,
    options: SubtitleOptions,
    arguments: argparse.Namespace,
) -> None:
    """Make the subtitles of a film, unless they are there."""
    from classify.commands.subtitle_film import subtitle_film
    from classify.subtitles import rendering
    from classify.subtitles.writing import write_text
    from embeddings_store.atomic import write_json

    out: Path = arguments.out
    made_from = _made_from(film, arguments)
    record = out / f"{name}.subtitles.json"
    wanted = [out / f"{name}.{form}" for form in options.formats]
    wanted += [out / f"{name}.png"] if arguments.preview else []
    wanted += [out / f"{name}.burnt.mp4"] if arguments.burn else []
    if _is_done(record, made_from, wanted):
        print(f"{film.name}: done before")
        return
    found = subtitle_film(film, model, source, options, out / "store", _say)
    for form, text in found.texts.items():
        write_text(out / f"{name}.{form}", text)
    moments = rendering.strongest(found.cues, found.neutral)
    if arguments.preview and moments:
        rendering.contact_sheet(film, found.ass, moments, out / f"{name}.png")
    elif arguments.preview:
        _say(f"{film.name}: no cue has an emotion, so there is no preview")
    if arguments.burn:
        rendering.burn(film, found.ass, out / f"{name}.burnt.mp4")
    write_json(
        record,
        {
            "made_from": made_from,
            "cues": len(found.cues),
            "moments": len(moments),
            "film_s": found.film_s,
            "seconds": dict(found.seconds),
        },
    )
    _show(film, found, wanted)


def _is_done(record: Path, made_from: str, wanted: Sequence[Path]) -> bool:
    """Say whether all that is wanted was made of the same; without moments there is no preview."""
    from embeddings_store.reading import is_file, read_json

    if not is_file(record):
        return False
    data = read_json(record, "a record of subtitles", "remove it, and they are made again")
    if not isinstance(data, dict) or data.get("made_from") != made_from:
        return False
    without_preview = data.get("moments") == 0
    return all(path.is_file() or (without_preview and path.suffix == ".png") for path in wanted)


def _made_from(film: Path, arguments: argparse.Namespace) -> str:
    """Return a digest of the film, the model and every option that changes what is written."""
    from embeddings_store.provenance import file_digest, fingerprint

    about = film.stat()
    given = {name: str(value) for name, value in vars(arguments).items()}
    for name in ("films", "out", "model", "burn", "preview", "write_style", "device"):
        given.pop(name)
    read = [arguments.words, arguments.subtitles, arguments.shots, arguments.model / "bundle.json"]
    read.append(Path(arguments.style))
    files = [file_digest(path) for path in read if path is not None and path.is_file()]
    return fingerprint({"film": [about.st_size, about.st_mtime_ns], "files": files, **given})


def _show(film: Path, found: FilmSubtitles, wanted: Sequence[Path]) -> None:
    """Print what was made, what it took beside the film's length, and what to look at."""
    counts: dict[str, int] = {}
    for cue in found.cues:
        counts[cue.emotion or "unknown"] = counts.get(cue.emotion or "unknown", 0) + 1
    shown = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    print(visible(f"{film.name}: {len(found.cues)} cues ({shown})"))
    total_s = sum(found.seconds.values())
    for part, took_s in {**found.seconds, "all": total_s}.items():
        factor = took_s / found.film_s if found.film_s else float("nan")
        share = took_s / total_s if total_s else 0.0
        print(f"  {part:20} {took_s:8.1f} s  {factor:6.3f} of the film's time  {share:4.0%}")
    if found.broken is not None:
        for count, what in (
            (found.broken.fast, "are read faster than the limit, as they are spoken so fast"),
            (found.broken.brief, "stand shorter than the limit, as the next one begins"),
            (found.broken.wide, "hold a line above the limit"),
        ):
            if count:
                print(f"  {count} cues {what}")
    if found.unknown:
        names = ", ".join(found.unknown)
        print(visible(f"  the style has no look for {names}; add [emotion.NAME] to a copy of it"))
    for path in wanted:
        if path.is_file():
            print(path)


def _source(arguments: argparse.Namespace) -> WordsFrom:
    from classify.commands.subtitle_film import WordsFrom

    if not arguments.films or arguments.model is None:
        raise UsageError("give one film or more, and --model DIR")
    given = [arguments.transcribe, arguments.words, arguments.subtitles]
    if sum(bool(one) for one in given) != 1:
        raise UsageError("say where words come from: one of --transcribe, --words and --subtitles")
    return WordsFrom(
        arguments.words,
        arguments.subtitles,
        arguments.transcribe,
        arguments.encoding,
        arguments.language,
    )


def _options(arguments: argparse.Namespace) -> SubtitleOptions:
    from classify.commands.subtitle_film import SubtitleOptions
    from classify.subtitles.emotions import EmotionRules
    from classify.subtitles.limits import limits_for
    from classify.subtitles.shots import read_shots
    from classify.subtitles.styles import read_styles

    formats = tuple(dict.fromkeys(arguments.formats.split(",")))
    for form in formats:
        if form not in FORMATS:
            raise UsageError(f"--formats {form!r}: there are {', '.join(FORMATS)}")
    limits = _limits(arguments.limit)
    limits_for("en", limits)
    return SubtitleOptions(
        read_styles(arguments.style),
        limits,
        EmotionRules(
            arguments.threshold, arguments.margin, arguments.shortest_s, by_word=arguments.by_word
        ),
        arguments.window_s,
        arguments.hop_s,
        read_shots(arguments.shots) if arguments.shots else (),
        arguments.karaoke,
        formats,
    )


def _limits(pairs: Sequence[str]) -> dict[str, float | int]:
    from classify.subtitles.limits import CueLimits

    kinds = {
        entry.name: type(getattr(CueLimits(), entry.name))
        for entry in dataclasses.fields(CueLimits)
    }
    found: dict[str, float | int] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            number = float(value)
        except ValueError:
            raise UsageError(f"--limit {pair!r}: write NAME=NUMBER, as lines=2") from None
        whole = kinds.get(name) in (int, bool)
        found[name] = int(number) if whole and number == int(number) else number
    return found


def _names(films: Sequence[Path]) -> list[str]:
    """Return a name for each film's files: its own without suffix, with what tells it apart."""
    stems = [film.stem for film in films]
    names = []
    for film in films:
        name = film.stem if stems.count(film.stem) == 1 else film.name
        if [other.name for other in films].count(film.name) > 1:
            name = f"{film.parent.name}-{film.name}"
        names.append(name)
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"several films are called {name}; give them in separate runs")
    return names


def _say(message: str) -> None:
    print(f"{PROGRAM}: {visible(message)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
