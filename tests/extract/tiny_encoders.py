"""Tiny encoders with random weights, one for every row of the registry, saved as checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from extract.encoders import EncoderSpec

WORDS = (
    "a",
    "b",
    "c",
    "kids",
    "are",
    "talking",
    "by",
    "the",
    "door",
    "dogs",
    "sitting",
    "##s",
    "?",
    "!",
)
TEXTS = (
    "kids are talking by the door",
    "dogs",
    "a b c a b c a b c a b c a b c",
    "the dogs are sitting by the door ! !",
)
SIZE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
PICTURES = {"image_size": 32, "patch_size": 8, **SIZE}
# Their padding is number 1 and counts in their positions.
AS_ROBERTA = ("roberta", "xlm-roberta", "mpnet")
# Mean and deviation of red, green and blue that the published checkpoints come with.
PIXELS = {
    "videomae": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    "timesformer": ([0.45, 0.45, 0.45], [0.225, 0.225, 0.225]),
    "vit": ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
    "dinov2": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    "clip_vision_model": (
        [0.48145466, 0.4578275, 0.40821073],
        [0.26862954, 0.26130258, 0.27577711],
    ),
    "siglip_vision_model": ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
}
CLIP_SAMPLES = (400, 8_000, 16_117, 12_345, 19_200)


def clips(lengths: tuple[int, ...] = CLIP_SAMPLES, seed: int = 0) -> list[np.ndarray]:
    """Return noise of those lengths, each of another loudness and with another offset."""
    rng = np.random.default_rng(seed)
    return [
        (rng.standard_normal(n) * rng.uniform(0.01, 0.3) + rng.uniform(-0.05, 0.05)).astype(
            np.float32
        )
        for n in lengths
    ]


def inputs(spec: EncoderSpec) -> list:
    """Return inputs for an encoder of any kind, of different lengths where it takes such."""
    if spec.modality == "video":
        return video_clips(pictures_of(spec))
    return list(TEXTS) if spec.modality == "text" else clips()


def pictures_of(spec: EncoderSpec) -> int:
    """Return how many pictures a clip has for a tiny encoder."""
    return 4 if spec.architecture in ("videomae", "timesformer") else 16


def video_clips(pictures: int) -> list[np.ndarray]:
    """Return five moving clips, uint8 (``pictures``, 32, 32, 3), each of another brightness."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (5, pictures, 8, 8, 3)) * rng.uniform(0.4, 1.0, (5, 1, 1, 1, 1))
    return list(coarse.astype(np.uint8).repeat(4, axis=2).repeat(4, axis=3))


def save(spec: EncoderSpec, parent: Path, seed: int = 0) -> Path:
    """Save a tiny model of the row's architecture under the row's own name; return the folder."""
    folder = parent / spec.name
    torch.manual_seed(seed)
    model = _MAKERS[spec.architecture](spec)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    if spec.modality == "text":
        _tokenizer(spec.architecture).save_pretrained(folder)
    return folder


def save_with_tokenizer(model: transformers.PreTrainedModel, folder: Path) -> None:
    """Save a model of text with the tokenizer of BERT's."""
    model.save_pretrained(folder)
    _tokenizer("bert").save_pretrained(folder)


def write_preprocessor(folder: Path, **settings: object) -> None:
    """Put a ``preprocessor_config.json`` beside the weights."""
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


def _bert(spec: EncoderSpec) -> transformers.PreTrainedModel:
    config = transformers.BertConfig(
        vocab_size=len(_vocabulary("bert")), max_position_embeddings=24, **SIZE
    )
    return transformers.BertForPreTraining(config)


def _roberta(spec: EncoderSpec) -> transformers.PreTrainedModel:
    config = transformers.RobertaConfig(
        vocab_size=len(_vocabulary("roberta")),
        max_position_embeddings=26,
        pad_token_id=1,
        type_vocab_size=1,
        **SIZE,
    )
    return transformers.RobertaForMaskedLM(config)


def _xlm_roberta(spec: EncoderSpec) -> transformers.PreTrainedModel:
    config = transformers.XLMRobertaConfig(
        vocab_size=len(_vocabulary("roberta")), max_position_embeddings=26, pad_token_id=1, **SIZE
    )
    return transformers.XLMRobertaForMaskedLM(config)


