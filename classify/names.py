"""The words that stand in options and results.

Families, roles of rows, and what a score comes from.
"""

from __future__ import annotations

from collections.abc import Mapping

BASELINE, UNIMODAL, LAYER, EARLY, LATE, SYSTEM = FAMILIES = (
    "baseline",
    "unimodal",
    "layer",
    "early",
    "late",
    "system",
)

OOF = "oof"
FIT_ROWS: Mapping[str, tuple[str, ...]] = {
    "train": ("train",),
    "train+valid": ("train", "valid"),
    "valid": ("train",),
    OOF: ("train",),
}
# as the cell allows: both where no encoder of the cell was fitted on either, else training rows
AS_ALLOWED = "auto"
OVER_SCORES = ("valid", OOF)  # choices that change what late fusion learns from and nothing else

VALID, LEARN, CHOICE, TEST = (
    "valid",
    "valid (half to learn from)",
    "valid (half to choose on)",
    "test",
)
TRAIN = "train"
INNER = "inner"  # training and validation rows, each answered by a fit without its group
CHOOSE = (VALID, INNER, AS_ALLOWED)
FITTED = "fitted"  # rows that an encoder was fitted on, where they choose all the same
TUNE_ON = (TRAIN, VALID)
LAYER_JUDGE = "svm"  # the classifier by whose accuracy on validation rows a layer is chosen

SUBSETS_BY = BY_MODALITY, BY_VIEW = ("modality", "view")
LAYERS_AS = AS_VIEWS, AS_MEAN, AS_CONCAT, AS_STACK = ("views", "mean", "concat", "stack")

HEAD, PROBE = "head", "probe"  # where the class scores of a modality come from
RULE = "rule"  # stands in the column of classifiers
CALIBRATED = "calibrated"

CONCATENATION = "concatenation"  # the strategy that every other one is measured against
NO_METADATA = "none"  # the run of the metadata ablation that others are compared with
