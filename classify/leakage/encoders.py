"""Do the vectors, or the choices, know the answers.

Encoders that have seen the rows, permuted labels, leaky metadata?
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from classify.leakage.case import AuditCase, Mask, VectorFile
from classify.leakage.facts import ContaminatedEncoder, contaminations, corpus_names, is_corpus
from classify.leakage.finding import (
    CAUTION,
    CLEAN,
    LEAK,
    NOT_CHECKED,
    LeakageFinding,
    per_cent,
    some,
)
from embeddings_store.corpus.columns import LEAK_TAGS, UNTAGGED
from embeddings_store.corpus.manifest import safe_name
from embeddings_store.folds.plan import Fold

JUDGED = ("test", "valid")  # rows in these roles say how good a model is
ADVICE = (
    "use the plan under which the encoder was trained (often --folds split), drop the view with "
    "--modalities, or extract "
    "vectors with an encoder per fold"
)


def seen(case: AuditCase) -> LeakageFinding:
    """No encoder was fitted on rows that it is tested or chosen on."""
    if not case.files:
        return LeakageFinding(NOT_CHECKED, "there are no vectors yet")
    tested = scored(case)
    fitted = [
        (fold, file, role, rows)
        for fold, file in _pairs(case)
        for role in JUDGED
        if (rows := _marked(case, fold, file, role, "fit")).any()
    ]
    if fitted:
        hit = {
            role: _distinct([(fold, rows) for fold, _, r, rows in fitted if r == role])
            for role in JUDGED
        }
        views = ", ".join(
            dict.fromkeys(f"{file.view} ({file.ref.name})" for _, file, _, _ in fitted)
        )
        number = (
            f"{hit['test']:,} of {tested:,} test rows ({per_cent(hit['test'] / tested)}) and "
            f"{hit['valid']:,} validation "
            f"rows were training rows of an encoder: {views}"
        )
        examples = some(
            [
                f"fold {fold.number}: {case.manifest.ids[np.argmax(rows)]}"
                for fold, _, _, rows in fitted
            ]
        )
        return LeakageFinding(
            LEAK,
            number,
            "such vectors carry the labels of their rows, so the accuracy is far too high",
            ADVICE,
            examples,
            hit["test"] / tested,
        )
    unknown = [
        (fold, rows, file.view)
        for fold, file in _pairs(case)
        if (rows := _marked(case, fold, file, "test", "unknown")).any()
    ]
    if unknown:
        count = _distinct([(fold, mask) for fold, mask, _ in unknown])
        return LeakageFinding(
            CAUTION,
            f"{count:,} of {tested:,} test rows ({per_cent(count / tested)}): nobody knows "
            "whether the "
            f"encoder has seen them ({', '.join(dict.fromkeys(view for *_, view in unknown))})",
            "if it was trained on them the accuracy is far too high; results are stamped "
            "unverified",
            share=count / tested,
        )
    return LeakageFinding(
        CLEAN,
        f"no encoder was fitted on any of {tested:,} test rows, by the record of its file",
        share=0.0,
    )


def contamination(case: AuditCase) -> LeakageFinding:
    """No encoder is known to have been trained on this corpus' labels."""
    if not case.files:
        return LeakageFinding(NOT_CHECKED, "there are no vectors yet")
    here = [
        c for c in contaminations() if any(is_corpus(name, c.corpus) for name in corpus_names(case))
    ]
    found = {}
    for file in case.files:
        for known in here:
            if names_of(file) & _spellings(known.hub_id):
                found[known.hub_id] = (file, known)
    if not found:
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
            CLEAN,
            f"{sources}: none of the {len(here)} listed encoders that were trained on this corpus",
        )
    shown = "; ".join(
        f"{file.view}: {hub_id} was trained on {known.corpus} (which rows: {known.rows})"
        for hub_id, (file, known) in found.items()
    )
    if all(known.trained == "head" for _, known in found.values()):
        return LeakageFinding(
            CAUTION,
            shown,
            "only its head was trained there, which is not used here; its states are those of the "
            "encoder below",
            examples=_sources(found),
        )
    means = "its states know the labels of rows that are tested here, even frozen; the figure says how well it remembers"
    if all(_declared(file, case) for file, _ in found.values()):
        return LeakageFinding(
            CAUTION,
            shown,
            "the file says which rows that were, and none of them is tested; whether that is all, "
            "only the encoder's authors know",
            examples=_sources(found),
        )
    return LeakageFinding(
        LEAK,
        shown,
        means,
        "use an encoder that was not trained on this corpus, or evaluate on another corpus",
        _sources(found),
    )


def choices(case: AuditCase) -> LeakageFinding:
    """Nothing was chosen by how well it does on test rows."""
    chosen = [
        (fold, file, rows)
        for fold, file in _pairs(case)
        if (rows := _marked(case, fold, file, "test", "select")).any()
    ]
    by_rule = [file for file in case.files if file.attributes.get("selection_rule") == "test"]
    told = []
    if chosen:
        count = _distinct([(fold, rows) for fold, _, rows in chosen])
        views = ", ".join(dict.fromkeys(file.view for _, file, _ in chosen))
        told.append(
            f"the {views} encoder's epoch was chosen by its accuracy on {count:,} of "
            f"{scored(case):,} test rows"
        )
    elif by_rule:
        told.append(
            f"{len(by_rule)} files of vectors were trained with --rule test ({by_rule[0].view})"
        )
    if case.select_on == "test":
        told.append("settings or cells were chosen on test rows (--select-on test)")
    if told:
        return LeakageFinding(
            LEAK,
            "; ".join(told),
            "the figure is an upper bound that nobody reaches on new rows",
            "choose on validation rows: fine-tune with --rule valid-session, leave out "
            "--select-on test",
            some([str(case.manifest.ids[np.argmax(rows)]) for *_, rows in chosen]),
        )
    if not case.files:
        return LeakageFinding(NOT_CHECKED, "there are no vectors yet")
    where = (
        "validation rows" if case.plan.has_valid else "nothing, for the plan has no validation rows"
    )
    return LeakageFinding(CLEAN, f"no epoch was chosen on test rows; choices rest on {where}")


