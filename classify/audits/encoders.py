"""Do the vectors, or the choices, know the answers: encoders that have seen the rows, permuted labels, leaky metadata?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from classify.audits.facts import Contamination, contaminations, corpus_names, is_corpus
from classify.audits.finding import CAUTION, CLEAN, LEAK, NOT_CHECKED, Finding, per_cent, some
from classify.audits.setup import Mask, Setup, VectorFile
from embeddings_store.columns import LEAK_TAGS, UNTAGGED
from embeddings_store.folds import Fold
from embeddings_store.load import REFUSED
from embeddings_store.manifest import safe_name

ADVICE = ("use the plan under which the encoder was trained (often --folds split), drop the view with --modalities, or extract "
          "vectors with an encoder per fold")


def seen(setup: Setup) -> Finding:
    """No encoder was fitted on rows that it is tested or chosen on."""
    if not setup.files:
        return Finding(NOT_CHECKED, "there are no vectors yet")
    tested = scored(setup)
    fitted = [(fold, file, role, rows) for fold, file in _pairs(setup) for role in REFUSED
              if (rows := _marked(setup, fold, file, role, "fit")).any()]
    if fitted:
        hit = {role: _distinct([(fold, rows) for fold, _, r, rows in fitted if r == role]) for role in REFUSED}
        views = ", ".join(dict.fromkeys(f"{file.view} ({file.ref.name})" for _, file, _, _ in fitted))
        number = (f"{hit['test']:,} of {tested:,} test rows ({per_cent(hit['test'] / tested)}) and {hit['valid']:,} validation rows "
                  f"were training rows of an encoder: {views}")
        examples = some([f"fold {fold.number}: {setup.manifest.ids[np.argmax(rows)]}" for fold, _, _, rows in fitted])
        return Finding(LEAK, number, "such vectors carry the labels of their rows, so the accuracy is far too high", ADVICE,
                       examples, hit["test"] / tested)
    unknown = [(fold, rows, file.view) for fold, file in _pairs(setup)
               if (rows := _marked(setup, fold, file, "test", "unknown")).any()]
    if unknown:
        rows = _distinct([(fold, mask) for fold, mask, _ in unknown])
        return Finding(CAUTION, f"{rows:,} of {tested:,} test rows ({per_cent(rows / tested)}): nobody knows whether the encoder has "
                       f"seen them ({', '.join(dict.fromkeys(view for *_, view in unknown))})",
                       "if it was trained on them the accuracy is far too high; results are stamped unverified",
                       share=rows / tested)
    return Finding(CLEAN, f"no encoder was fitted on any of {tested:,} test rows, by the record of its file", share=0.0)


def contamination(setup: Setup) -> Finding:
    """No encoder is known to have been trained on this corpus' labels."""
    if not setup.files:
        return Finding(NOT_CHECKED, "there are no vectors yet")
    here = [c for c in contaminations() if any(is_corpus(name, c.corpus) for name in corpus_names(setup))]
    found = {}
    for file in setup.files:
        for known in here:
            if names_of(file) & _spellings(known.hub_id):
                found[known.hub_id] = (file, known)
    if not found:
        sources = ", ".join(dict.fromkeys(source_of(file) for file in setup.files))
        return Finding(CLEAN, f"{sources}: not among the {len(here)} encoders known to be trained on this corpus, which proves "
                       "nothing of others")
    shown = "; ".join(f"{file.view}: {hub_id} was trained on {known.corpus} ({known.rows})"
                      for hub_id, (file, known) in found.items())
    means = "its states know the labels of rows that are tested here, even frozen; the figure says how well it remembers"
    if all(_declared(file, setup) for file, _ in found.values()):
        return Finding(CAUTION, shown, "the file says which rows that were, and none of them is tested; whether that is all, only "
                       "the encoder's authors know", examples=_sources(found))
    return Finding(LEAK, shown, means, "use an encoder that was not trained on this corpus, or evaluate on another corpus",
                   _sources(found))


def choices(setup: Setup) -> Finding:
    """Nothing was chosen by how well it does on test rows."""
    chosen = [(fold, file, rows) for fold, file in _pairs(setup) if (rows := _marked(setup, fold, file, "test", "select")).any()]
    by_rule = [file for file in setup.files if file.attributes.get("selection_rule") == "test"]
    told = []
    if chosen:
        rows = _distinct([(fold, rows) for fold, _, rows in chosen])
        views = ", ".join(dict.fromkeys(file.view for _, file, _ in chosen))
        told.append(f"the {views} encoder's epoch was chosen by its accuracy on {rows:,} of {scored(setup):,} test rows")
    elif by_rule:
        told.append(f"{len(by_rule)} files of vectors were trained with --rule test ({by_rule[0].view})")
    if setup.select_on == "test":
        told.append("settings or cells were chosen on test rows (--select-on test)")
    if told:
        return Finding(LEAK, "; ".join(told), "the figure is an upper bound that nobody reaches on new rows",
                       "choose on validation rows: fine-tune with --rule valid-session, leave out --select-on test",
                       some([str(setup.manifest.ids[np.argmax(rows)]) for *_, rows in chosen]))
    if not setup.files:
        return Finding(NOT_CHECKED, "there are no vectors yet")
    where = "validation rows" if setup.plan.has_valid else "nothing, for the plan has no validation rows"
    return Finding(CLEAN, f"no epoch was chosen on test rows; choices rest on {where}")


