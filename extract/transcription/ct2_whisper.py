"""Whisper in CTranslate2's form, run by faster-whisper, with the times of its words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embeddings_store.errors import MissingDependencyError, ModelLoadError
from embeddings_store.provenance import file_digest
from embeddings_store.reading import reading
from extract.transcription.recogniser import ENGLISH
from extract.transcription.speech import Samples
from extract.transcription.words import Word

CT2_MODEL = "model.bin"
OTHER_FORM = (
    "take one in Transformers' form, or make this one with ct2-transformers-converter --copy_files "
    "tokenizer.json preprocessor_config.json"
)


@dataclass(frozen=True, slots=True)
class _Options:
    """How faster-whisper decodes: nothing is random, and each span stands for itself."""

    beam_size: int = 5
    temperature: float = 0.0
    condition_on_previous_text: bool = False
    word_timestamps: bool = True
    vad_filter: bool = False


class FasterWhisper:
    """Whisper in CTranslate2's form, run by faster-whisper."""

    def __init__(self, folder: Path, device: str) -> None:
        """Load it.

        Args:
            folder: With ``model.bin`` and ``tokenizer.json``.
            device: ``cpu`` or ``cuda``.
        """
        try:
            from faster_whisper import WhisperModel
        except ImportError:
            raise MissingDependencyError(
                f"{folder} holds Whisper for faster-whisper, which is not installed; install the "
                "extra 'transcribe', or take a folder in Transformers' form"
            ) from None
        # without these files faster-whisper would ask the Hub
        for needed in ("tokenizer.json", "config.json"):
            if not (folder / needed).is_file():
                raise ModelLoadError(f"{folder}: holds {CT2_MODEL} and no {needed}; {OTHER_FORM}")
        with reading(folder, "Whisper in CTranslate2's form", OTHER_FORM, ModelLoadError):
            self._model = WhisperModel(
                str(folder), device=device, compute_type="float32", local_files_only=True
            )
            known = self._model.supported_languages
        self.languages = frozenset(known)
        import ctranslate2
        import faster_whisper

        self.about: Mapping[str, object] = {
            "engine": "faster-whisper",
            "engine_version": faster_whisper.__version__,
            "ctranslate2_version": ctranslate2.__version__,
            "model": folder.name,
            "weights_digest": file_digest(folder / CT2_MODEL),
            "beam_size": _Options().beam_size,
        }

    def language_of(self, samples: Samples) -> str:
        """Return the code of the language that is spoken."""
        if self.languages == {ENGLISH}:
            return ENGLISH
        return str(self._model.detect_language(samples)[0])

    def words(self, samples: Samples, language: str) -> list[Word]:
        """Return what is said, times from the first sample."""
        options = {name: getattr(_Options(), name) for name in _Options.__slots__}
        segments, _ = self._model.transcribe(samples, language=language, **options)
        found = []
        for segment in segments:
            for word in segment.words or ():
                if text := word.word.strip():
                    times = float(word.start), float(word.end)
                    found.append(Word(*times, text, float(word.probability)))
        return found
