"""The table of encoders.

Imports nothing heavy, so ``--help`` and ``--dry-run`` stay fast. To add an encoder of a known
architecture, add one row to ``REGISTRY``; anything else of a known architecture works without a
row, by its Hub id or its folder (:mod:`extract.encoders.resolving`).
"""

from __future__ import annotations

from embeddings_store.errors import unknown_name
from extract.encoders.encoder_spec import EncoderSpec
from extract.encoders.encoder_spec import spec_of as _row
from extract.encoders.feature_sets import FEATURE_SETS, FeatureSet

MODALITIES = ("text", "audio", "video")

_GROUP_NORM = (
    "first convolution normalised over time: the norm is taken over each clip's own frames"
)
_OWN_LENGTH = "encoder run on the clip's own length, not padded to 30 s"
# The model cards point to github.com/microsoft/UniSpeech/blob/main/LICENSE.
_UNISPEECH = "CC-BY-SA-3.0"

REGISTRY: tuple[EncoderSpec, ...] = (
    _row(
        "bert-base-uncased",
        "bert",
        "google-bert/bert-base-uncased",
        768,
        12,
        licence="Apache-2.0",
        source="https://arxiv.org/abs/1810.04805",
        note="the paper's text encoder",
    ),
    _row(
        "roberta-base",
        "roberta",
        "FacebookAI/roberta-base",
        768,
        12,
        licence="MIT",
        source="https://arxiv.org/abs/1907.11692",
    ),
    _row(
        "distilbert-base-uncased",
        "distilbert",
        "distilbert/distilbert-base-uncased",
        768,
        6,
        licence="Apache-2.0",
        source="https://arxiv.org/abs/1910.01108",
    ),
    _row(
        "indobert-base-p1",
        "bert",
        "indobenchmark/indobert-base-p1",
        768,
        12,
        licence="MIT",
        source="https://arxiv.org/abs/2009.05387",
        note="Indonesian, uncased",
    ),
    _row(
        "bert-base-multilingual-cased",
        "bert",
        "google-bert/bert-base-multilingual-cased",
        768,
        12,
        licence="Apache-2.0",
        source="https://github.com/google-research/bert/blob/master/multilingual.md",
        note="104 languages",
    ),
    _row(
        "all-MiniLM-L6-v2",
        "bert",
        "sentence-transformers/all-MiniLM-L6-v2",
        384,
        6,
        pooling="mean",
        licence="Apache-2.0",
        source="https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
        note="a sentence encoder, trained for the mean over tokens; vectors are not scaled to "
        "unit length",
    ),
    _row(
        "xlm-roberta-base",
        "xlm-roberta",
        "FacebookAI/xlm-roberta-base",
        768,
        12,
        licence="MIT",
        source="https://arxiv.org/abs/1911.02116",
        note="100 languages",
    ),
    _row(
        "multilingual-e5-base",
        "xlm-roberta",
        "intfloat/multilingual-e5-base",
        768,
        12,
        pooling="mean",
        prefix="query: ",
        licence="MIT",
        source="https://arxiv.org/abs/2402.05672",
        note="a sentence encoder of 100 languages, trained for the mean over tokens of texts that "
        "begin with 'query: ', which is put there; vectors are not scaled to unit length",
    ),
    _row(
        "all-mpnet-base-v2",
        "mpnet",
        "sentence-transformers/all-mpnet-base-v2",
        768,
        12,
        pooling="mean",
        licence="Apache-2.0",
        source="https://huggingface.co/sentence-transformers/all-mpnet-base-v2",
        note="a sentence encoder, trained for the mean over tokens; vectors are not scaled to "
        "unit length",
    ),
    _row(
        "deberta-v3-base",
        "deberta-v2",
        "microsoft/deberta-v3-base",
        768,
        12,
        licence="MIT",
        source="https://arxiv.org/abs/2111.09543",
        note="its vocabulary is a SentencePiece file, which needs the package sentencepiece",
    ),
    _row(
        "modernbert-base",
        "modernbert",
        "answerdotai/ModernBERT-base",
        768,
        22,
        licence="Apache-2.0",
        source="https://arxiv.org/abs/2412.13663",
        note="reads up to 8,192 tokens",
    ),
    _row(
        "wav2vec2-base",
        "wav2vec2",
        "facebook/wav2vec2-base",
        768,
        12,
        padding_harmless=False,
        licence="Apache-2.0",
        source="https://arxiv.org/abs/2006.11477",
        note=f"the paper's speech encoder; {_GROUP_NORM}",
    ),
    _row(
        "hubert-base",
        "hubert",
        "facebook/hubert-base-ls960",
        768,
        12,
        padding_harmless=False,
        licence="Apache-2.0",
        source="https://arxiv.org/abs/2106.07447",
        note=_GROUP_NORM,
    ),
    _row(
        "hubert-large",
        "hubert",
        "facebook/hubert-large-ll60k",
        1024,
        24,
        licence="Apache-2.0",
        source="https://arxiv.org/abs/2106.07447",
        note="1024-d, so sum and product with 768-d encoders are not defined",
    ),
    _row(
        "wavlm-base",
        "wavlm",
        "microsoft/wavlm-base",
        768,
        12,
        padding_harmless=False,
        licence=_UNISPEECH,
        source="https://arxiv.org/abs/2110.13900",
        note=_GROUP_NORM,
    ),
    _row(
        "wavlm-base-plus",
        "wavlm",
        "microsoft/wavlm-base-plus",
        768,
        12,
        padding_harmless=False,
        licence=_UNISPEECH,
        source="https://arxiv.org/abs/2110.13900",
        note=_GROUP_NORM,
    ),
    _row(
        "wavlm-large",
        "wavlm",
        "microsoft/wavlm-large",
        1024,
        24,
        licence=_UNISPEECH,
        source="https://arxiv.org/abs/2110.13900",
        note="1024-d",
    ),
    _row(
        "xls-r-300m",
        "wav2vec2",
        "facebook/wav2vec2-xls-r-300m",
        1024,
        24,
        licence="Apache-2.0",
        source="https://arxiv.org/abs/2111.09296",
        note="128 languages, 1024-d",
    ),
    _row(
        "data2vec-audio-base",
        "data2vec-audio",
        "facebook/data2vec-audio-base",
        768,
        12,
        padding_harmless=False,
        licence="Apache-2.0",
        source="https://arxiv.org/abs/2202.03555",
        note="positions embedded by five convolutions: each sees the clip's own frames",
    ),
    _row(
        "ast",
        "audio-spectrogram-transformer",
        "MIT/ast-finetuned-audioset-10-10-0.4593",
        768,
        12,
        licence="BSD-3-Clause",
        source="https://arxiv.org/abs/2104.01778",
        note="trained on AudioSet's 527 labels (YouTube); every clip is padded to 10.24 s, as in "
        "its training",
    ),
    _row(
        "whisper-tiny",
        "whisper",
        "openai/whisper-tiny",
        384,
        4,
        padding_harmless=False,
        licence="Apache-2.0",
        source="https://arxiv.org/abs/2212.04356",
        note=_OWN_LENGTH,
    ),
    _row(
        "whisper-base",
        "whisper",
        "openai/whisper-base",
        512,
        6,
        padding_harmless=False,
        licence="Apache-2.0",
        source="https://arxiv.org/abs/2212.04356",
        note=_OWN_LENGTH,
    ),
    _row(
        "whisper-small",
        "whisper",
        "openai/whisper-small",
        768,
        12,
        padding_harmless=False,
        licence="Apache-2.0",
        source="https://arxiv.org/abs/2212.04356",
        note=_OWN_LENGTH,
    ),
    _row(
        "videomae-base",
        "videomae",
        "MCG-NJU/videomae-base",
        768,
        12,
        licence="CC-BY-NC-4.0",
        source="https://arxiv.org/abs/2203.12602",
        note="the paper's video encoder; 16 frames, mean over patches, then the model's norm",
    ),
    _row(
        "timesformer-base-k400",
        "timesformer",
        "facebook/timesformer-base-finetuned-k400",
        768,
        12,
        licence="CC-BY-NC-4.0",
        source="https://arxiv.org/abs/2102.05095",
        note="trained on the 400 labels of Kinetics (YouTube); 8 frames",
    ),
    _row(
        "vit-base",
        "vit",
        "google/vit-base-patch16-224-in21k",
        768,
        12,
        licence="Apache-2.0",
        source="https://arxiv.org/abs/2010.11929",
        note="trained on the labels of ImageNet-21k; sees single frames, the mean over which is "
        "the vector",
    ),
    _row(
        "dinov2-base",
        "dinov2",
        "facebook/dinov2-base",
        768,
        12,
        licence="Apache-2.0",
        source="https://arxiv.org/abs/2304.07193",
        note="trained without labels; sees single frames, the mean over which is the vector",
    ),
    _row(
        "clip-vit-base-patch32",
        "clip_vision_model",
        "openai/clip-vit-base-patch32",
        768,
        12,
        licence="MIT",
        source="https://arxiv.org/abs/2103.00020",
        note="the half that sees, before its projection; sees single frames, the mean over which "
        "is the vector",
    ),
    _row(
        "siglip-base-patch16-224",
        "siglip_vision_model",
        "google/siglip-base-patch16-224",
        768,
        12,
        licence="Apache-2.0",
        source="https://arxiv.org/abs/2303.15343",
        note="the half that sees, with its attention pooling; sees single frames, the mean over "
        "which is the vector",
    ),
)


def _features_row(features: FeatureSet) -> EncoderSpec:
    return _row(
        features.name,
        features.package,
        "",
        features.dim,
        0,
        licence=features.licence,
        source=features.source,
        note=features.note,
    )


# Beside the checkpoints: classical features, which need none.
FEATURES: tuple[EncoderSpec, ...] = tuple(map(_features_row, FEATURE_SETS))


def encoder_names(modality: str | None = None) -> tuple[str, ...]:
    """Return the registry's names, of one modality or of all.

    Raises:
        UnknownNameError: If there is no such modality.

    >>> encoder_names("text")[:2]
    ('bert-base-uncased', 'roberta-base')
    """
    if modality is not None and modality not in MODALITIES:
        unknown_name("modality", modality, MODALITIES)
    return tuple(row.name for row in (*REGISTRY, *FEATURES) if modality in (None, row.modality))
