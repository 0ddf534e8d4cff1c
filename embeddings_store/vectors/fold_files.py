"""The files of one fold: found, read, and checked to belong to corpus, plan, fold and labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import StoreMismatchError, StoreNotFoundError
from embeddings_store.folds.plan import Fold, FoldPlan
from embeddings_store.vectors.arrays import EncoderRef, StoredRows
from embeddings_store.vectors.hdf5 import read_rows, store_path

FINAL = "final"


@dataclass(frozen=True, slots=True)
class FoldFiles:
    """Reads what encoders made of one fold; rows come in the order of the manifest.

    Attributes:
        store: The store's folder.
        manifest: The corpus.
        plan: The fold plan.
        fold: Which fold of it.
        labels: The label set that counts.
        shuffle_seed: Seed of the permuted labels that encoders must have been trained on; none for
            true labels.
    """

    store: Path
    manifest: Manifest
    plan: FoldPlan
    fold: Fold
    labels: LabelSet
    shuffle_seed: int | None

    def read(self, ref: EncoderRef) -> StoredRows:
        """Read the vectors of this fold, or those that serve every fold.

        Raises:
            StoreNotFoundError: There are none.
            StoreMismatchError: The file is of something else.
        """
        for name in (str(self.fold.number), "any"):
            path = store_path(self.store, self.manifest.name, ref, name)
            if path.is_file():
                return self._checked(path, ref, str(self.fold.number))
        folder = store_path(self.store, self.manifest.name, ref, "any").parent
        there = ", ".join(sorted(p.stem for p in folder.glob("fold-*.h5"))) or "nothing"
        raise StoreNotFoundError(
            f"{folder}: no vectors for fold {self.fold.number} (there: {there}); run "
            f"extract-features --corpus {self.manifest.name} --modality {ref.modality} --fold "
            f"{self.fold.number}"
        )

    def read_inner(self, ref: EncoderRef, name: str) -> StoredRows:
        """Read the vectors of an inner fold, for example ``3.inner-1``.

        Raises:
            StoreNotFoundError: There are none.
            StoreMismatchError: The file is of something else.
        """
        path = store_path(self.store, self.manifest.name, ref, name)
        if not path.is_file():
            raise StoreNotFoundError(
                f"{path}: no such inner fold; run extract-features with the same settings and "
                "--inner-folds again"
            )
        return self._checked(path, ref, name)

    def read_final(self, ref: EncoderRef) -> StoredRows:
        """Read the vectors of an encoder that was trained on all rows (fold ``final``).

        Raises:
            StoreNotFoundError: There are none.
            StoreMismatchError: The file is of something else.
        """
        path = store_path(self.store, self.manifest.name, ref, FINAL)
        if not path.is_file():
            raise StoreNotFoundError(f"{path}: there is no such file; run --fold final again")
        file = read_rows(path)
        self._check_place(path, file, ref)
        self._check_inputs(path, file, ref)
        self._check_permutation(path, file)
        self._check_label_set(path, file)
        self._check_classes(path, file)
        return file

    def _checked(self, path: Path, ref: EncoderRef, name: str) -> StoredRows:
        file = read_rows(path)
        self._check_place(path, file, ref)
        self._check_inputs(path, file, ref)
        if file.fold != "any":
            # An encoder that was trained depends on the fold and the labels; a frozen one does not.
            self._check_fold(path, file, name)
            self._check_permutation(path, file)
            self._check_label_set(path, file)
        self._check_classes(path, file)
        return file

    def _check_place(self, path: Path, file: StoredRows, ref: EncoderRef) -> None:
        corpus = file.attributes.get("corpus")
        if file.encoder != ref or corpus != self.manifest.name:
            raise StoreMismatchError(
                f"{path}: holds {file.encoder.folder} of corpus {corpus!r}, wanted is {ref.folder} "
                f"of {self.manifest.name!r}; run embeddings-store verify and move the file back"
            )

    def _check_inputs(self, path: Path, file: StoredRows, ref: EncoderRef) -> None:
        recorded = file.attributes.get("inputs_digest")
        own = self.manifest.inputs_digest_of(ref.modality)
        if recorded != own or not np.array_equal(file.ids, self.manifest.ids):
            raise StoreMismatchError(
                f"{path}: was made from other inputs (digest {recorded}, {len(file.ids)} rows) "
                f"than the corpus beside it ({own}, {len(self.manifest)} rows); extract it again "
                "with --overwrite, or keep the two corpora in stores of their own"
            )

    def _check_fold(self, path: Path, file: StoredRows, name: str) -> None:
        attributes, plan = file.attributes, self.plan
        if file.fold == name and attributes.get("plan_digest") == plan.digest:
            return
        raise StoreMismatchError(
            f"{path}: was fine-tuned for fold {file.fold} of plan {attributes.get('plan')!r} "
            f"(valid: {attributes.get('plan_valid')}, digest {attributes.get('plan_digest')}), not "
            f"fold {self.fold.number} of {plan.name!r} (valid: {plan.valid}, {plan.digest}); an "
            f"encoder serves only the fold it was trained for: {_options_of_training(attributes)}"
        )

    def _check_permutation(self, path: Path, file: StoredRows) -> None:
        trained_on = int(str(file.attributes.get("labels_shuffled", -1)))
        if trained_on == (-1 if self.shuffle_seed is None else self.shuffle_seed):
            return
        if trained_on >= 0:
            advice = f"permuted labels; score it with --shuffle-labels {trained_on}"
        else:
            advice = (
                "true labels; leave out --shuffle-labels, or fine-tune with the same "
                "--shuffle-labels first"
            )
        raise StoreMismatchError(f"{path}: was fine-tuned on {advice}")

    def _check_label_set(self, path: Path, file: StoredRows) -> None:
        recorded = file.attributes.get("labels_digest", self.labels.digest)
        if recorded != self.labels.digest:
            trained_on = file.attributes.get("label_set") or recorded
            raise StoreMismatchError(
                f"{path}: was fine-tuned on the label set {trained_on!r}, not on "
                f"{self.labels.name!r}, which counts other rows or classes; use --label-set of the "
                "training, or fine-tune again (frozen vectors serve every label set)"
            )

    def _check_classes(self, path: Path, file: StoredRows) -> None:
        if file.scores is not None and file.classes != self.labels.classes:
            raise StoreMismatchError(
                f"{path}: its scores are of the classes {file.classes}, the label set "
                f"{self.labels.name!r} has {self.labels.classes}; use the label set that the "
                "encoder was trained with"
            )


def _options_of_training(attributes: Mapping[str, object]) -> str:
    if attributes.get("protocol"):
        return f"--protocol {attributes['protocol']}"
    return f"--folds {attributes.get('plan')} --valid {attributes.get('plan_valid')}"
