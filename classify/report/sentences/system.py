"""A system named in words, as a sentence needs it."""

from __future__ import annotations

from classify.figures.results_folder import FinishedRun
from classify.models.classifiers import CLASSIFIERS
from classify.names import EARLY, HEAD, LATE, RULE, UNIMODAL
from classify.results.table import inputs_shown


def system_in_words(run: FinishedRun, cell: str) -> str:
    """Name a system in words.

    Returns:
        For example ``early fusion (concatenation) of audio, text and video with an SVM``.
    """
    row = run.of(cell).iloc[0]
    classifier = _classifier_in_words(str(row["classifier"]))
    listed = _listed(inputs_shown(row).split("+"))
    if row["family"] == UNIMODAL and row["classifier"] == RULE:
        return f"{listed} alone"
    if row["family"] == UNIMODAL:
        return f"{listed} alone with {classifier}"
    if row["classifier"] == RULE:
        return f"{row['family']} fusion of {listed} by the rule “{row['method']}”"
    if row["family"] in (EARLY, LATE):
        return f"{row['family']} fusion ({row['method']}) of {listed} with {classifier}"
    return cell


def _classifier_in_words(name: str) -> str:
    if name in CLASSIFIERS:
        return CLASSIFIERS[name].title
    if name == HEAD:
        return "its own classification head"
    return f"its own {name}"


def _listed(names: list[str]) -> str:
    """Join names as a sentence does.

    >>> _listed(["audio", "text", "video"]), _listed(["text"])
    ('audio, text and video', 'text')
    """
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"
