"""What holds for every checkpoint of one Transformers architecture; imports nothing heavy.

To add an architecture of a known family, add one entry to ``ARCHITECTURES``.
"""

from __future__ import annotations

from dataclasses import dataclass

from embeddings_store.errors import UsageError

# 400 samples at 16 kHz: the receptive field of the wav2vec 2.0 convolutions and the window of both
# spectrograms, hence the shortest clip that gives any of the audio encoders one frame.
ONE_FRAME_S = 0.025
SAMPLE_RATE = 16_000
# What the pooling "percentiles" takes.
PERCENTILES = (10, 50, 90)
# Parts of a pooling that are wider than the states.
_WIDTHS = {"percentiles": len(PERCENTILES), "thirds": 2}
# What can be said of states that follow one another in time.
_OVER_TIME = ("mean", "std", "max", "percentiles", "thirds")


@dataclass(frozen=True, slots=True)
class Architecture:
    """What holds for every checkpoint of one Transformers ``model_type``.

    Attributes:
        modality: ``"text"``, ``"audio"`` or ``"video"``.
        family: Which adapter runs it: ``"tokens"``, ``"any-tokens"``, ``"waveform"``,
            ``"spectrogram"``, ``"whisper"``, ``"clip"``, ``"patches"``, ``"frames"``,
            ``"cropped-frames"``, ``"clip-frames"``, ``"siglip-frames"`` or ``"features"``.
        model_class: Name of the Transformers class without any head; for VideoMAE the one that
            holds the norm of its head; empty for the one that Transformers' ``AutoModel`` takes,
            and for features.
        pooling: What turns its states into one vector, unless a registry row says otherwise.
        poolings: Every part of a pooling that means something for it; any of them can be joined.
        dim_key: Where ``config.json`` says the width of the states.
        layers_key: Where ``config.json`` says the number of transformer layers.
        max_input: Tokens or seconds that the model takes at most; None where it sets no limit, and
            for video.
        min_duration_s: Shortest sound that gives one frame, in seconds; 0 for text and video.
        sample_rate: Rate of the waveform in Hz; None for text and video.
    """

    modality: str
    family: str
    model_class: str
    pooling: str
    poolings: tuple[str, ...]
    dim_key: str = "hidden_size"
    layers_key: str = "num_hidden_layers"
    max_input: float | None = None
    min_duration_s: float = 0.0
    sample_rate: int | None = None


def _tokens(
    model_class: str,
    dim_key: str = "hidden_size",
    layers_key: str = "num_hidden_layers",
    max_input: int = 512,
) -> Architecture:
    return Architecture(
        "text",
        "tokens",
        model_class,
        "first",
        ("first", *_OVER_TIME),
        dim_key=dim_key,
        layers_key=layers_key,
        max_input=max_input,
    )


def _waveform(model_class: str) -> Architecture:
    return Architecture(
        "audio",
        "waveform",
        model_class,
        "mean",
        _OVER_TIME,
        min_duration_s=ONE_FRAME_S,
        sample_rate=SAMPLE_RATE,
    )


def _pictures(family: str, model_class: str) -> Architecture:
    return Architecture("video", family, model_class, "mean", _OVER_TIME)


ARCHITECTURES: dict[str, Architecture] = {
    "bert": _tokens("BertModel"),
    "roberta": _tokens("RobertaModel"),
    "xlm-roberta": _tokens("XLMRobertaModel"),
    "mpnet": _tokens("MPNetModel"),
    "deberta-v2": _tokens("DebertaV2Model"),
    "modernbert": _tokens("ModernBertModel", max_input=8192),
    "distilbert": _tokens("DistilBertModel", dim_key="dim", layers_key="n_layers"),
    "wav2vec2": _waveform("Wav2Vec2Model"),
    "hubert": _waveform("HubertModel"),
    "wavlm": _waveform("WavLMModel"),
    "data2vec-audio": _waveform("Data2VecAudioModel"),
    "audio-spectrogram-transformer": Architecture(
        "audio",
        "spectrogram",
        "ASTModel",
        "cls_dist",
        ("cls_dist",),
        # 1,024 frames of 10 ms; what is shorter is padded to that, batch or no batch
        max_input=10.24,
        min_duration_s=ONE_FRAME_S,
        sample_rate=SAMPLE_RATE,
    ),
    "whisper": Architecture(
        "audio",
        "whisper",
        "WhisperEncoder",
        "mean",
        _OVER_TIME,
        dim_key="d_model",
        layers_key="encoder_layers",
        max_input=30.0,  # 1,500 position embeddings of 20 ms
        min_duration_s=ONE_FRAME_S,
        sample_rate=SAMPLE_RATE,
    ),
    # Their states are patches, of which a row is no course of time. Transformers' own classifier on
    # a VideoMAE without mean pooling reads the first patch; hence "first" is there too.
    "videomae": Architecture(
        "video", "patches", "VideoMAEForVideoClassification", "mean", ("mean", "max", "first")
    ),
    "timesformer": Architecture("video", "clip", "TimesformerModel", "first", ("first", "mean")),
    "vit": _pictures("frames", "ViTModel"),
    "dinov2": _pictures("cropped-frames", "Dinov2Model"),
    "dinov2_with_registers": _pictures("cropped-frames", "Dinov2WithRegistersModel"),
    "clip_vision_model": _pictures("clip-frames", "CLIPVisionModel"),
    "siglip_vision_model": _pictures("siglip-frames", "SiglipVisionModel"),
}


