"""``PROTOCOLS.md``, rendered from the tables.

``python -m embeddings_store.folds.protocols_page`` writes it again.
"""

from __future__ import annotations

from pathlib import Path

from embeddings_store.corpus.label_sets import TABLE as LABELS
from embeddings_store.folds.protocols import TABLE as PROTOCOLS

PAGE = Path(__file__).parent.with_name("PROTOCOLS.md")
# A backslash joins a line with the next one: the page has longer lines than the code.
HEAD = """# Protocols and label sets by name

Rendered from `protocols.py` and `label_sets.py` by `python -m \
embeddings_store.folds.protocols_page`; a test compares.

    run-fusion-grid --corpus iemocap --protocol iemocap-paper
    run-fusion-grid --corpus iemocap --list-protocols
    extract-features --corpus iemocap --root DIR --modality audio --fold all --protocol \
iemocap-selection
    compare-results results/a results/b

A protocol sets the folds, the rule for validation rows, the label set and the rows. An option \
that contradicts it is refused, and
so is a corpus that is not the whole release that the protocol speaks of. Every result names its \
protocol, plan, label set, split
digest (over the labelled rows and their roles, the same in every store) and what chose the \
epochs, and `compare-results` says
from these whether two results may be compared.

Training and test never share a group. Where validation rows share speakers or groups with test, \
the rule has its own name
(`partner`, or one that ends in `-shared`), and plan, results and tables say so; so they do where \
training and test share
speakers, as in the official splits of series.

Dialogues without sessions: folds by speaker would tear them, folds by dialogue would share their \
speakers. The default is then
`leave-one-connected-out`, or `connected-kfold:5` with more than ten parts: whatever hangs \
together through a speaker or a dialogue
stays in one role. Where all hangs together, as in a series, there is no such plan, and it is said.

One speaker, or rows of which nobody says who speaks: no plan keeps people apart, and none is \
drawn over single rows. `sentence-kfold:5`
keeps whole what is said in the same words, `recording-kfold:5` what is cut from one file; \
`leave-one-sentence-out` and
`leave-one-recording-out` likewise. Their figures are of known voices: the claim of every output \
is `folds by sentence, not by speaker`.

Dialogues without any label, and speakers where no dialogue is named, play no role in a plan that \
is drawn.
"""
TAIL = """
## What is not here

* Five-fold IEMOCAP with random folds over utterances, and a fifth of the utterances drawn at \
random for testing: dialogues and
  speakers are in training and test. Published, and refused.
* Six-way IEMOCAP as dialogue models report it (7,433 rows): its split is in a pickle, which is \
not read.
* EMO-SUPERB, Odyssey and MSP-Podcast partitions: their lists could not be verified. Folds that \
came with your rows can be used
  as they are: columns `meta_fold_1` and so on, and `--folds given`.
* EmoBox draws validation rows at random from training with a shuffle of its own run; that draw is \
not in its files, so here
  nothing validates where it has no `valid` file.
"""


def page() -> str:
    """Return the page."""
    lines = [
        HEAD,
        "## Protocols",
        "",
        "| name | corpus | folds | validates | label set | test rows per fold | may stand beside | "
        "what | source |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in PROTOCOLS:
        beside = ", ".join(f"`{name}`" for name in row.tests_as)
        lines.append(
            f"| `{row.name}` | {', '.join(row.corpora)} | `{row.plan}` | `{row.valid}` | "
            f"{f'`{row.label_set}`' if row.label_set else 'own'} | "
            f"{' '.join(map(str, row.test_rows)) or '-'} | {beside or '-'} | {row.note} | "
            f"{row.source} |"
        )
    lines += [
        "",
        "*May stand beside*: tests the same rows, and trains or validates on others; to be "
        "compared with caution.",
        "",
        "## Label sets",
        "",
        "| name | corpus | rows | classes | what | source |",
        "|---|---|--:|---|---|---|",
    ]
    for labels in LABELS:
        classes = "; ".join(
            name if raws == (name,) else f"{name} = {' + '.join(raws)}"
            for name, raws in labels.classes.items()
        )
        lines.append(
            f"| `{labels.name}` | {', '.join(labels.corpora) or 'any'} | "
            f"{f'{labels.rows:,}' if labels.rows else '-'} | {classes or 'published name only'} | "
            f"{labels.note} | {labels.source} |"
        )
    return "\n".join(lines) + "\n" + TAIL


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
