"""Augmentations for training only.

Each is a pure function of the input and a generator, named on the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import unknown_name
from extract.frames import geometry


def flip(frames: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Mirror a clip (T, H, W, 3) left to right with p = 0.5; all of its frames or none."""
    return geometry.flip(frames) if generator.random() < 0.5 else frames


def noise(samples: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    """Add white noise at 15 to 40 dB below the level of a clip (n,)."""
    level = float(np.sqrt(np.mean(samples**2))) * 10 ** (-generator.uniform(15, 40) / 20)
    return (samples + level * generator.standard_normal(len(samples))).astype(np.float32)


def gain(samples: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    """Make a clip (n,) louder or softer by up to 6 dB."""
    return (samples * 10 ** (generator.uniform(-6, 6) / 20)).astype(np.float32)


def shift(samples: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    """Rotate a clip (n,) in time by up to a tenth of its length."""
    reach = len(samples) // 10
    return np.roll(samples, int(generator.integers(-reach, reach + 1)))


def word_dropout(text: str, generator: np.random.Generator) -> str:
    """Leave out each word with p = 0.1, though never all of them."""
    words = text.split()
    kept = [word for word in words if generator.random() >= 0.1]
    return " ".join(kept or words)


AUGMENTATIONS: Mapping[str, Mapping[str, Callable[[Any, np.random.Generator], Any]]] = {
    "text": {"word-dropout": word_dropout},
    "audio": {"noise": noise, "gain": gain, "shift": shift},
    "video": {"flip": flip},
}
# The paper flips in training and does nothing else.
DEFAULT_AUGMENTATIONS: Mapping[str, tuple[str, ...]] = {
    "text": (),
    "audio": (),
    "video": ("flip",),
}


def augmenter(
    modality: str, names: Sequence[str]
) -> Callable[[Any, np.random.Generator], Any] | None:
    """Return the chain of the named augmentations, or none for no names.

    Raises:
        UnknownNameError: The modality has no such augmentation.
    """
    known = AUGMENTATIONS[modality]
    for name in names:
        if name not in known:
            unknown_name(f"augmentation of {modality}", name, list(known))
    steps = [known[name] for name in names]
    if not steps:
        return None

    def apply(item: Any, generator: np.random.Generator) -> Any:
        for step in steps:
            item = step(item, generator)
        return item

    return apply
