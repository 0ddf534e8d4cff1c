"""A model that labels files: it brings extraction and the second stage together.

New media take the way that a corpus takes. Their windows become rows, extraction writes the vectors
into a store of their own, and the bundle answers what the store holds; so a run that was killed
goes on where it stopped, and failed rows have their reasons.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classify.bundle.bundle import Bundle, BundleEncoder, read_bundle
from classify.bundle.folder import ADVICE
from classify.labelling.stored_views import load_views
from classify.labelling.timeline import LabelOptions, Timeline, make_timelines
from embeddings_store.errors import (
    MediaError,
    StoreError,
    StoreMismatchError,
    UsageError,
    unknown_name,
)
from embeddings_store.provenance import changed_settings
from embeddings_store.reading import reading

if TYPE_CHECKING:
    from embeddings_store.corpus.manifest import Manifest
    from embeddings_store.vectors.arrays import EncoderRef
    from extract.pipeline.frozen import FrozenJob, PreparedExtraction
    from extract.pipeline.write import Summary

MODALITIES = ("audio", "video", "text")
AS_ANSWERED = LabelOptions()
OF_WEIGHTS = ("weights_digest", "layer")  # settings that training changes
PATTERN = re.compile(r"[*?\[]")
Say = Callable[[str], None]


def _nothing(message: str) -> None:
    del message


@dataclass(frozen=True, slots=True)
class MediaLabels:
    """What a model says of some files.

    Attributes:
        timelines: One for each file that could be read.
        failures: Name and reason of each file of which nothing could be made.
        failed_windows: Id, modality and reason of each window of which a modality failed.
        cut: How many windows were longer than what the encoder is given, and were cut.
        root: The folder that the names of files are relative to.
    """

    timelines: list[Timeline]
    failures: list[tuple[str, str]]
    failed_windows: list[tuple[str, str]]
    cut: int
    root: Path


@dataclass(frozen=True, slots=True)
class EmotionModel:
    """A bundle with its encoders.

    Attributes:
        bundle: What :func:`classify.read_bundle` returned.
        encoders: Modality to the encoder's folder, Hub id or name, where it is not found by the
            name that the bundle has.
        device: Where encoders run, see :class:`extract.encoders.settings.EncoderOptions`.
    """

    bundle: Bundle
    encoders: Mapping[str, str] = field(default_factory=dict)
    device: str = "auto"

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        encoders: Mapping[str, str] | None = None,
        device: str = "auto",
    ) -> EmotionModel:
        """Read a bundle for labelling files.

        Args:
            folder: The bundle's folder.
            encoders: Modality to the encoder's folder, Hub id or name.
            device: Where encoders run.

        Raises:
            StoreNotFoundError: There is no bundle.
            StoreError: It is of a newer version, incomplete, or altered.
            UsageError: It takes what no file has, such as vectors from another program.
        """
        model = cls(read_bundle(Path(folder)), encoders or {}, device)
        model._check()
        return model

    def predict(
        self,
        path: str | os.PathLike[str],
        *,
        window_s: float = 0.0,
        hop_s: float | None = None,
        store: str | os.PathLike[str] | None = None,
        options: LabelOptions = AS_ANSWERED,
    ) -> Timeline:
        """Label one file of sound, video or text.

        Args:
            path: The file.
            window_s: Length of the windows that are labelled; 0 labels the file as a whole.
            hop_s: From one window's start to the next; none takes ``window_s``.
            store: Where the vectors go; none keeps nothing.
            options: What becomes of the answers: smoothing, and what counts as unsure.

        Raises:
            MediaError: The file cannot be read.
            UsageError: There is no such file, or it is of no kind that is read.
        """
        found = self.predict_many(
            [path], window_s=window_s, hop_s=hop_s, store=store, options=options
        )
        if not found.timelines:
            raise MediaError("; ".join(reason for _, reason in found.failures))
        return found.timelines[0]

    def predict_many(
        self,
        paths: Sequence[str | os.PathLike[str]],
        *,
        window_s: float = 0.0,
        hop_s: float | None = None,
        store: str | os.PathLike[str] | None = None,
        options: LabelOptions = AS_ANSWERED,
        notify: Say = _nothing,
    ) -> MediaLabels:
        """Label files, and those below folders.

        Args:
            paths: Files, folders, and patterns such as ``talks/*.wav``.
            window_s: As for :meth:`predict`, like all that follow.
            hop_s: Likewise.
            store: Likewise; with the same store and files a run that was killed goes on.
            options: Likewise.
            notify: Gets one line at a time about what happens.

        Raises:
            UsageError: A path does not exist, or no file of a kind that is read is there.
            StoreMismatchError: An encoder makes other vectors than the model was fitted on.
        """
        from extract.windows.fixed import FixedWindows, find_media, window_media

        windows = FixedWindows(window_s, window_s if hop_s is None else hop_s)
        files = find_media(_expanded(paths))
        media = window_media(files, windows, self.bundle.modalities)
        failures = list(media.failures)
        if media.manifest is None:
            return MediaLabels([], failures, [], 0, Path())
        if store is not None:
            return self._label(media.manifest, failures, Path(store), options, notify)
        with tempfile.TemporaryDirectory(prefix="emotion-model-") as scratch:
            return self._label(media.manifest, failures, Path(scratch), options, notify)

    def _label(
        self,
        manifest: Manifest,
        failures: list[tuple[str, str]],
        store: Path,
        options: LabelOptions,
        notify: Say,
    ) -> MediaLabels:
        absent: list[str] = []
        made: dict[str, EncoderRef] = {}
        failed: list[tuple[str, str]] = []
        cut = 0
        for group in self._groups():
            modality = group[0].ref.modality
            if not manifest.has(modality):
                absent += [encoder.view for encoder in group]
                continue
            try:
                prepared = self._prepare(group, manifest, store)
                made |= zip([e.view for e in group], prepared.dump.refs, strict=True)
                summary = _extract(prepared, notify)
            except MediaError as error:  # one reason for all: then no row has the modality
                absent += [encoder.view for encoder in group]
                failed += [(modality, str(error))]
                continue
            failed += [(row, f"{modality}: {reason}") for row, reason in summary.failed]
            cut += sum(reason.startswith("cut:") for _, reason in summary.cautions)
        # an encoder that lies in the bundle has another name here than where it was trained
        encoders = [replace(e, ref=made.get(e.view, e.ref)) for e in self.bundle.encoders]
        bundle = replace(self.bundle, encoders=tuple(encoders))
        views = load_views(bundle, store, manifest, absent)
        timelines = make_timelines(bundle, manifest, views, options)
        return MediaLabels(timelines, failures, failed, cut, manifest.root or Path())

    def _prepare(
        self, group: Sequence[BundleEncoder], manifest: Manifest, store: Path
    ) -> PreparedExtraction:
        """Load the encoder of views that differ in their layer alone, and see that it is theirs."""
        from extract.pipeline.frozen import prepare_extraction

        prepared = prepare_extraction(self._job(group, manifest, store), manifest)
        made = zip(prepared.dump.refs, prepared.dump.settings, group, strict=True)
        for ref, settings, encoder in made:
            if encoder.files:
                changes = _changes_of_own(encoder, settings)
                if not changes:
                    continue
            elif (ref.fingerprint, ref.layer) == (encoder.ref.fingerprint, encoder.ref.layer):
                continue
            else:
                changes = changed_settings(encoder.settings, settings)
            raise StoreMismatchError(
                f"the {ref.modality} encoder {ref.name} makes other vectors than the model was "
                f"fitted on ({'; '.join(changes[:5]) or 'another fingerprint'}); name the one that "
                f"it was fitted on with --encoder {ref.modality}=FOLDER"
            )
        return prepared

    def _job(self, group: Sequence[BundleEncoder], manifest: Manifest, store: Path) -> FrozenJob:
        from extract.encoders.settings import EncoderOptions
        from extract.pipeline.frozen import FrozenJob
        from extract.pipeline.job import CorpusSource, EncoderChoice, StoreTarget

        first = group[0]
        settings, modality = first.settings, first.ref.modality
        layers = [encoder.ref.layer for encoder in group]
        options = EncoderOptions(
            layer=layers if layers[0] >= 0 else "last",
            pooling=str(settings["pooling"]) if "pooling" in settings else None,
            device=self.device,
            precision=str(settings.get("dtype", "float32")),
        )
        with reading(f"the encoder of {first.view}", "settings of an encoder", ADVICE, StoreError):
            inputs = _inputs_of(settings)
        choice = EncoderChoice(self._name(first), options, inputs, seen="none")
        source = CorpusSource("manifest", manifest.root or Path(), name=manifest.name)
        return FrozenJob(source, modality, choice, StoreTarget(store))

    def _name(self, encoder: BundleEncoder) -> str:
        """Return how an encoder is found: as the user says, on the Hub, or by its name."""
        if encoder.files and self.bundle.folder is not None:
            return str(self.bundle.folder / encoder.files)
        given = self.encoders.get(encoder.ref.modality)
        if given:
            return given
        if "/" in encoder.source:
            return encoder.source
        return encoder.ref.name.removesuffix(f".L{encoder.ref.layer}")

    def _groups(self) -> list[list[BundleEncoder]]:
        """Return the encoders that differ in their layer alone together, layers ascending."""
        groups: dict[str, list[BundleEncoder]] = {}
        for encoder in self.bundle.encoders:
            same = {name: value for name, value in encoder.settings.items() if name != "layer"}
            key = json.dumps([encoder.ref.modality, same], sort_keys=True)
            groups.setdefault(key, []).append(encoder)
        for group in groups.values():
            group.sort(key=lambda encoder: encoder.ref.layer)
        return list(groups.values())

    def _check(self) -> None:
        for modality in self.encoders:
            if modality not in self.bundle.modalities:
                unknown_name("modality of the model", modality, self.bundle.modalities)
            if any(e.files for e in self.bundle.encoders if e.ref.modality == modality):
                raise UsageError(
                    f"the model brings its own {modality} encoder; leave out --encoder {modality}"
                )
        for encoder in self.bundle.encoders:
            if encoder.ref.modality not in MODALITIES or "architecture" not in encoder.settings:
                raise UsageError(
                    f"the view {encoder.view} holds vectors of {encoder.ref.folder}, which this "
                    "program did not make, so it cannot make those of new media; put them into a "
                    "store with embeddings-store import, and use score-model"
                )


def _extract(prepared: PreparedExtraction, notify: Say) -> Summary:
    from embeddings_store.progress import progress_bar
    from extract.pipeline.frozen import run_frozen

    total = int(prepared.dump.present.sum())
    with progress_bar(f"{prepared.dump.modality} vectors", total) as bar:
        return run_frozen(prepared, notify, bar.advance)


def _changes_of_own(encoder: BundleEncoder, made: Mapping[str, object]) -> list[str]:
    """Say what an encoder of the bundle does otherwise than where it was trained.

    Its weights are those of the training, as the bundle's digests say; loaded as they are, nothing
    is known of the training's settings.
    """
    compared = [name for name in made if name in encoder.settings and name not in OF_WEIGHTS]
    before = {name: encoder.settings[name] for name in compared}
    return changed_settings(before, {name: made[name] for name in compared})


def _expanded(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Return paths with patterns replaced by the media that they match, in the order of names.

    Raises:
        UsageError: Nothing matches a pattern.
    """
    from extract.windows.fixed import SUFFIXES

    found: list[Path] = []
    for path in map(Path, paths):
        if path.exists() or not PATTERN.search(str(path)):
            found.append(path)
            continue
        plain = list(itertools.takewhile(lambda part: not PATTERN.search(part), path.parts))
        matches = sorted(Path(*plain).glob(str(Path(*path.parts[len(plain) :]))))
        media = [one for one in matches if one.is_dir() or one.suffix.lower() in SUFFIXES]
        if not media:
            raise UsageError(f"{path}: no sound, video or text file matches this pattern")
        found += media
    return found


def _inputs_of(settings: Mapping[str, Any]) -> Any:
    """Return what an encoder is given of a clip or a text, from what the store recorded."""
    from extract.encoders.settings import INPUTS, InputSettings
    from extract.frames.settings import FrameSettings

    frames = INPUTS.frames
    if "frame_rule" in settings:
        frames = FrameSettings(
            frames=int(settings["frames"]),
            rule=str(settings["frame_rule"]),
            rate_hz=float(settings["frame_rate_hz"] or frames.rate_hz),
            region=str(settings["region"]),
        )
    longest_s = settings.get("max_duration_s", INPUTS.max_duration_s)
    return InputSettings(
        max_duration_s=None if longest_s is None else float(longest_s),
        long_rule=str(settings.get("long_rule") or INPUTS.long_rule),
        max_tokens=int(settings.get("max_tokens", INPUTS.max_tokens)),
        frames=frames,
    )


def given_encoders(pairs: Sequence[str]) -> dict[str, str]:
    """Return modality to encoder from what ``--encoder`` was given.

    Raises:
        UsageError: One is not written as MODALITY=ENCODER.
    """
    found = {}
    for pair in pairs:
        modality, equals, name = pair.partition("=")
        if not (modality and equals and name):
            raise UsageError(f"--encoder {pair!r}: write MODALITY=ENCODER")
        found[modality] = name
    return found
