"""Do the vectors, or the choices, know the answers?

Encoders that have seen the rows, permuted labels, leaky metadata.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from classify.leakage.case import (
    AuditCase,
    Codes,
    Mask,
    VectorFile,
    factorized,
    overlap,
)
from classify.leakage.facts import ContaminatedEncoder, contaminations, corpus_names, is_corpus
from classify.leakage.finding import (
    CLEAN,
    NOT_CHECKED,
    Evidence,
    LeakageFinding,
    per_cent,
    some,
)
from classify.names import INNER
from embeddings_store.corpus.columns import LEAK_TAGS, UNTAGGED
from embeddings_store.corpus.manifest import safe_name
from embeddings_store.folds.plan import Fold

if TYPE_CHECKING:
    import pandas as pd

JUDGED = ("test", "valid")  # rows in these roles say how good a model is
NO_VECTORS = LeakageFinding(NOT_CHECKED, "there are no vectors yet")
ADVICE = (
    "use the plan under which the encoder was trained (often --folds split), drop the view with "
    "--modalities, or extract vectors with an encoder per fold"
)


@dataclass(frozen=True, slots=True)
class MarkedRows:
    """Rows of one fold and role of which an encoder's file says one thing.

    Attributes:
        fold: The fold.
        role: ``test`` or ``valid``.
        file: The encoder's file.
        rows: Which rows (N,), one at least.
    """

    fold: Fold
    role: str
    file: VectorFile
    rows: Mask


def seen(case: AuditCase) -> LeakageFinding:
    """No encoder was fitted on rows that it is tested or chosen on."""
    if not case.files:
        return NO_VECTORS
    tested = scored(case)
    fitted = _marked_rows(case, "fit", JUDGED)
    if fitted:
        in_test = _distinct(found for found in fitted if found.role == "test")
        in_valid = _distinct(found for found in fitted if found.role == "valid")
        names = dict.fromkeys(f"{found.file.view} ({found.file.ref.name})" for found in fitted)
        number = (
            f"{in_test:,} of {tested:,} test rows ({per_cent(in_test / tested)}) and "
            f"{in_valid:,} validation rows were training rows of an encoder: {', '.join(names)}"
        )
        examples = some([f"fold {found.fold.number}: {_first_id(case, found)}" for found in fitted])
        return Evidence(number, examples, in_test / tested).leak(
            "such vectors carry the labels of their rows, so the accuracy is far too high", ADVICE
        )
    unknown = _marked_rows(case, "unknown", ("test",))
    if unknown:
        count = _distinct(unknown)
        number = (
            f"{count:,} of {tested:,} test rows ({per_cent(count / tested)}): nobody knows "
            f"whether the encoder has seen them ({_views_of(unknown)})"
        )
        return Evidence(number, share=count / tested).caution(
            "if it was trained on them the accuracy is far too high; results are stamped unverified"
        )
    return LeakageFinding(
        CLEAN,
        f"no encoder was fitted on any of {tested:,} test rows, by the record of its file",
        share=0.0,
    )


def contamination(case: AuditCase) -> LeakageFinding:
    """No encoder is known to have been trained on this corpus' labels."""
    if not case.files:
        return NO_VECTORS
    here = _trained_on(corpus_names(case))
    found = {}
    for file in case.files:
        for known in here:
            if names_of(file) & _spellings(known.hub_id):
                found[known.hub_id] = (file, known)
    if not found:
        return _uncontaminated(case, len(here))
    shown = "; ".join(
        f"{file.view}: {hub_id} was trained on {known.corpus} (which rows: {known.rows})"
        for hub_id, (file, known) in found.items()
    )
    evidence = Evidence(shown, some([known.source for _, known in found.values()]))
    if all(known.trained == "head" for _, known in found.values()):
        return evidence.caution(
            "only its head was trained there, which is not used here; its states are those of the "
            "encoder below"
        )
    if all(_declared(file, case) for file, _ in found.values()):
        return evidence.caution(
            "the file says which rows that were, and none of them is tested; whether that is all, "
            "only the encoder's authors know"
        )
    return evidence.leak(
        "its states know the labels of rows that are tested here, even frozen; the figure says "
        "how well it remembers",
        "use an encoder that was not trained on this corpus, or evaluate on another corpus",
    )


def _trained_on(names: Sequence[str]) -> list[ContaminatedEncoder]:
    """Return the listed encoders that were trained on a corpus of one of these names."""
    found = []
    for known in contaminations():
        if any(is_corpus(name, known.corpus) for name in names):
            found.append(known)
    return found


