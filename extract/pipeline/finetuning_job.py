"""What one fine-tuning is: a corpus, a fold, an encoder, how it is trained, where vectors go."""

from __future__ import annotations

from dataclasses import dataclass, field

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import UsageError
from embeddings_store.folds.setup import Request
from extract.finetuning.row_roles import FoldChoice, training_setup
from extract.finetuning.settings import PAPER, TrainingSettings
from extract.pipeline.job import CorpusSource, EncoderChoice, StoreTarget


@dataclass(frozen=True, slots=True)
class FinetuneJob:
    """Which encoder to fine-tune on what.

    Attributes:
        source: The corpus.
        modality: ``text``, ``audio`` or ``video``.
        fold: Which fold is trained for, and which inner fold of it.
        settings: How to train; its seed is part of the file's place.
        request: Protocol, fold plan and label set, as they are asked for.
        encoder: Which encoder, and what it is given; its layer and batch size do not count, since
            ``settings`` say what is trained.
        target: Where the vectors go.
        shuffle_labels: Seed of a permutation of all labels, to see whether everything then falls to
            chance; none for none.
        keep_models: Keep the tuned weights below ``models/`` after their vectors are made.
        memory_gb: Prepared inputs are kept in memory up to this many gigabytes.
    """

    source: CorpusSource
    modality: str
    fold: FoldChoice
    settings: TrainingSettings
    request: Request = field(default_factory=Request)
    encoder: EncoderChoice = field(default_factory=EncoderChoice)
    target: StoreTarget = field(default_factory=StoreTarget)
    shuffle_labels: int | None = None
    keep_models: bool = False
    memory_gb: float = 4.0

    @property
    def column(self) -> str:
        """The manifest's column that is encoded."""
        return self.source.column(self.modality)

    @property
    def keeps_model(self) -> bool:
        """Whether the tuned weights stay when their vectors are made."""
        return self.keep_models or self.fold.is_final

    def fold_numbers(self, manifest: Manifest) -> list[str]:
        """Return what ``--fold all`` means for a corpus: the numbers of its plan."""
        plan = training_setup(manifest, self.request, self.settings.rule).plan
        return [str(fold.number) for fold in plan]


def paper_settings(modality: str, **given: object) -> TrainingSettings:
    """Return the paper's settings for a modality, with whatever is given instead.

    Raises:
        UsageError: The paper fine-tunes nothing for this modality.
    """
    if modality not in PAPER:
        raise UsageError(f"modality {modality!r} cannot be fine-tuned; there is {', '.join(PAPER)}")
    return TrainingSettings.for_modality(modality, **given)