def permuted(case: AuditCase) -> LeakageFinding:
    """No vectors come from a training on permuted labels while true ones are scored, nor the other way round."""
    trained = [
        (file, int(str(file.attributes.get("labels_shuffled", -1))))
        for file in case.files
        if file.fold != "any"
    ]
    wanted = -1 if case.shuffled is None else case.shuffled
    wrong = [(file, seed) for file, seed in trained if seed != wanted]
    if wrong:
        file, seed = wrong[0]
        what = f"permuted labels (seed {seed})" if seed >= 0 else "true labels"
        return LeakageFinding(
            LEAK,
            f"{len(wrong)} of {len(trained)} fine-tuned files were trained on {what}, first "
            f"{file.view} for "
            f"fold {file.fold}",
            "vectors and classifiers then go by different labels; the figure means nothing",
            f"score them with --shuffle-labels {seed}"
            if seed >= 0
            else "fine-tune with the same --shuffle-labels",
            some([file.path.parent.parent.name for file, _ in wrong]),
        )
    if not case.files:
        return LeakageFinding(NOT_CHECKED, "there are no vectors yet")
    return LeakageFinding(
        CLEAN,
        f"{len(trained)} fine-tuned files, all trained on the labels that are scored"
        if trained
        else "no vectors come from a training on this corpus",
    )


def metadata(case: AuditCase) -> LeakageFinding:
    """No metadata column explains the label."""
    tags = {
        column: case.manifest.tag(column) for column in case.manifest.tagged(*LEAK_TAGS, UNTAGGED)
    }
    used = list(
        dict.fromkeys(
            (
                *case.metadata,
                *(f.ref.modality for f in case.files if f.ref.modality.startswith("meta_")),
            )
        )
    )
    bad = [
        f"{column} ({tags.get(column, UNTAGGED)})"
        for column in used
        if tags.get(column, UNTAGGED) in ("leaky", UNTAGGED)
    ]
    if bad:
        return LeakageFinding(
            LEAK,
            f"{len(bad)} of {len(used)} metadata columns in use may explain the label: "
            f"{', '.join(bad)}",
            "such a column was noted by somebody who knew the label, or nobody said that it was "
            "not",
            "leave it out; if it is harmless, tag it safe or context where the corpus is read or "
            "imported",
            some(bad),
        )
    if used:
        return LeakageFinding(
            CLEAN, f"metadata in use is tagged safe or context: {', '.join(used)}"
        )
    return LeakageFinding(
        CLEAN, f"no metadata column is given to a model ({len(tags)} in the manifest)"
    )


def scored(case: AuditCase) -> int:
    """Labelled test rows of all folds that some view has a vector of."""
    return sum(
        int(
            (
                case.rows(fold, "test") & np.logical_or.reduce([f.ok for f in case.files_for(fold)])
            ).sum()
        )
        for fold in case.plan
        if any(True for _ in case.files_for(fold))
    )


def source_of(file: VectorFile) -> str:
    """Return where an encoder's weights came from.

    A hub id or a folder's name, else the encoder's name in the store.
    """
    provenance = file.attributes.get("provenance")
    told = provenance.get("encoder_source") if isinstance(provenance, dict) else None
    return str(told or file.ref.name)


def names_of(file: VectorFile) -> set[str]:
    """Return everything that an encoder is called, in small letters.

    Its source, its name in the store without a layer's mark.
    """
    return {source_of(file).lower(), file.ref.name.removesuffix(f".L{file.ref.layer}").lower()}


def _spellings(hub_id: str) -> set[str]:
    """A repository as hub id, as folder name in the store, and as the last part that a download is often called."""
    return {name.lower() for name in (hub_id, safe_name(hub_id), hub_id.rpartition("/")[2])}


def _declared(file: VectorFile, case: AuditCase) -> bool:
    """Whether a file says which rows of the corpus its encoder was fitted on, and no scored row is one of them."""
    if not (file.seen == "fit").any() or (file.seen == "unknown").any():
        return False
    return not any(
        _marked(case, fold, file, role, "fit").any()
        for fold in case.plan
        if file.serves(fold)
        for role in JUDGED
    )


def _sources(found: dict[str, tuple[VectorFile, ContaminatedEncoder]]) -> tuple[str, ...]:
    return some([known.source for _, known in found.values()])


def _pairs(case: AuditCase) -> Iterator[tuple[Fold, VectorFile]]:
    return ((fold, file) for fold in case.plan for file in case.files_for(fold))


def _marked(case: AuditCase, fold: Fold, file: VectorFile, role: str, word: str) -> Mask:
    return np.asarray(case.rows(fold, role) & file.ok & (file.seen == word))


def _distinct(found: list[tuple[Fold, Mask]]) -> int:
    """Count the rows of each fold once, however many views have them."""
    by_fold: dict[int, Mask] = {}
    for fold, rows in found:
        by_fold[fold.number] = by_fold.get(fold.number, False) | rows
    return sum(int(rows.sum()) for rows in by_fold.values())
