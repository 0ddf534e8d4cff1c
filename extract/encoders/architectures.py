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


@dataclass(frozen=True, slots=True)
class Architecture:
    """What holds for every checkpoint of one Transformers ``model_type``.

    Attributes:
        modality: ``"text"``, ``"audio"`` or ``"video"``.
        family: Which adapter runs it: ``"tokens"``, ``"waveform"``, ``"spectrogram"``,
            ``"whisper"``, ``"clip"``, ``"patches"`` or ``"frames"``.
        model_class: Name of the Transformers class without any head; for VideoMAE the one that
            holds the norm of its head.
        pooling: What turns its states into one vector, unless a registry row says otherwise.
        poolings: Every pooling that means something for it.
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
    model_class: str, dim_key: str = "hidden_size", layers_key: str = "num_hidden_layers"
) -> Architecture:
    return Architecture(
        "text",
        "tokens",
        model_class,
        "first",
        ("first", "mean", "max"),
        dim_key=dim_key,
        layers_key=layers_key,
        max_input=512,
    )


def _waveform(model_class: str) -> Architecture:
    return Architecture(
        "audio",
        "waveform",
        model_class,
        "mean",
        ("mean", "max"),
        min_duration_s=ONE_FRAME_S,
        sample_rate=SAMPLE_RATE,
    )


ARCHITECTURES: dict[str, Architecture] = {
    "bert": _tokens("BertModel"),
    "roberta": _tokens("RobertaModel"),
    "distilbert": _tokens("DistilBertModel", dim_key="dim", layers_key="n_layers"),
    "wav2vec2": _waveform("Wav2Vec2Model"),
    "hubert": _waveform("HubertModel"),
    "wavlm": _waveform("WavLMModel"),
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
        ("mean", "max"),
        dim_key="d_model",
        layers_key="encoder_layers",
        max_input=30.0,  # 1,500 position embeddings of 20 ms
        min_duration_s=ONE_FRAME_S,
        sample_rate=SAMPLE_RATE,
    ),
    # Transformers' own classifier on a VideoMAE without mean pooling reads the first patch; hence
    # "first" is there too.
    "videomae": Architecture(
        "video", "patches", "VideoMAEForVideoClassification", "mean", ("mean", "max", "first")
    ),
    "timesformer": Architecture("video", "clip", "TimesformerModel", "first", ("first", "mean")),
    "vit": Architecture("video", "frames", "ViTModel", "mean", ("mean", "max")),
}


def check_pooling(architecture: str, pooling: str) -> None:
    """Refuse a pooling that means nothing for an architecture.

    Raises:
        UsageError: If ``pooling`` is unknown, or not one of the architecture's.

    >>> check_pooling("wav2vec2", "first")
    Traceback (most recent call last):
        ...
    embeddings_store.errors.UsageError: pooling 'first' means nothing for wav2vec2; it takes ...
    """
    allowed = ARCHITECTURES[architecture].poolings
    if pooling not in allowed:
        raise UsageError(
            f"pooling {pooling!r} means nothing for {architecture}; it takes {', '.join(allowed)}"
        )
