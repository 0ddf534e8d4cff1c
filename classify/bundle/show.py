"""A bundle in words, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from classify.bundle.bundle import Bundle
from classify.bundle.card import FACTS


def described(bundle: Bundle) -> Iterator[str]:
    """Yield what a bundle is, a line at a time.

    Args:
        bundle: What was read.
    """
    about = bundle.about
    yield f"labels {', '.join(bundle.modalities)} with: {', '.join(bundle.labels.classes)}"
    for key, text in about.items():
        if key in ("WA", "UAR") or key.startswith("WA by "):
            yield f"cross-validated {text}" if key in ("WA", "UAR") else text
    for key, title in FACTS.items():
        if about.get(key):
            yield f"{title}: {about[key]}"
    for encoder in bundle.encoders:
        yield f"{encoder.view}: vectors of {encoder.width} by {encoder.ref.folder}"
        for name, value in sorted(encoder.settings.items()):
            yield f"  {name} = {value}"
    yield f"remembers {len(bundle.seen.rows)} rows, which score-model refuses to score"
