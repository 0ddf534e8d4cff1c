"""Runs BERT and its kin over transcripts."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from embeddings_store.errors import ModelLoadError, UsageError
from embeddings_store.reading import AGAIN, reading
from extract.encoders.architectures import ARCHITECTURES
from extract.encoders.base import AdapterOptions, ModelEncoder
from extract.encoders.describe import PROMPTS
from extract.encoders.encoder_spec import EncoderSpec
from extract.encoders.loading import LoadedModel, quiet
from extract.encoders.settings import InputSettings

# A share that a few names or emoticons do not reach.
LEAST_UNKNOWN = 0.01
UNUSUAL = "\u2603 \U000130b8"  # A snowman and a hieroglyph, which hardly any vocabulary has.
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json")
_SENTENCEPIECE = ("tokenizer.model", "sentencepiece.bpe.model", "spm.model")
USUAL_POSITIONS = 512  # where a model counts distances and sets no limit
# Their position embeddings begin behind the padding index.
_COUNT_AFTER_PADDING = ("roberta", "xlm-roberta", "mpnet")


class TextEncoder(ModelEncoder):
    """An encoder of texts.

    Attributes:
        max_tokens: Tokens of a text that are read, special tokens included; the rest is left off.
        truncated: How many texts have been cut at ``max_tokens`` so far.
        texts: How many texts have been read so far.
        tokens: How many tokens they have, special ones apart.
        unknown: How many of these the tokenizer does not know.
    """

    def __init__(
        self, spec: EncoderSpec, loaded: LoadedModel, options: AdapterOptions, inputs: InputSettings
    ) -> None:
        """Load the tokenizer from the model's folder.

        Args:
            spec: What the model was resolved to.
            loaded: The model.
            options: How it is to be run.
            inputs: How many tokens of a text are read, at most what the model takes.

        Raises:
            UsageError: If ``max_tokens`` leaves no room for a word between the special tokens.
            ModelLoadError: If the folder holds no tokenizer, or that of another model.
        """
        limit = position_limit(loaded.config)
        super().__init__(spec, loaded, options, max_input=limit)
        self._tokenizer = _load_tokenizer(loaded.folder, loaded.config.vocab_size)
        self.max_tokens = min(inputs.max_tokens, limit, self._tokenizer.model_max_length)
        if self.max_tokens < 3:
            raise UsageError(
                f"max_tokens is {self.max_tokens}; expected at least 3, two of them for special "
                "tokens"
            )
        self._prefix = spec.prefix
        self._vocabulary_size: int = loaded.config.vocab_size
        self._special = frozenset(self._tokenizer.all_special_ids)
        self.forget_remarks()
        self.settings |= {
            "max_tokens": self.max_tokens,
            "tokenizer_digest": digest_of_tokenizer(self._tokenizer),
        }
        if self._prefix:
            self.settings["prefix"] = self._prefix

    def token_count(self, text: str) -> int:
        """Return how many tokens the whole text has, special tokens included."""
        return len(self._token_ids(text, truncation=False))

    def _token_ids(self, text: str, *, truncation: bool) -> list[int]:
        most = self.max_tokens if truncation else None
        ids: list[int] = self._tokenizer(
            self._prefix + text, truncation=truncation, max_length=most, verbose=False
        )["input_ids"]
        return ids

    def _prepare(self, position: int, item: object) -> list[int]:
        if not isinstance(item, str):
            raise UsageError(
                f"input {position} is a {type(item).__name__}; a text encoder reads str"
            )
        ids = self._token_ids(item, truncation=False)
        self._count(ids)
        if len(ids) <= self.max_tokens:
            return ids
        self.truncated += 1
        return self._token_ids(item, truncation=True)

    def _count(self, ids: list[int]) -> None:
        unknown = self._tokenizer.unk_token_id
        own = [token for token in ids if token == unknown or token not in self._special]
        self.texts += 1
        self.tokens += len(own)
        self.unknown += own.count(unknown) if unknown is not None else 0

    def save(self, folder: Path) -> None:
        """See :meth:`Encoder.save`; what is put before every text is kept too."""
        super().save(folder)
        if self._prefix:
            prompts = {"prompts": {"text": self._prefix}, "default_prompt_name": "text"}
            (folder / PROMPTS).write_text(json.dumps(prompts), encoding="utf-8")

    def remarks(self) -> list[str]:
        """Say what was lost of the texts that were read: tokens that are unknown, or too many."""
        sentences = []
        if self.truncated:
            sentences.append(
                f"{self.truncated} of {self.texts} texts have more than {self.max_tokens} tokens "
                "and were cut there; --max-tokens takes more, where the model does"
            )
        share = self.unknown / self.tokens if self.tokens else 0.0
        if share >= LEAST_UNKNOWN:
            sentences.append(
                f"{100 * share:.0f} % of the tokens ({self.unknown} of {self.tokens}) are unknown "
                "to this encoder's tokenizer and look alike to it; choose an encoder that was "
                "trained on this language"
            )
        return sentences

    def forget_remarks(self) -> None:
        """Begin to count anew what texts lose."""
        self.truncated = self.texts = self.tokens = self.unknown = 0

    def _run(self, items: list[list[int]]) -> tuple[Mapping[int, Tensor], Tensor]:
        longest = max(map(len, items))
        ids = torch.full((len(items), longest), self._tokenizer.pad_token_id, dtype=torch.long)
        mask = torch.zeros_like(ids, dtype=torch.bool)
        for row, tokens in enumerate(items):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = True
        ids, mask = ids.to(self.device), mask.to(self.device)
        return self._stock_states(input_ids=ids, attention_mask=mask.long()), mask


def position_limit(config: PreTrainedConfig) -> int:
    """Return how many tokens the position embeddings reach.

    RoBERTa and its kin start counting after their padding index; of a model that has no entry, the
    fewer are taken.

    >>> from transformers import BertConfig, RobertaConfig
    >>> roberta = RobertaConfig(max_position_embeddings=514, pad_token_id=1)
    >>> position_limit(BertConfig()), position_limit(roberta)
    (512, 512)
    """
    kind, offset = config.model_type, 0
    if kind in _COUNT_AFTER_PADDING or kind not in ARCHITECTURES:
        offset = (config.pad_token_id or 0) + 1
    reach = getattr(config, "max_position_embeddings", None)
    if not isinstance(reach, int) or reach < 1:  # XLNet says -1
        return USUAL_POSITIONS
    return reach - offset


def digest_of_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the SHA-256 of everything that decides how a text is cut into tokens."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    for set_by_each_call in ("truncation", "padding", "version"):
        content.pop(set_by_each_call, None)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _require_vocabulary(folder: Path) -> None:
    """Refuse a folder from which Transformers makes a tokenizer that knows no word, unsaid."""
    if any((folder / name).is_file() for name in _VOCABULARIES):
        return
    pieces = [name for name in _SENTENCEPIECE if (folder / name).is_file()]
    if not pieces:
        raise ModelLoadError(
            f"{folder} has no tokenizer ({', '.join((*_VOCABULARIES, *_SENTENCEPIECE))}); copy "
            "that of the original model into it"
        )
    if importlib.util.find_spec("sentencepiece") is None:
        raise ModelLoadError(
            f"{folder / pieces[0]} is a vocabulary that the package sentencepiece reads, which is "
            "not installed; install it, or put a tokenizer.json beside it"
        )


def _load_tokenizer(folder: Path, vocabulary: int) -> PreTrainedTokenizerBase:
    _require_vocabulary(folder)
    fault = "holds a tokenizer that cannot be read"
    with reading(folder, "", AGAIN, ModelLoadError, fault=fault), quiet():
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        tokenizer(UNUSUAL)  # A vocabulary without its unknown token fails here, not at some row.
        tokenizer.model_max_length = int(tokenizer.model_max_length)
        last = max(tokenizer.get_vocab().values(), default=0)
    if tokenizer.pad_token_id is None:
        raise ModelLoadError(
            f"the tokenizer in {folder} has no padding token, so texts cannot be put into batches"
        )
    if len(tokenizer) > vocabulary:
        raise ModelLoadError(
            f"the tokenizer in {folder} has {len(tokenizer)} tokens and the model {vocabulary}; "
            "they do not belong together"
        )
    if last >= vocabulary:  # Of 1 << 31 as of a word that is used: it takes memory for all below.
        raise ModelLoadError(
            f"the tokenizer in {folder} gives a token the number {last} and the model has "
            f"{vocabulary}; they do not belong together"
        )
    return tokenizer
