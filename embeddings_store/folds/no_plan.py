"""Says why the columns of a corpus suggest no folds, for the message that asks to choose some."""

from __future__ import annotations

from embeddings_store.corpus.default_protocol import FEWEST
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.folds.apart import WHAT, input_names

BLOCKS = 5


def why_no_plan(manifest: Manifest) -> str:
    """Return what each column that folds could be made from lacks.

    >>> columns = {"id": ["a", "b"], "text": ["x", "y"], "speaker": ["Ann", "Ann"]}
    >>> why_no_plan(Manifest.from_columns("mine", columns))
    "corpus 'mine' suggests no folds: no row names a split, session or group; all rows are of one \
speaker, 'Ann'"
    """
    empty, reasons = [], []
    for column in ("split", "session", "speaker", "group"):
        names = manifest.named_cells(column)
        there = sorted(set(names.tolist()) - {""})
        without = int((names == "").sum())
        if not there:
            empty.append(column)
        elif column == "split":
            reasons.append(
                f"the split is {' or '.join(map(repr, there))}: train and test are both needed"
            )
        elif without:
            reasons.append(f"{without} of {len(names)} rows name no {column}")
        elif len(there) == 1:
            reasons.append(f"all rows are of one {column}, {there[0]!r}")
        else:
            reasons.append(
                f"there are {len(there)} {column}s, and folds take {FEWEST}, or 2 where nothing "
                f"validates (--folds leave-one-{column}-out --valid none)"
            )
    if empty:
        last = f" or {empty[-1]}" if len(empty) > 1 else ""
        reasons.insert(0, f"no row names a {', '.join(empty[:-1] or empty)}{last}")
    return f"corpus {manifest.name!r} suggests no folds: {'; '.join(reasons)}"


def offers(manifest: Manifest) -> str:
    """Return which plans keep at least sentences or recordings apart; empty where none can.

    >>> columns = {"id": ["a", "b", "c"], "text": ["one", "two", "three"], "audio": ["a.wav"] * 3}
    >>> offers(Manifest.from_columns("mine", columns))
    '--folds sentence-kfold:3 tests on people who are trained on, and every result says so'
    """
    found = []
    for what in WHAT:
        names = set(input_names(manifest, what).tolist())
        if "" not in names and len(names) >= FEWEST:
            found.append(f"{what}-kfold:{min(BLOCKS, len(names))}")
    if not found:
        return ""
    return (
        f"--folds {' or '.join(found)} tests on people who are trained on, and every result says so"
    )
