"""How many inputs go through a model at once, and which.

Similar lengths together, so that little is padding.
"""

from __future__ import annotations

from collections.abc import Sequence

# Measured on one core of a shared AMD EPYC (Zen 5), float32, best of three. Inputs per second by
# batch size:
#   MiniLM, 512 MELD transcripts              1: 133   4: 242   8: 269   16: 212   32: 194   64: 220
#   Whisper tiny, 48 RAVDESS clips of 3.8 s   1: 26.3  2: 25.7  4: 27.7   8: 25.5  16: 22.4
#   Whisper tiny, 48 clips of 1 to 10 s       1: 13.9  2: 12.4  4: 12.0   8: 13.3  16: 13.2
#   wav2vec 2.0 base, 16 of these clips       1: 1.3   2: 1.1   4: 1.0    8: 0.8
#   VideoMAE base, 4 clips of 16 pictures     1: 0.28  2: 0.26  4: 0.26
# A sentence is too little work for one call; a clip keeps a core busy by itself, and in a batch
# only adds padding. On GPUs nothing was measured: the sizes there are estimates of what keeps
# WavLM large on clips of 10 s under 8 GB.
_ON_CPU = {"text": 8, "audio": 1, "video": 1}
_ON_GPU = {"text": 64, "audio": 16, "video": 8}


def auto_batch_size(modality: str, device: str) -> int:
    """Return a batch size that is fast on a kind of device; it changes no vector.

    Args:
        modality: ``"text"``, ``"audio"`` or ``"video"``.
        device: ``"cpu"``, or anything else for a GPU.

    >>> auto_batch_size("audio", "cpu"), auto_batch_size("text", "cpu")
    (1, 8)
    """
    sizes = _ON_CPU if device == "cpu" else _ON_GPU
    return sizes[modality]


def length_buckets(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Return the positions of all inputs in batches of at most ``batch_size``, the longest first.

    The longest come first so that a batch that does not fit into memory fails at once and not after
    hours.

    Args:
        lengths: Length of each input, in any one unit.
        batch_size: At least 1.

    >>> length_buckets([3, 9, 4, 8, 1], batch_size=2)
    [[1, 3], [2, 0], [4]]
    """
    order = sorted(range(len(lengths)), key=lambda position: -lengths[position])
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