def permuted(setup: Setup) -> Finding:
    """No vectors come from a training on permuted labels while true ones are scored, nor the other way round."""
    trained = [(file, int(str(file.attributes.get("labels_shuffled", -1)))) for file in setup.files if file.fold != "any"]
    wanted = -1 if setup.shuffled is None else setup.shuffled
    wrong = [(file, seed) for file, seed in trained if seed != wanted]
    if wrong:
        file, seed = wrong[0]
        what = f"permuted labels (seed {seed})" if seed >= 0 else "true labels"
        return Finding(LEAK, f"{len(wrong)} of {len(trained)} fine-tuned files were trained on {what}, first {file.view} for fold "
                       f"{file.fold}", "training rows and test rows then speak of different labels, and the figure means nothing",
                       f"score them with --shuffle-labels {seed}" if seed >= 0 else "fine-tune with the same --shuffle-labels",
                       some([file.path.parent.parent.name for file, _ in wrong]))
    if not setup.files:
        return Finding(NOT_CHECKED, "there are no vectors yet")
    return Finding(CLEAN, f"{len(trained)} fine-tuned files, all trained on the labels that are scored" if trained else
                   "no vectors come from a training on this corpus")


def metadata(setup: Setup) -> Finding:
    """No metadata column explains the label."""
    tags = {column: setup.manifest.tag(column) for column in setup.manifest.tagged(*LEAK_TAGS, UNTAGGED)}
    used = list(dict.fromkeys((*setup.metadata, *_columns_of(setup))))
    bad = [f"{column} ({tags.get(column, UNTAGGED)})" for column in used if tags.get(column, UNTAGGED) in ("leaky", UNTAGGED)]
    if bad:
        return Finding(LEAK, f"{len(bad)} of {len(used)} metadata columns in use may explain the label: {', '.join(bad)}",
                       "such a column was noted by somebody who knew the label, or nobody said that it was not",
                       "leave it out; if it is harmless, tag it safe or context where the corpus is read or imported; to see what "
                       "it is worth, --accept metadata says so under every table", some(bad))
    if used:
        return Finding(CLEAN, f"metadata in use is tagged safe or context: {', '.join(used)}")
    return Finding(CLEAN, f"no metadata column is given to a model ({len(tags)} in the manifest)")


def scored(setup: Setup) -> int:
    """Labelled test rows of all folds that some view has a vector of."""
    return sum(int((setup.rows(fold, "test") & np.logical_or.reduce([f.ok for f in setup.files_for(fold)])).sum())
               for fold in setup.plan if any(True for _ in setup.files_for(fold)))


def source_of(file: VectorFile) -> str:
    """Return where an encoder's weights came from: a hub id or a folder's name, else the encoder's name in the store."""
    provenance = file.attributes.get("provenance")
    told = provenance.get("encoder_source") if isinstance(provenance, dict) else None
    return str(told or file.ref.name)


def names_of(file: VectorFile) -> set[str]:
    """Return everything that an encoder is called, in small letters: its source, its name in the store without a layer's mark."""
    return {source_of(file).lower(), file.ref.name.removesuffix(f".L{file.ref.layer}").lower()}


def _spellings(hub_id: str) -> set[str]:
    """A repository as hub id, as folder name in the store, and as the last part that a download is often called."""
    return {name.lower() for name in (hub_id, safe_name(hub_id), hub_id.rpartition("/")[2])}


def _declared(file: VectorFile, setup: Setup) -> bool:
    """Whether a file says which rows of the corpus its encoder was fitted on, and no scored row is one of them."""
    told = bool((file.seen == "fit").any()) and not np.isin(file.seen, ("unknown",)).any()
    return told and not any(_marked(setup, fold, file, role, "fit").any() for fold in setup.plan if file.serves(fold) for role in REFUSED)


def _sources(found: dict[str, tuple[VectorFile, Contamination]]) -> tuple[str, ...]:
    return some([known.source for _, known in found.values()])


def _pairs(setup: Setup) -> Iterator[tuple[Fold, VectorFile]]:
    return ((fold, file) for fold in setup.plan for file in setup.files_for(fold))


def _marked(setup: Setup, fold: Fold, file: VectorFile, role: str, word: str) -> Mask:
    return np.asarray(setup.rows(fold, role) & file.ok & (file.seen == word))


def _distinct(found: list[tuple[Fold, Mask]]) -> int:
    """Count the rows of each fold once, however many views have them."""
    by_fold: dict[int, Mask] = {}
    for fold, rows in found:
        by_fold[fold.number] = by_fold.get(fold.number, False) | rows
    return sum(int(rows.sum()) for rows in by_fold.values())


def _columns_of(setup: Setup) -> Iterator[str]:
    """Yield the metadata columns that vectors were made from, where their settings name any."""
    for file in setup.files:
        settings = file.attributes.get("settings")
        columns = settings.get("columns") if isinstance(settings, dict) else None
        yield from (str(column) for column in columns) if isinstance(columns, list) else ()
