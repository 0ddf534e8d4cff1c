"""Small encoders of the paper's three architectures with random weights, for the demo to train from scratch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
FRAME_SIZE = 64


def make_encoders(folder: Path, transcripts: Iterable[str], seed: int = 0) -> dict[str, Path]:
    """Write ``text``, ``audio`` and ``video`` models that load like any local folder; returns modality to folder.

    Args:
        folder: Where; folders that are there already are left alone.
        transcripts: Their words are the text model's vocabulary; nothing else of them is used.
        seed: Of the random weights.
    """
    import torch

    from extract.encoders.loading import quiet

    makers = {"demo-bert": ("text", _bert), "demo-wav2vec2": ("audio", _wav2vec2), "demo-videomae": ("video", _videomae)}
    words = sorted({word for text in transcripts for word in re.findall(r"\w+|[^\w\s]", text.lower())})
    made = {}
    for name, (modality, make) in makers.items():
        made[modality] = folder / name
        if not (folder / name / "config.json").is_file():
            with torch.random.fork_rng(devices=[]), quiet():
                torch.manual_seed(seed)
                make(folder / name, words)
    return made


def _bert(folder: Path, words: list[str]) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, BertTokenizerFast

    vocabulary = {token: number for number, token in enumerate([*VOCABULARY, *words])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])])
    config = BertConfig(vocab_size=len(vocabulary), hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
                        intermediate_size=128, max_position_embeddings=64)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    BertTokenizerFast(tokenizer_object=tokenizer, model_max_length=64).save_pretrained(folder)


def _wav2vec2(folder: Path, words: list[str]) -> None:
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    config = Wav2Vec2Config(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, feat_extract_norm="layer",
        conv_dim=(32, 48, 64, 64), conv_kernel=(20, 8, 8, 4), conv_stride=(10, 4, 4, 2), conv_bias=True,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, mask_time_prob=0.0, do_stable_layer_norm=False)
    Wav2Vec2Model(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(
        {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": True, "sampling_rate": 16_000}))


def _videomae(folder: Path, words: list[str]) -> None:
    from transformers import VideoMAEConfig, VideoMAEModel

    config = VideoMAEConfig(image_size=FRAME_SIZE, patch_size=16, num_frames=16, tubelet_size=2, hidden_size=64,
                            num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, use_mean_pooling=False)
    VideoMAEModel(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(
        {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "size": {"shortest_edge": FRAME_SIZE},
         "crop_size": {"height": FRAME_SIZE, "width": FRAME_SIZE}}))
