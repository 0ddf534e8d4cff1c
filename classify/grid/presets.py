"""Named sets of classifier settings, for ``run-fusion-grid --preset NAME``.

To add one, write an entry in :data:`PRESETS`. What is given on the command line counts before what
a preset says, and a preset before the defaults of the table of classifiers. A cell's key follows
from the settings themselves, so two names for the same settings share finished cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from classify.models.specification import Settings
from embeddings_store.errors import unknown_name


@dataclass(frozen=True, slots=True)
class Preset:
    """One named set of settings.

    Attributes:
        why: What it is for, for ``--help``.
        settings: Classifier to the settings that it states.
    """

    why: str
    settings: Mapping[str, Settings]


PRESETS: Mapping[str, Preset] = {
    "paper": Preset(
        "the settings of the tables in benchmarks/, stated one by one, whatever the defaults of a "
        "later version are",
        {
            "svm": {"c": 1.0, "gamma": 1.0, "exact": 11_000, "landmarks": 2_000},
            "nn": {"units": 128, "epochs": 20, "batch": 64, "rate": 0.001, "decay": 1.0}
            | {"components": 0},
            "xgboost": {"trees": 100, "depth": 6, "rate": 0.3, "bins": 64, "components": 0},
        },
    ),
    "fast": Preset(
        "for a first look: network and trees at a fraction of the cost, chosen on rows that choose "
        "as benchmarks/fast_settings.py tells",
        {
            "nn": {"epochs": 10},
            "xgboost": {"depth": 2, "bins": 16, "components": 64},
        },
    ),
}


def with_preset(
    name: str, given: Mapping[str, Settings], classifiers: tuple[str, ...]
) -> dict[str, Settings]:
    """Return classifier to the settings of a preset, and what the user gave in their place.

    Args:
        name: A name of :data:`PRESETS`; empty for none.
        given: Classifier to the settings that the user gave.
        classifiers: Those that run; what a preset says of others has no effect.

    Raises:
        UnknownNameError: No such preset.

    >>> with_preset("paper", {"svm": {"c": 5.0}}, ("svm",))
    {'svm': {'c': 5.0, 'gamma': 1.0, 'exact': 11000, 'landmarks': 2000}}
    """
    if not name:
        return dict(given)
    if name not in PRESETS:
        unknown_name("preset", name, list(PRESETS))
    settings = {}
    for classifier, stated in PRESETS[name].settings.items():
        if classifier in classifiers:
            settings[classifier] = {**stated, **given.get(classifier, {})}
    return {**given, **settings}


def explained_presets() -> str:
    """Return every preset with what it is for, for ``--help``."""
    return "; ".join(f"{name}: {preset.why}" for name, preset in PRESETS.items())