def _mpnet(spec: EncoderSpec) -> transformers.PreTrainedModel:
    config = transformers.MPNetConfig(
        vocab_size=len(_vocabulary("roberta")), max_position_embeddings=26, pad_token_id=1, **SIZE
    )
    return transformers.MPNetForMaskedLM(config)


def _deberta(spec: EncoderSpec) -> transformers.PreTrainedModel:
    config = transformers.DebertaV2Config(
        vocab_size=len(_vocabulary("bert")), max_position_embeddings=24, position_buckets=8,
        relative_attention=True, position_biased_input=False, pos_att_type=["p2c", "c2p"],
        share_att_key=True, norm_rel_ebd="layer_norm", type_vocab_size=0, **SIZE,
    )  # fmt: skip
    return transformers.DebertaV2ForMaskedLM(config)


def _modernbert(spec: EncoderSpec) -> transformers.PreTrainedModel:
    config = transformers.ModernBertConfig(
        vocab_size=len(_vocabulary("bert")), max_position_embeddings=24, local_attention=4,
        global_attn_every_n_layers=2, pad_token_id=0, cls_token_id=1, sep_token_id=2,
        bos_token_id=1, eos_token_id=2, **SIZE,
    )  # fmt: skip
    return transformers.ModernBertForMaskedLM(config)


def _electra(spec: EncoderSpec) -> transformers.PreTrainedModel:
    config = transformers.ElectraConfig(
        vocab_size=len(_vocabulary("bert")), max_position_embeddings=24, embedding_size=16, **SIZE
    )
    return transformers.ElectraForPreTraining(config)


def _albert(spec: EncoderSpec) -> transformers.PreTrainedModel:
    config = transformers.AlbertConfig(
        vocab_size=len(_vocabulary("bert")), max_position_embeddings=24, embedding_size=16,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, **SIZE,
    )  # fmt: skip
    return transformers.AlbertForMaskedLM(config)


def _distilbert(spec: EncoderSpec) -> transformers.PreTrainedModel:
    config = transformers.DistilBertConfig(
        vocab_size=len(_vocabulary("bert")),
        max_position_embeddings=24,
        dim=32,
        n_layers=2,
        n_heads=4,
        hidden_dim=64,
    )
    return transformers.DistilBertForMaskedLM(config)


def waveform_settings(*, group_norm: bool) -> dict[str, object]:
    """Return the sizes, and where base models (group norm) and large ones (layer norm) differ."""
    return {
        "feat_extract_norm": "group" if group_norm else "layer",
        "do_stable_layer_norm": not group_norm,
        "conv_bias": not group_norm,
        "conv_dim": (16,) * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
        "codevector_dim": 16,
        "proj_codevector_dim": 16,
        "num_codevectors_per_group": 8,
        **SIZE,
    }


def _wav2vec2(spec: EncoderSpec) -> transformers.PreTrainedModel:
    settings = waveform_settings(group_norm=not spec.padding_harmless)
    return transformers.Wav2Vec2ForPreTraining(transformers.Wav2Vec2Config(**settings))


def _hubert(spec: EncoderSpec) -> transformers.PreTrainedModel:
    settings = waveform_settings(group_norm=not spec.padding_harmless)
    return transformers.HubertModel(transformers.HubertConfig(**settings))


def _wavlm(spec: EncoderSpec) -> transformers.PreTrainedModel:
    settings = waveform_settings(group_norm=not spec.padding_harmless)
    return transformers.WavLMModel(
        transformers.WavLMConfig(num_buckets=16, max_bucket_distance=32, **settings)
    )


def _data2vec(spec: EncoderSpec) -> transformers.PreTrainedModel:
    config = transformers.Data2VecAudioConfig(
        conv_dim=(16,) * 7, num_conv_pos_embedding_groups=4, vocab_size=8, **SIZE
    )
    return transformers.Data2VecAudioForCTC(config)


def _spectrogram(spec: EncoderSpec) -> transformers.PreTrainedModel:
    config = transformers.ASTConfig(max_length=128, num_mel_bins=32, **SIZE)
    return transformers.ASTForAudioClassification(config)