def _uncontaminated(case: AuditCase, listed: int) -> LeakageFinding:
    """Return what is to be said where no encoder is one of those listed for this corpus."""
    nameless = [
        file.view for file in case.files if file.ref.name == f"imported-{file.ref.modality}"
    ]
    if nameless:
        return LeakageFinding(
            NOT_CHECKED,
            f"nobody said which encoder made the imported vectors: {', '.join(nameless)}",
        )
    sources = ", ".join(dict.fromkeys(source_of(file) for file in case.files))
    return LeakageFinding(
        CLEAN, f"{sources}: none of the {listed} listed encoders that were trained on this corpus"
    )


def choices(case: AuditCase) -> LeakageFinding:
    """Nothing was chosen by how well it does on test rows."""
    chosen = _marked_rows(case, "select", ("test",))
    by_rule = [file for file in case.files if file.attributes.get("selection_rule") == "test"]
    reasons = []
    if chosen:
        reasons.append(
            f"the {_views_of(chosen)} encoder's epoch was chosen by its accuracy on "
            f"{_distinct(chosen):,} of {scored(case):,} test rows"
        )
    elif by_rule:
        reasons.append(
            f"{len(by_rule)} files of vectors were trained with --rule test ({by_rule[0].view})"
        )
    if case.select_on == "test":
        reasons.append("settings or cells were chosen on test rows (--select-on test)")
    if reasons:
        examples = some([_first_id(case, found) for found in chosen])
        return Evidence("; ".join(reasons), examples).leak(
            "the figure is an upper bound that nobody reaches on new rows",
            "choose on validation rows: fine-tune with --rule valid-session, leave out "
            "--select-on test",
        )
    if not case.files:
        return NO_VECTORS
    where = "validation rows"
    if case.select_on == INNER:
        where = "training and validation rows, in inner folds"
    elif not case.plan.has_valid:
        where = "nothing, for the plan has no validation rows"
    return LeakageFinding(CLEAN, f"no epoch was chosen on test rows; choices rest on {where}")


def permuted(case: AuditCase) -> LeakageFinding:
    """Vectors come from trainings on the labels that are scored, permuted or true."""
    trained = [file for file in case.files if file.fold != "any"]
    wanted = -1 if case.shuffled is None else case.shuffled
    wrong = [file for file in trained if _permutation_of(file) != wanted]
    if wrong:
        seed = _permutation_of(wrong[0])
        labels, advice = "true labels", "fine-tune with the same --shuffle-labels"
        if seed >= 0:
            labels = f"permuted labels (seed {seed})"
            advice = f"score them with --shuffle-labels {seed}"
        number = (
            f"{len(wrong)} of {len(trained)} fine-tuned files were trained on {labels}, first "
            f"{wrong[0].view} for fold {wrong[0].fold}"
        )
        return Evidence(number, some([file.path.parent.parent.name for file in wrong])).leak(
            "vectors and classifiers then go by different labels; the figure means nothing", advice
        )
    if not case.files:
        return NO_VECTORS
    if not trained:
        return LeakageFinding(CLEAN, "no vectors come from a training on this corpus")
    return LeakageFinding(
        CLEAN, f"{len(trained)} fine-tuned files, all trained on the labels that are scored"
    )


def metadata(case: AuditCase) -> LeakageFinding:
    """No metadata column explains the label."""
    tags = {
        column: case.manifest.tag(column) for column in case.manifest.tagged(*LEAK_TAGS, UNTAGGED)
    }
    modalities = [file.ref.modality for file in case.files]
    as_text = [modality for modality in modalities if modality.startswith("meta_")]
    used = dict.fromkeys((*case.metadata, *as_text))
    tag_of = {column: tags.get(column, UNTAGGED) for column in used}
    bad = [f"{column} ({tag})" for column, tag in tag_of.items() if tag in ("leaky", UNTAGGED)]
    if bad:
        number = (
            f"{len(bad)} of {len(used)} metadata columns in use may explain the label: "
            f"{', '.join(bad)}"
        )
        return Evidence(number, some(bad)).leak(
            "such a column was noted by somebody who knew the label, or nobody said that it was "
            "not",
            "leave it out; if it is harmless, tag it safe or context where the corpus is read or "
            "imported",
        )
    telling = _telling_columns(case, dict.fromkeys((*used, *case.manifest.tagged("safe"))))
    if telling:
        return Evidence("; ".join(telling)).caution(
            "it is tagged safe or context, and tells the label all the same; if it was written by "
            "somebody who knew the label, tag it leaky"
        )
    if used:
        return LeakageFinding(
            CLEAN, f"metadata in use is tagged safe or context: {', '.join(used)}"
        )
    return LeakageFinding(
        CLEAN, f"no metadata column is given to a model ({len(tags)} in the manifest)"
    )


