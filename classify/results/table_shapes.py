"""What each table of a results folder must be, for those who read it back."""

from __future__ import annotations

from collections.abc import Mapping

from classify.evaluation.result_files import TableShape
from classify.models.classifiers import competitors
from classify.results.paper_tables import CONFUSION, PAPER_TABLES, PER_CLASS
from classify.results.shapley import CONTRIBUTIONS
from classify.results.statistics_tables import COMPARISONS, STATISTICS
from classify.results.text_overlap import SUBSETS_FILE

_FIGURES = "|".join((*competitors(), "average", "own"))
_PAPER_TABLE = TableShape(
    needed=("row", "metric", "average"),
    numbers=rf"({_FIGURES})(_sd|_seed_sd)?|folds",
    key=("row", "metric"),
)
_ENCODER_CHOICE = TableShape(
    needed=("encoder", "protocol", "n_test", "remark", "epochs", "runtime_s"),
    numbers="(test|valid)_(loss|WA)|runtime_s|epochs|n_test|n_scored",
)

SHAPES: Mapping[str, TableShape] = {
    **dict.fromkeys(PAPER_TABLES.values(), _PAPER_TABLE),
    **dict.fromkeys(("table1_text.csv", "table2_audio.csv", "table3_video.csv"), _ENCODER_CHOICE),
    PER_CLASS: TableShape(
        needed=("class", "precision", "recall", "F1", "support"),
        numbers="(precision|recall|F1)(_sd)?|support|planned|coverage|WA_all",
        key=("class",),
    ),
    CONFUSION: TableShape(
        needed=("truth",), numbers="predicted:.*", key=("truth",), square="predicted:"
    ),
    STATISTICS: TableShape(
        needed=("cell", "metric", "pooled", "low", "high"),
        numbers=r"pooled|low|high|level|mean|sd|clusters|effective_clusters|n_\w+|coverage|WA_all",
        key=("cell", "metric", "class"),
    ),
    COMPARISONS: TableShape(
        numbers=r"(first|second)_value|difference|detectable|low|high|level|p|p_.*|clusters|n_\w+",
    ),
    CONTRIBUTIONS: TableShape(
        numbers="shapley(_sd|_se)?|alone|last|total",
    ),
    SUBSETS_FILE: TableShape(
        numbers="n|folds|(WA|UAR)(_sd)?",
        key=("cell", "subset"),
    ),
}