def parts_of(pooling: str) -> list[str]:
    """Return the parts of a pooling, in the order of their columns.

    >>> parts_of("mean"), parts_of("mean+std")
    (['mean'], ['mean', 'std'])
    """
    return pooling.split("+")


def width_of(pooling: str) -> int:
    """Return how many times wider than a state a vector is.

    >>> width_of("mean"), width_of("mean+std"), width_of("percentiles+max")
    (1, 2, 4)
    """
    return sum(_WIDTHS.get(part, 1) for part in parts_of(pooling))


def pooling_settings(pooling: str) -> dict[str, str]:
    """Return what of a pooling changes a vector, for the fingerprint.

    >>> pooling_settings("mean")
    {'pooling': 'mean'}
    >>> pooling_settings("percentiles")
    {'pooling': 'percentiles', 'percentiles': '10, 50, 90'}
    """
    settings = {"pooling": pooling}
    if "percentiles" in parts_of(pooling):
        settings["percentiles"] = ", ".join(map(str, PERCENTILES))
    return settings


# Models of pictures and texts, of which the half that sees is an encoder, and where config.json
# keeps that half.
VISION_HALVES = {"clip": "clip_vision_model", "siglip": "siglip_vision_model"}
VISION_CONFIG = "vision_config"
# What its width and number of layers are where config.json leaves them out: Transformers' defaults.
VISION_SIZES = {"hidden_size": 768, "num_hidden_layers": 12}

# Any other encoder of text that Transformers' AutoModel knows. Nobody here has looked at it, so it
# is run only after a batch of it was found to give the vectors of its texts alone.
ANY_TEXT = Architecture("text", "any-tokens", "", "mean", ("first", *_OVER_TIME))

# What to do with an encoder that this project cannot run.
ELSEWHERE = "make its vectors with its own code and take them over with 'embeddings-store import'"

# Fixed sets of features, by the package that computes them; no checkpoint is of these.
FEATURE_PACKAGES: dict[str, Architecture] = {
    "librosa": Architecture(
        "audio",
        "features",
        "",
        "mean+std",
        _OVER_TIME,
        min_duration_s=ONE_FRAME_S,
        sample_rate=SAMPLE_RATE,
    ),
    "opensmile": Architecture(
        "audio",
        "features",
        "",
        "functionals",  # the set's own, over its own frames
        ("functionals",),
        min_duration_s=0.06,  # the window in which it looks for the pitch
        sample_rate=SAMPLE_RATE,
    ),
}


def kind_of(architecture: str) -> Architecture:
    """Return what holds for a ``model_type``: its entry, or what holds for any encoder of text.

    So it does for a package that computes features.

    >>> kind_of("mpnet").pooling, kind_of("electra").pooling, kind_of("opensmile").pooling
    ('first', 'mean', 'functionals')
    """
    known = ARCHITECTURES | FEATURE_PACKAGES
    return known.get(architecture, ANY_TEXT)


def check_pooling(architecture: str, pooling: str) -> None:
    """Refuse a pooling that means nothing for an architecture.

    Raises:
        UsageError: If a part of ``pooling`` is unknown, is not one of the architecture's, or is
            named twice.

    >>> check_pooling("wav2vec2", "first")
    Traceback (most recent call last):
        ...
    embeddings_store.errors.UsageError: pooling 'first' means nothing for wav2vec2; it takes ...
    """
    allowed = kind_of(architecture).poolings
    parts = parts_of(pooling)
    for part in parts:
        if part not in allowed:
            raise UsageError(
                f"pooling {part!r} means nothing for {architecture}; it takes "
                f"{', '.join(allowed)}, joined with + for several"
            )
    if len(set(parts)) < len(parts):
        raise UsageError(f"pooling {pooling!r} names a part twice; name each once")