def _telling_columns(case: AuditCase, columns: Iterable[str]) -> list[str]:
    """Return the metadata columns whose values of training rows tell the labels of test rows.

    The label of a value is looked up as that of a transcript is; numbers are cut into ten parts.
    """
    found = []
    for column in columns:
        if column not in case.manifest.table:
            continue
        looked_up = overlap(case, _coarse_keys(case.manifest.table[column]), ("train",))
        if looked_up.helps:
            constant = looked_up.constant / looked_up.rows
            found.append(
                f"looking {column} up is right on {per_cent(looked_up.look_up)} of "
                f"{looked_up.rows:,} test rows (always the commonest label: {per_cent(constant)})"
            )
    return found


def _coarse_keys(values: pd.Series) -> Codes:
    """Return a key for each value (N,), -1 for none; many different numbers are cut into ten."""
    import pandas as pd

    words = values.astype(str).where(values.notna(), "")
    given = words != ""
    numbers = pd.to_numeric(words.where(given), errors="coerce")
    if numbers[given].notna().all() and numbers.nunique() > 10:
        tenth = pd.qcut(numbers, 10, labels=False, duplicates="drop")
        return np.asarray(tenth.fillna(-1).to_numpy(), dtype=np.int64)
    return factorized(words.to_numpy(dtype=str))


def scored(case: AuditCase) -> int:
    """Count the labelled test rows of all folds that some view has a vector of."""
    count = 0
    for fold in case.plan:
        has_vector = [file.ok for file in case.files_for(fold)]
        if has_vector:
            count += int((case.rows(fold, "test") & np.logical_or.reduce(has_vector)).sum())
    return count


def source_of(file: VectorFile) -> str:
    """Return where an encoder's weights came from.

    A hub id or a folder's name, else the encoder's name in the store.
    """
    provenance = file.attributes.get("provenance")
    source = provenance.get("encoder_source") if isinstance(provenance, dict) else None
    return str(source or file.ref.name)


def names_of(file: VectorFile) -> set[str]:
    """Return everything that an encoder is called, in small letters.

    Its source, its name in the store without a layer's mark.
    """
    return {source_of(file).lower(), file.ref.name.removesuffix(f".L{file.ref.layer}").lower()}


def _spellings(hub_id: str) -> set[str]:
    """Return a repository as it may be called.

    As hub id, as folder in the store, and by the last part, as a download often is.
    """
    return {name.lower() for name in (hub_id, safe_name(hub_id), hub_id.rpartition("/")[2])}


def _declared(file: VectorFile, case: AuditCase) -> bool:
    """Say whether a file names the rows its encoder was fitted on, and none of them is scored."""
    if not (file.seen == "fit").any() or (file.seen == "unknown").any():
        return False
    return not any(found.file is file for found in _marked_rows(case, "fit", JUDGED))


def _permutation_of(file: VectorFile) -> int:
    """Return the seed of the permuted labels that an encoder was trained on, -1 for true ones."""
    return int(str(file.attributes.get("labels_shuffled", -1)))


def _marked_rows(case: AuditCase, word: str, roles: Sequence[str]) -> list[MarkedRows]:
    """Return the rows in some roles of which encoders say one word of ``seen``."""
    found = []
    for fold in case.plan:
        for file in case.files_for(fold):
            for role in roles:
                rows = np.asarray(case.rows(fold, role) & file.ok & (file.seen == word))
                if rows.any():
                    found.append(MarkedRows(fold, role, file, rows))
    return found


def _views_of(found: Sequence[MarkedRows]) -> str:
    return ", ".join(dict.fromkeys(marked.file.view for marked in found))


def _first_id(case: AuditCase, found: MarkedRows) -> str:
    return str(case.manifest.ids[np.argmax(found.rows)])


def _distinct(found: Iterable[MarkedRows]) -> int:
    """Count the rows of each fold once, however many views have them."""
    by_fold: dict[int, Mask] = {}
    for marked in found:
        number = marked.fold.number
        by_fold[number] = by_fold.get(number, False) | marked.rows
    return sum(int(rows.sum()) for rows in by_fold.values())
