"""The model card of a bundle: what it is, what it is worth, and what it must not be used for."""

from __future__ import annotations

import json
from collections.abc import Mapping

from embeddings_store.reading import visible

NOT_FOR = (
    "Do not use it to judge, hire, grade, monitor or police people, in health care or in law, or "
    "to say what somebody feels. It names the label that people would give to a recording like "
    "those it was fitted on, and it is wrong as often as the figure above says, more often on "
    "other recordings, languages, ages and cultures. In the European Union, Article 5 of "
    "Regulation 2024/1689 prohibits inferring emotions at work and in education, save for medical "
    "or safety reasons."
)
TASKS = {"audio": "audio-classification", "text": "text-classification"}
# What the card says of each, in this order; the keys of a bundle's ``about``.
FACTS = {
    "corpus": "Fitted on",
    "rows": "Rows",
    "rows_by_class": "Rows by class",
    "speakers": "Speakers",
    "row_seconds": "Rows last",
    "languages": "Languages",
    "label_set": "Label set",
    "expression": "System",
    "recipe": "Recipe as it was cross-validated",
    "learnt_on": "What learns from class scores learnt from",
    "encoders": "Encoders",
    "protocol": "Protocol",
    "selection_rule": "Chosen",
    "claim": "What the figure may be called",
    "audit": "Leakage audit",
    "verified": "Encoders and test rows",
    "created": "Made",
    "command": "Command",
    "commit": "Commit",
    "software": "Software",
}


def model_card(about: Mapping[str, str], name: str) -> str:
    """Return the card as Markdown with the head that the Hub reads.

    Args:
        about: What :mod:`classify.bundle.export` says of the system.
        name: What the card is headed with.

    >>> card = model_card({"modalities": "audio", "corpus": "toy", "WA": "WA 70.0 %"}, "my-model")
    >>> card.splitlines()[:3]
    ['---', 'library_name: emotion-fusion', 'pipeline_tag: "audio-classification"']
    >>> "WA 70.0 %" in card
    True
    """
    modalities = about.get("modalities", "").split(", ")
    task = TASKS.get(modalities[0], "other") if len(modalities) == 1 else "other"
    head = [
        "---",
        "library_name: emotion-fusion",
        f"pipeline_tag: {json.dumps(task)}",
        "license: other",
        "tags:",
        *(f"- {json.dumps(tag)}" for tag in ("emotion-recognition", *modalities)),
        "metrics:",
        "- accuracy",
        "---",
    ]
    lines = [
        *head,
        "",
        f"# {name}",
        "",
        f"It labels {', '.join(modalities)} with one of: {about.get('classes', '')}.",
        "",
        "## What it is worth",
        "",
        "The figures are the recipe's, measured by cross-validation. This very model was then "
        "fitted on all rows, the tested ones among them, so it has no test figure of its own.",
        "",
        *(f"* {about[key]}" for key in ("WA", "UAR") if key in about),
        "",
        *_subgroups(about),
        "## What it must not be used for",
        "",
        NOT_FOR,
        "",
        "## What it was made of",
        "",
        *_facts(about),
        "",
        "The licence is left open on purpose: those of the corpus and of the encoders bind whoever "
        "passes this on.",
    ]
    if about.get("holds_rows"):
        lines += ["", about["holds_rows"]]
    return visible("\n".join(lines)) + "\n"


def _subgroups(about: Mapping[str, str]) -> list[str]:
    found = [f"* {text}" for key, text in about.items() if key.startswith("WA by ")]
    return ["Accuracy (WA) on the rows of some:", "", *found, ""] if found else []


def _facts(about: Mapping[str, str]) -> list[str]:
    lines = ["| | |", "|---|---|"]
    for key, title in FACTS.items():
        if about.get(key):
            cell = about[key].replace("|", "\\|").replace("\n", " ")
            lines.append(f"| {title} | {cell} |")
    return lines
