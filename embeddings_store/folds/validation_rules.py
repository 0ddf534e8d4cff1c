"""Which rows validate, which rows choose the epoch of a fine-tuning, and how both are said.

One table each, read by both stages: the options' help, the plans and the report take their
sentences from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# A rule that ends so has validation rows that share speakers or groups with test.
SHARED = "-shared"


@dataclass(frozen=True, slots=True)
class ValidationRule:
    """Which training rows of a fold validate.

    Attributes:
        name: How plans and results call it.
        option: What it does, as ``--valid`` explains it; empty for a rule that no option names,
            because a plan brings it along.
        report: What it does, as a sentence of the report; empty where the report has none.
    """

    name: str
    option: str = ""
    report: str = ""


VALIDATION_RULES: Mapping[str, ValidationRule] = {
    rule.name: rule
    for rule in (
        ValidationRule(
            "next",
            "the next block validates",
            "In each fold the block after the one held out (after the last, the first) holds the "
            "validation rows, on which choices are made; the other blocks train.",
        ),
        ValidationRule(
            "none",
            "it trains too, and nothing is chosen",
            "There are no validation rows: all that is not tested trains, and nothing is chosen.",
        ),
        ValidationRule("partner", "the other speaker of the session, flagged"),
        ValidationRule("fifth", "a fifth of the training groups"),
        ValidationRule("next-shared", "next where it shares speakers with test, flagged"),
        ValidationRule("split", report="Validation rows are the corpus' own."),
        ValidationRule("given"),
        ValidationRule("named"),
        ValidationRule("files"),
    )
}
VALID_RULES = tuple(rule.name for rule in VALIDATION_RULES.values() if rule.option)
# The order in which the help of --valid explains them.
EXPLAINED = ("next", "none", "fifth", "partner", "next-shared")


def explained_rules() -> str:
    """Return the rules that ``--valid`` offers, each with what it does, for its help."""
    return "; ".join(f"{name} = {VALIDATION_RULES[name].option}" for name in EXPLAINED)


def reported_rule(name: str) -> str:
    """Return the report's sentence on a plan's validation rows.

    >>> reported_rule("split")
    "Validation rows are the corpus' own."
    >>> reported_rule("fifth"), reported_rule("")
    ('Validation rows: fifth.', 'Validation rows: as the plan says.')
    """
    rule = VALIDATION_RULES.get(name)
    if rule is not None and rule.report:
        return rule.report
    return f"Validation rows: {name or 'as the plan says'}."


@dataclass(frozen=True, slots=True)
class SelectionRule:
    """Which rows choose the epoch of a fine-tuning.

    Attributes:
        name: How ``--rule`` and the attributes of stored vectors call it.
        valid: The validation rule of the plan that it trains under, where nothing else names one.
        option: What it does, as ``--rule`` explains it.
        report: What was kept, as the end of the report's sentence on an encoder.
    """

    name: str
    valid: str
    option: str
    report: str


VALID_SESSION, FIXED_EPOCHS, ON_TEST = "valid-session", "fixed-epochs", "test"
SELECTION_RULES: Mapping[str, SelectionRule] = {
    rule.name: rule
    for rule in (
        SelectionRule(
            VALID_SESSION,
            "next",
            "the next block of sessions or speakers validates; the best epoch by its accuracy is "
            "kept",
            "; the epoch with the best accuracy on validation rows is kept",
        ),
        SelectionRule(
            FIXED_EPOCHS,
            "none",
            "nothing validates and training has all of it; the last epoch is kept",
            "; the last epoch is kept",
        ),
        SelectionRule(
            ON_TEST,
            "none",
            "the best epoch is chosen on the test rows, as several published repositories do; an "
            "upper bound, not a result",
            "; the epoch is chosen on the test rows themselves, an upper bound",
        ),
    )
}


def selection_rule_of(valid: str) -> str:
    """Return the selection rule that fits a plan's validation rule; empty where it is left open.

    >>> selection_rule_of("none"), selection_rule_of("next"), selection_rule_of("split")
    ('fixed-epochs', 'valid-session', '')
    """
    if valid in {"split", "files"}:
        return ""
    return FIXED_EPOCHS if valid == "none" else VALID_SESSION
