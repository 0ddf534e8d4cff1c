"""Small encoders of the paper's three architectures with random weights, to train from scratch.

They are as small as the demo's task allows: a few seconds of one core per fold, and little room to
learn its noisy labels by heart. Apart from their size they are ordinary folders that
:func:`extract.encoders.load_encoder` reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from extract.encoders.architectures import SAMPLE_RATE

if TYPE_CHECKING:
    from torch import Tensor

ENCODERS = {"text": "demo-bert", "audio": "demo-wav2vec2", "video": "demo-videomae"}
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
DIM, HEADS, HIDDEN = 64, 4, 128
MAX_TOKENS = 64
FRAMES, FRAME_SIZE, PATCH, TUBELET = 16, 32, 16, 2
# 25 ms every 10 ms, the usual frames of speech analysis, and then every third of them.
KERNELS, STRIDES = (400, 3), (160, 3)
LOWEST_HZ, HIGHEST_HZ = 80.0, 6000.0
# Mean and deviation of red, green and blue as in VideoMAE's own training.
PIXEL_MEAN, PIXEL_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def make_encoders(folder: Path, texts: Iterable[str], seed: int = 0) -> dict[str, Path]:
    """Write ``text``, ``audio`` and ``video`` encoders into a folder.

    The same words and seed give the same weights.

    Args:
        folder: Where; it is made if it is not there.
        texts: Their words become the text encoder's vocabulary; nothing else of them is used.
        seed: Of the random weights.

    Returns:
        Modality to the encoder's folder.
    """
    import torch

    from extract.encoders.loading import quiet

    words = _words(texts)
    makers = {"text": lambda place: _bert(place, words), "audio": _wav2vec2, "video": _videomae}
    made = {modality: folder / name for modality, name in ENCODERS.items()}
    for modality, place in made.items():
        with torch.random.fork_rng(devices=[]), quiet():
            torch.manual_seed(seed)
            makers[modality](place)
    return made


def _words(texts: Iterable[str]) -> list[str]:
    words: set[str] = set()
    for text in texts:
        words.update(re.findall(r"\w+|[^\w\s]", text.lower()))
    return sorted(words)


def _bert(folder: Path, words: list[str]) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    # Transformers makes this name when it is asked for, so type checkers do not find it.
    from transformers import BertConfig, BertModel, BertTokenizerFast  # type: ignore[attr-defined]

    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=SPECIAL[1]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=DIM,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        intermediate_size=HIDDEN,
        max_position_embeddings=MAX_TOKENS,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    BertTokenizerFast(tokenizer_object=tokenizer, model_max_length=MAX_TOKENS).save_pretrained(
        folder
    )


def _wav2vec2(folder: Path) -> None:
    """Write a wav2vec 2.0 with two convolutions instead of seven, the first a bank of filters.

    Random filters would have to be learnt from samples first, for which 600 short clips are too
    few. Their norm is over the channels of a frame: the base model's, over time, would take away
    which bands are strong.
    """
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    config = Wav2Vec2Config(
        hidden_size=DIM,
        num_hidden_layers=1,
        num_attention_heads=HEADS,
        intermediate_size=HIDDEN,
        feat_extract_norm="layer",
        conv_dim=(DIM, DIM),
        conv_kernel=KERNELS,
        conv_stride=STRIDES,
        conv_bias=True,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        mask_time_prob=0.0,
        do_stable_layer_norm=False,
    )
    model = Wav2Vec2Model(config)
    first = model.get_parameter("feature_extractor.conv_layers.0.conv.weight")
    first.data.copy_(band_filters(DIM, KERNELS[0]))
    model.save_pretrained(folder)
    _write_preprocessor(
        folder,
        {
            "feature_extractor_type": "Wav2Vec2FeatureExtractor",
            "do_normalize": True,
            "sampling_rate": SAMPLE_RATE,
        },
    )


def band_filters(count: int, length: int) -> Tensor:
    """Return windowed cosines and sines of mel-spaced frequencies, float32 (count, 1, length).

    Each is as strong as its frequency is high, which undoes the fall of a voice's spectrum: speech
    recognisers call it pre-emphasis.
    """
    import torch

    low_mel, high_mel = (2595 * np.log10(1 + hz / 700) for hz in (LOWEST_HZ, HIGHEST_HZ))
    hz = 700 * (10 ** (np.linspace(low_mel, high_mel, count // 2) / 2595) - 1)[:, None]
    angle = 2 * np.pi * hz * (np.arange(length) - length / 2) / SAMPLE_RATE
    waves = np.concatenate([np.cos(angle), np.sin(angle)]) * np.hanning(length)
    waves *= np.concatenate([hz, hz]) / hz.mean() / np.linalg.norm(waves, axis=1, keepdims=True)
    return torch.tensor(waves[:, None], dtype=torch.float32)


def _videomae(folder: Path) -> None:
    from transformers import VideoMAEConfig, VideoMAEModel

    config = VideoMAEConfig(
        image_size=FRAME_SIZE,
        patch_size=PATCH,
        num_frames=FRAMES,
        tubelet_size=TUBELET,
        hidden_size=DIM,
        num_hidden_layers=1,
        num_attention_heads=HEADS,
        intermediate_size=HIDDEN,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        initializer_range=0.05,
        use_mean_pooling=False,
    )
    VideoMAEModel(config).save_pretrained(folder)
    _write_preprocessor(
        folder,
        {
            "image_mean": PIXEL_MEAN,
            "image_std": PIXEL_STD,
            "size": {"shortest_edge": FRAME_SIZE},
            "crop_size": {"height": FRAME_SIZE, "width": FRAME_SIZE},
        },
    )


def _write_preprocessor(folder: Path, settings: dict[str, object]) -> None:
    (folder / "preprocessor_config.json").write_text(
        json.dumps(settings, indent=1) + "\n", encoding="utf-8"
    )
