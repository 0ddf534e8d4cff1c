"""The table of encoders, and the one place that finds the encoder which a user names.

Imports nothing heavy, so ``--help`` and ``--dry-run`` stay fast. To add an encoder of a known
architecture, add one row to ``REGISTRY``; anything else of a known architecture works without a
row, by its Hub id or its folder.

>>> resolve("wav2vec2-base").spec.pooling
'mean'
>>> resolve("wav2vec2-bose")
Traceback (most recent call last):
    ...
embeddings_store.errors.UnknownNameError: unknown encoder ...; did you mean 'wav2vec2-base'? ...
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from embeddings_store.errors import ModelLoadError, UsageError, did_you_mean, unknown_name
from extract.encoders import hub
from extract.encoders.architectures import check_pooling, kind_of
from extract.encoders.describe import describe
from extract.encoders.feature_sets import FEATURE_SETS, FeatureSet

MODALITIES = ("text", "audio", "video")


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """One encoder: a row of the registry, or what a checkpoint's ``config.json`` says.

    Attributes:
        name: How the encoder is called in commands and in the store.
        modality: ``"text"``, ``"audio"`` or ``"video"``.
        architecture: Transformers' ``model_type``: a key of
            :data:`extract.encoders.architectures.ARCHITECTURES`, or that of any encoder of text; of
            a set of features the package that computes it.
        hub_id: Repository on the Hub; empty for a folder that no row knows, and for features.
        pooling: What turns states into one vector.
        dim: Width of the vector.
        layers: Number of transformer layers.
        revision: A commit that was verified, else empty; the one actually loaded is
            ``Encoder.revision``.
        padding_harmless: Whether stock Transformers with a correct mask gives the same states for a
            clip alone and padded in a batch. Ours are the same either way.
        licence: SPDX-like name of the licence of the weights.
        source: Paper or page that the row's facts come from.
        note: Anything that a user of the vectors should know.
        prefix: Words that the model was trained to read before every text; empty for most.
        sample_rate: Rate of the waveform in Hz; None for text and video. Filled from the
            architecture.
        max_input: Tokens (text) or seconds (audio) that the model takes at most; None where it sets
            no limit.
        min_duration_s: Shortest sound that gives one frame, in seconds; 0 for text and video.
    """

    name: str
    modality: str
    architecture: str
    hub_id: str
    pooling: str
    dim: int
    layers: int
    revision: str = ""
    padding_harmless: bool = True
    licence: str = ""
    source: str = ""
    note: str = ""
    prefix: str = ""
    sample_rate: int | None = None
    max_input: float | None = None
    min_duration_s: float = 0.0

    def __post_init__(self) -> None:
        """Check the row against its architecture.

        Raises:
            UsageError: If the pooling or the modality does not fit the architecture.
        """
        known = kind_of(self.architecture)
        if self.modality != known.modality:
            raise UsageError(
                f"{self.name}: {self.architecture} reads {known.modality}, not {self.modality}"
            )
        check_pooling(self.architecture, self.pooling)


def _row(
    name: str, architecture: str, hub_id: str, dim: int, layers: int, **facts: Any
) -> EncoderSpec:
    known = kind_of(architecture)
    facts.setdefault("pooling", known.pooling)
    return EncoderSpec(
        name=name,
        modality=known.modality,
        architecture=architecture,
        hub_id=hub_id,
        dim=dim,
        layers=layers,
        sample_rate=known.sample_rate,
        max_input=known.max_input,
        min_duration_s=known.min_duration_s,
        **facts,
    )


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


@dataclass(frozen=True, slots=True)
class ResolvedEncoder:
    """An encoder that exists as far as can be told without loading it.

    Attributes:
        spec: What it is.
        source: Folder or Hub id to load from; of features the package.
        is_local: Whether ``source`` is a folder.
    """

    spec: EncoderSpec
    source: str
    is_local: bool


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


def resolve(encoder: str, modality: str | None = None) -> ResolvedEncoder:
    """Find the encoder that a registry name, a local folder or a Hub id stands for, in this order.

    A folder whose name is a row's, and whose ``model_type`` agrees, takes that row's pooling; any
    other folder and any Hub id without a row takes what its sentence-transformers file
    ``1_Pooling/config.json`` says, else its architecture's.

    Args:
        encoder: For example ``"wav2vec2-base"``, ``"models/fold-3"`` or ``"org/name"``.
        modality: What the encoder has to read; None for anything.

    Raises:
        UnknownNameError: If the name is in no table and is neither a folder nor a Hub id.
        UsageError: If the encoder reads another modality, or is of an architecture that this
            project does not know.
        ModelLoadError: If the folder or the Hub repository has no readable ``config.json``, or the
            Hub cannot be reached.
    """
    found = _find(encoder)
    if modality is not None and found.spec.modality != modality:
        known = ", ".join(encoder_names(modality))
        raise UsageError(
            f"encoder {encoder!r} reads {found.spec.modality}, not {modality}; {modality} "
            f"encoders: {known}"
        )
    return found


def _find(encoder: str) -> ResolvedEncoder:
    for row in REGISTRY:
        if encoder in (row.name, row.hub_id):
            return ResolvedEncoder(row, row.hub_id, is_local=False)
    for row in FEATURES:
        if encoder == row.name:
            return ResolvedEncoder(row, row.architecture, is_local=False)
    folder = Path(encoder).expanduser()
    if folder.is_dir():
        spec = _spec_of_folder(folder, folder.resolve().name)
        return ResolvedEncoder(spec, str(folder), is_local=True)
    if folder.exists():
        raise UsageError(
            f"{encoder} is a file; an encoder is a folder with config.json, a Hub id or one of "
            "the known names"
        )
    if not hub.is_hub_id(encoder):
        if "/" in encoder or "\\" in encoder:
            raise UsageError(
                f"no folder {encoder}; an encoder is a folder with config.json, a Hub id or one "
                "of the known names"
            )
        unknown_name("encoder", encoder, encoder_names())
    return _find_on_hub(encoder)


def _find_on_hub(hub_id: str) -> ResolvedEncoder:
    try:
        snapshot = hub.fetch_description(hub_id)
    except ModelLoadError as error:
        hint = did_you_mean(hub_id, [row.hub_id for row in REGISTRY])
        raise ModelLoadError(f"{error}{hint}") from None
    spec = _spec_of_folder(snapshot, _last_part(hub_id))
    return ResolvedEncoder(replace(spec, hub_id=hub_id, note=""), hub_id, is_local=False)


def _spec_of_folder(folder: Path, name: str) -> EncoderSpec:
    found = describe(folder)
    for row in REGISTRY:
        same_name = name in (row.name, _last_part(row.hub_id))
        if same_name and row.architecture == found.architecture:
            return replace(
                row,
                dim=found.dim,
                prefix=found.prefix or row.prefix,
                layers=found.layers,
                padding_harmless=found.padding_harmless,
            )
    return _row(
        name,
        found.architecture,
        "",
        found.dim,
        found.layers,
        prefix=found.prefix,
        pooling=found.pooling or kind_of(found.architecture).pooling,
        padding_harmless=found.padding_harmless,
    )


def _last_part(hub_id: str) -> str:
    return hub_id.rsplit("/", 1)[1]
