"""What the demo's actors say: opening and closing phrases show the cue, the middle does not."""

from __future__ import annotations

import numpy as np

OPENINGS = {
    "anger": ("How dare you", "I am sick of this", "Stop lying to me", "This is outrageous"),
    "happiness": ("Oh my gosh", "Guess what", "This is wonderful", "I am so excited"),
    "neutral": ("Okay", "Well, let me see", "As far as I know", "According to the form"),
    "sadness": ("I miss her", "I don't know anymore", "It's all gone", "I feel so alone"),
}
CLOSINGS = {
    "anger": ("I am furious", "you ruined everything", "just get out", "what a stupid mess"),
    "happiness": ("I love it", "isn't that amazing", "let's celebrate", "I can't wait"),
    "neutral": (
        "that is fine",
        "it says Tuesday",
        "the number is on the list",
        "around nine o'clock",
    ),
    "sadness": ("I wish she was here", "it hurts so much", "there is no hope", "nothing helps"),
}
MIDDLES = (
    "they told me about {}",
    "it was because of {}",
    "you were there with {}",
    "I was looking at {}",
    "we talked about {}",
    "he called about {}",
    "I came back for {}",
    "it began with {}",
)
TOPICS = (
    "the letter",
    "the train",
    "that phone call",
    "the airport",
    "our old house",
    "the papers",
    "dinner",
    "the office",
    "the luggage",
    "the moon",
    "the wedding",
    "your brother",
)


def phrases() -> tuple[str, ...]:
    """Return everything that :func:`sentence` puts together: a vocabulary for any release.

    >>> "they told me about" in phrases()
    True
    """
    cued: list[str] = []
    for choices in (*OPENINGS.values(), *CLOSINGS.values()):
        cued += choices
    middles = [middle.format("").strip() for middle in MIDDLES]
    return (*cued, *middles, *TOPICS, ",", ".")


def sentence(cue: str, rng: np.random.Generator) -> str:
    """Return a sentence that shows ``cue``; its middle does not depend on the cue.

    >>> sentence("anger", np.random.default_rng(4))
    'This is outrageous, he called about your brother, just get out.'
    """

    def pick(choices: tuple[str, ...]) -> str:
        return choices[int(rng.integers(len(choices)))]

    middle = pick(MIDDLES).format(pick(TOPICS))
    return f"{pick(OPENINGS[cue])}, {middle}, {pick(CLOSINGS[cue])}."
