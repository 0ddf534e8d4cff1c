"""Whisper as Transformers runs it, with the times and probabilities of its words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor

from embeddings_store.errors import ModelLoadError
from embeddings_store.provenance import file_digest
from embeddings_store.reading import AGAIN, read_json, reading
from extract.encoders.loading import quiet
from extract.encoders.weight_files import refuse_what_is_no_float_model
from extract.transcription.recogniser import ENGLISH
from extract.transcription.speech import RATE, Samples
from extract.transcription.words import SPACELESS, Word

HALF_LETTER = "\ufffd"  # what the tokenizer writes for a token that ends within a letter


class TransformersWhisper:
    """Whisper in Transformers' form; decodes greedily, in float32."""

    def __init__(self, folder: Path, device: str) -> None:
        """Load it.

        Args:
            folder: With ``config.json``, safetensors and tokenizer.
            device: Where it runs.

        Raises:
            ModelLoadError: It cannot be read, or has no times of words.
        """
        _check_config(folder)
        weights = sorted(folder.glob("model*.safetensors"))
        if not weights:
            raise ModelLoadError(
                f"{folder}: has no weights as safetensors; save it with save_pretrained"
            )
        refuse_what_is_no_float_model(folder)
        with reading(folder, "Whisper in Transformers' form", AGAIN, ModelLoadError), quiet():
            model: Any = transformers.WhisperForConditionalGeneration.from_pretrained(
                folder, use_safetensors=True, local_files_only=True, dtype=torch.float32
            )
            processor = transformers.WhisperProcessor.from_pretrained(folder, local_files_only=True)
        self._model: Any = model.to(device).eval()
        self._front_end, self._tokenizer = processor.feature_extractor, processor.tokenizer
        self._settings = self._model.generation_config
        if getattr(self._settings, "alignment_heads", None) is None:
            raise ModelLoadError(
                f"{folder}: its generation_config.json names no alignment_heads, so its words have "
                "no times; take the file of the model that it was made from"
            )
        codes = getattr(self._settings, "lang_to_id", None) or {}
        self._by_token = {token: code.strip("<|>") for code, token in codes.items()}
        self.languages = frozenset(self._by_token.values()) or frozenset({ENGLISH})
        self.about: Mapping[str, object] = {
            "engine": "transformers",
            "engine_version": f"{transformers.__version__}, torch {torch.__version__}",
            "model": folder.name,
            "weights_digest": ", ".join(map(file_digest, weights)),
        }

    def language_of(self, samples: Samples) -> str:
        """Return the code of the language that is spoken."""
        if self.languages == {ENGLISH}:
            return ENGLISH
        with torch.inference_mode():
            token = self._model.detect_language(self._features(samples)["input_features"])
        return str(self._by_token[int(token[0])])

    def words(self, samples: Samples, language: str) -> list[Word]:
        """Return what is said, times from the first sample."""
        features = self._features(samples)
        spoken: dict[str, Any] = {}
        if self.languages != {ENGLISH}:
            spoken = {"language": language, "task": "transcribe"}
        with torch.inference_mode(), quiet():
            found = self._model.generate(
                **features,
                **spoken,
                return_timestamps=True,
                return_token_timestamps=True,
                do_sample=False,
                num_beams=1,
                return_segments=True,
            )
            tokens = found["sequences"][0]
            chances = self._chances(features["input_features"], tokens, language)
        times_s = found["token_timestamps"][0].tolist()
        length_s = len(samples) / RATE
        return self._joined(tokens.tolist(), times_s, chances, language, length_s)

    def _features(self, samples: Samples) -> dict[str, Tensor]:
        made = self._front_end(
            samples, sampling_rate=RATE, return_tensors="pt", return_attention_mask=True
        )
        return {name: made[name].to(self._model.device) for name in made}

    def _chances(self, features: Tensor, tokens: Tensor, language: str) -> list[float]:
        """Return the probability of each token, given those before it."""
        start: list[Any] = [self._model.config.decoder_start_token_id]
        if self.languages != {ENGLISH}:
            start += self._tokenizer.convert_tokens_to_ids([f"<|{language}|>", "<|transcribe|>"])
        before = torch.tensor([start], device=tokens.device)
        given = torch.cat([before, tokens[None, :-1]], dim=1)
        logits = self._model(input_features=features, decoder_input_ids=given).logits
        answers = logits[0, len(start) - 1 :].softmax(dim=-1)
        found: list[float] = answers.gather(1, tokens[:, None])[:, 0].tolist()
        return found

    def _joined(
        self,
        tokens: list[int],
        times_s: list[float],
        chances: list[float],
        language: str,
        length_s: float,
    ) -> list[Word]:
        """Return words from tokens: one begins with a space, or in some scripts with a letter."""
        first_mark, words = self._settings.eos_token_id, list[Word]()
        group: list[int] = []

        def finish() -> None:
            if group:
                text = self._tokenizer.decode([tokens[i] for i in group]).strip()
                start_s = times_s[group[0] - 1] if group[0] else 0.0
                sure = float(np.mean([chances[i] for i in group]))
                if text:
                    span = (min(start_s, length_s), min(times_s[group[-1]], length_s))
                    words.append(Word(round(span[0], 3), round(span[1], 3), text, sure))
                group.clear()

        for place, token in enumerate(tokens):
            if token >= first_mark:  # times and other marks stand behind all words
                finish()
                continue
            whole = HALF_LETTER not in self._tokenizer.decode([tokens[i] for i in group])
            begins = language in SPACELESS or self._tokenizer.decode([token]).startswith(" ")
            if begins and whole:
                finish()
            group.append(place)
        finish()
        return words


def _check_config(folder: Path) -> None:
    """Check that ``config.json`` is that of a Whisper in Transformers' form.

    Raises:
        ModelLoadError: It is none.
    """
    config = read_json(folder / "config.json", "a model's config.json", AGAIN, ModelLoadError)
    if not isinstance(config, dict) or config.get("model_type") != "whisper":
        raise ModelLoadError(
            f"{folder}: is no Whisper, neither in Transformers' form (config.json with model_type "
            "whisper) nor in CTranslate2's (model.bin), and holds no subtitles"
        )
