"""Where the words of a corpus' rows come from: a recogniser, subtitles, or speech without words."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from embeddings_store.corpus.manifest import Manifest, Utterance
from extract.transcription.ct2_whisper import CT2_MODEL
from extract.transcription.kept import KeptTranscripts
from extract.transcription.load import load_recogniser
from extract.transcription.recogniser import require_language
from extract.transcription.subtitles import SUFFIXES, find_subtitles, read_subtitles
from extract.transcription.transcribe import Transcriber
from extract.transcription.words import Transcript

Listen = Callable[[Manifest, Utterance], Transcript | None]


@dataclass(frozen=True, slots=True)
class WordSource:
    """What is asked for words; nothing is loaded yet.

    Attributes:
        name: A folder of Whisper in either form, its registry name or Hub id, or a folder of
            subtitles; empty finds speech without words.
        language: What is spoken; empty takes the row's own, where that is a code which the
            recogniser knows, else finds it.
        detector: What finds speech; empty takes ``silero`` for faster-whisper, which brings it,
            else ``energy``.
        device: Where a recogniser runs.
        kept: Where transcripts are kept; none keeps nothing.
    """

    name: str = ""
    language: str = ""
    detector: str = ""
    device: str = "cpu"
    kept: Path | None = None

    @property
    def is_subtitles(self) -> bool:
        """Whether the name is that of a folder of subtitles."""
        folder = Path(self.name).expanduser()
        models = ("config.json", CT2_MODEL)
        if not self.name or not folder.is_dir() or any((folder / m).exists() for m in models):
            return False
        return any(path.suffix.lower() in SUFFIXES for path in folder.rglob("*"))

    def listener(self) -> Listen:
        """Load what is needed, and return what says the words of a row, none without any media.

        Raises:
            ModelLoadError: There is no such model.
            UsageError: It does not know the language.
            MissingDependencyError: A package is not installed.
        """
        if self.is_subtitles:
            return self._read
        recogniser = load_recogniser(self.name, self.device) if self.name else None
        if recogniser is not None:
            require_language(recogniser, self.language)
        kept = None if self.kept is None else KeptTranscripts(self.kept)
        transcriber = Transcriber(recogniser, kept, self.detector or self._own_detector())

        def listen(manifest: Manifest, row: Utterance) -> Transcript | None:
            medium = row.audio or row.video
            if not medium:
                return None
            start_s = 0.0 if math.isnan(row.start_s) else row.start_s
            end_s = math.inf if math.isnan(row.end_s) else row.end_s
            language = self.language
            if recogniser is not None and not language and len(row.language) <= 3:
                language = row.language
                require_language(recogniser, language)
            return transcriber.hear(manifest.media_path(medium), start_s, end_s, language)

        return listen

    def _own_detector(self) -> str:
        is_fast = (Path(self.name).expanduser() / CT2_MODEL).is_file() if self.name else False
        return "silero" if is_fast and importlib.util.find_spec("faster_whisper") else "energy"

    def _read(self, manifest: Manifest, row: Utterance) -> Transcript | None:
        """Return the words of subtitles, none where a row has none."""
        del manifest  # subtitles lie in a folder of their own
        media = [
            str(PurePosixPath(name).with_suffix("")) for name in (row.audio, row.video) if name
        ]
        stems = [PurePosixPath(name).name for name in media]
        path = find_subtitles(Path(self.name).expanduser(), (row.id, *media, *stems))
        return None if path is None else read_subtitles(path, self.language or row.language)