def _whisper(spec: EncoderSpec) -> transformers.PreTrainedModel:
    return transformers.WhisperForConditionalGeneration(whisper_config())


def _videomae(spec: EncoderSpec) -> transformers.PreTrainedModel:
    config = transformers.VideoMAEConfig(
        num_frames=4, use_mean_pooling=False, decoder_num_hidden_layers=1, decoder_hidden_size=16,
        decoder_num_attention_heads=2, decoder_intermediate_size=16, **PICTURES,
    )  # fmt: skip
    return transformers.VideoMAEForPreTraining(config)


def _timesformer(spec: EncoderSpec) -> transformers.PreTrainedModel:
    return transformers.TimesformerForVideoClassification(
        transformers.TimesformerConfig(num_frames=4, **PICTURES)
    )


def _vit(spec: EncoderSpec) -> transformers.PreTrainedModel:
    return transformers.ViTModel(transformers.ViTConfig(**PICTURES))


def _dinov2(spec: EncoderSpec) -> transformers.PreTrainedModel:
    sizes = {name: value for name, value in PICTURES.items() if name != "intermediate_size"}
    return transformers.Dinov2Model(transformers.Dinov2Config(mlp_ratio=2, **sizes))


# Texts of the half that reads, which is never run.
READS = {"vocab_size": 18, "bos_token_id": 1, "eos_token_id": 2, **SIZE}


def _clip(spec: EncoderSpec) -> transformers.PreTrainedModel:
    config = transformers.CLIPConfig(vision_config=PICTURES, text_config=READS, projection_dim=16)
    return transformers.CLIPModel(config)


def _siglip(spec: EncoderSpec) -> transformers.PreTrainedModel:
    config = transformers.SiglipConfig(vision_config=PICTURES, text_config=READS)
    return transformers.SiglipModel(config)


def whisper_config() -> transformers.WhisperConfig:
    """Return a Whisper of 2 s and 20 mel bands."""
    return transformers.WhisperConfig(
        d_model=32,
        encoder_layers=2,
        encoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_layers=1,
        decoder_attention_heads=4,
        decoder_ffn_dim=64,
        num_mel_bins=20,
        max_source_positions=100,
        max_target_positions=16,
        vocab_size=40,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=3,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )


_MAKERS = {
    "bert": _bert,
    "roberta": _roberta,
    "xlm-roberta": _xlm_roberta,
    "mpnet": _mpnet,
    "deberta-v2": _deberta,
    "modernbert": _modernbert,
    "electra": _electra,
    "albert": _albert,
    "distilbert": _distilbert,
    "wav2vec2": _wav2vec2,
    "hubert": _hubert,
    "wavlm": _wavlm,
    "data2vec-audio": _data2vec,
    "audio-spectrogram-transformer": _spectrogram,
    "whisper": _whisper,
    "videomae": _videomae,
    "timesformer": _timesformer,
    "vit": _vit,
    "dinov2": _dinov2,
    "clip_vision_model": _clip,
    "siglip_vision_model": _siglip,
}


def _vocabulary(architecture: str) -> dict[str, int]:
    # The first four as the real models have them: RoBERTa's padding is number 1 and counts in its
    # positions.
    special = (
        ("<s>", "<pad>", "</s>", "<unk>")
        if architecture in AS_ROBERTA
        else ("[PAD]", "[CLS]", "[SEP]", "[UNK]")
    )
    return {word: number for number, word in enumerate((*special, *WORDS))}


def _tokenizer(architecture: str) -> transformers.PreTrainedTokenizerFast:
    vocabulary = _vocabulary(architecture)
    if architecture in AS_ROBERTA:
        names = {
            "cls_token": "<s>",
            "pad_token": "<pad>",
            "sep_token": "</s>",
            "unk_token": "<unk>",
        }
    else:
        names = {
            "cls_token": "[CLS]",
            "pad_token": "[PAD]",
            "sep_token": "[SEP]",
            "unk_token": "[UNK]",
        }
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=names["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    first, last = names["cls_token"], names["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        special_tokens=[(first, vocabulary[first]), (last, vocabulary[last])],
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
