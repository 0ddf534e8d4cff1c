"""Does ``grid.csv`` say what ``predictions.parquet`` says? Figures are computed from the answers.

A paper is made of ``grid.csv``, which anybody can edit; the answers that its figures follow from
lie beside it. Every reader of a results folder asks here first.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from classify.claim import CLAIM, Claim
from classify.evaluation.metrics import COMPLETENESS, METRICS, completeness, of_counts
from classify.evaluation.result_files import AGAIN, GRID, PREDICTIONS
from embeddings_store.errors import StoreError, StoreMismatchError
from embeddings_store.reading import is_file, reading

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ANSWERS = "the answers of a run"
KEY = ("cell", "fold", "seed", "encoder_seed")
LABELS = ("y_true", "y_pred")
SCORE = "score:"
CLOSE = 1e-9  # figures of the same answers differ by rounding alone

Codes = NDArray[np.int64]


def check_folder(folder: Path, grid: pd.DataFrame) -> None:
    """Check the rows of ``grid.csv`` against the answers in the same folder, if there are any.

    Args:
        folder: The results.
        grid: The rows of its ``grid.csv``, figures as words or numbers.

    Raises:
        StoreMismatchError: A figure, a row too many or a lost row is told by its cell and fold.
        StoreError: The answers are damaged.
    """
    path = folder / PREDICTIONS
    if is_file(path):
        answers = read_test_labels(path)
        check_claim(path, grid)
        check_agreement(path, grid, answers)


def read_test_labels(path: Path) -> pa.Table:
    """Read which cell gave which test row which label; nothing else of a large file.

    Raises:
        StoreError: The file is damaged, or lacks what it must have.
    """
    import pyarrow.parquet as pq

    with reading(path, ANSWERS, AGAIN, StoreError):
        schema = pq.read_schema(path)
        check_columns(path, schema)
        wanted = [name for name in (*KEY, *LABELS) if name in schema.names]
        table = pq.read_table(path, columns=wanted, filters=[("role", "==", "test")])
        table.validate(full=True)  # Arrow reads text without looking whether it is UTF-8
        check_answers(path, table, schema.names)
        return table


def check_columns(path: Path, schema: pa.Schema) -> None:
    """Check that a file of answers has the columns that every reader takes.

    Args:
        path: The file, for the message.
        schema: Its columns.

    Raises:
        StoreError: One is absent, or does not hold the numbers or words that it must.
    """
    import pyarrow as pa

    scores = [name for name in schema.names if name.startswith(SCORE)]
    needed = ("id", "role", "kind", "cell", "fold", *LABELS)
    absent = [name for name in needed if name not in schema.names]
    twice = [name for name in schema.names if schema.names.count(name) > 1]
    why = ""
    if twice:
        why = f"it has the column {twice[0]!r} twice"
    elif absent or not scores:
        why = f"it has no column {[*absent, 'score:CLASS'][0]!r}"
    elif not pa.types.is_integer(schema.field("fold").type):
        why = "its column 'fold' holds no whole numbers"
    else:
        words = [name for name in scores if not pa.types.is_floating(schema.field(name).type)]
        strange = [field.name for field in schema if not _is_plain(field.type)]
        strange += [name for name in needed if name != "fold" and not _is_text(schema, name)]
        if words:
            why = f"its column {words[0]!r} holds no numbers"
        elif strange:
            why = f"its column {strange[0]!r} holds {schema.field(strange[0]).type}, not words"
    if why:
        raise StoreError(f"{path}: is not {ANSWERS} ({why}); {AGAIN}")


def check_answers(path: Path, answers: pa.Table, columns: Sequence[str]) -> None:
    """Check that answers have no empty cell, and that each of their classes has scores.

    Args:
        path: The file of answers, for the message.
        answers: The test rows, with their labels.
        columns: The names of the file's columns.

    Raises:
        StoreError: A cell is empty, or a class has no column of scores.
    """
    for name in answers.column_names:
        if answers[name].null_count:
            raise StoreError(
                f"{path}: is not {ANSWERS} (its column {name!r} has an empty cell); {AGAIN}"
            )
    for name in LABELS:
        for word in _coded(answers[name])[1]:
            if f"{SCORE}{word}" not in columns:
                raise StoreError(
                    f"{path}: is not {ANSWERS} (its column {name!r} holds {word!r}, and no column "
                    f"is {SCORE}{word}); {AGAIN}"
                )


def _is_plain(kind: pa.DataType) -> bool:
    """Say whether a column holds words, perhaps as codes, or numbers."""
    import pyarrow as pa

    return _is_words(kind) or bool(pa.types.is_primitive(kind) or pa.types.is_null(kind))


def _is_text(schema: pa.Schema, name: str) -> bool:
    return _is_words(schema.field(name).type)


def _is_words(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def check_claim(path: Path, grid: pd.DataFrame) -> None:
    """Check that ``grid.csv`` does not claim more than the file of answers was written with.

    Args:
        path: The file of answers.
        grid: The rows of ``grid.csv``.

    Raises:
        StoreMismatchError: A reason why the figures are no plain result is gone.
    """
    import pyarrow.parquet as pq

    with reading(path, ANSWERS, AGAIN, StoreError):
        about = pq.read_schema(path).metadata or {}
    answers, written = Claim.read(about.get(CLAIM.encode(), b"").decode()), Claim.of_rows(grid)
    lost = [reason for reason in answers.reasons if reason not in written.reasons]
    if lost:
        raise StoreMismatchError(
            f"{path.parent / GRID}: its column {CLAIM!r} says {written.text!r}, but {path.name} "
            f"was written as {answers.text!r}; the table was changed: {AGAIN}"
        )


def check_agreement(path: Path, grid: pd.DataFrame, answers: pa.Table) -> None:
    """Check the rows of ``grid.csv`` against test answers.

    Args:
        path: The file of answers, for messages.
        grid: The rows of ``grid.csv``.
        answers: The test rows of ``predictions.parquet``.

    Raises:
        StoreMismatchError: The two do not agree.
    """
    key = [name for name in KEY if name in grid and name in answers.column_names]
    computed = _figures(answers, key)
    written = grid.assign(**{name: _as_words(grid[name]) for name in key})
    both = written.merge(computed, how="outer", on=key, suffixes=("", " computed"), indicator=True)
    several = [name for name in key[1:] if name == "fold" or both[name].nunique() > 1]
    wrong = []
    for _, row in both[both["_merge"] != "both"].iterrows():
        if row["_merge"] == "right_only":
            wrong.append(f"{_named(row, several)} is in {path.name} and not in {GRID}")
        elif _is_asked(row):
            wrong.append(f"{_named(row, several)} is in {GRID} and not in {path.name}")
    wrong += _other_figures(both[both["_merge"] == "both"], several, path)
    if wrong:
        more = f" (and {len(wrong) - 1} more differences)" if len(wrong) > 1 else ""
        raise StoreMismatchError(
            f"{path.parent / GRID}: {wrong[0]}{more}; the table was changed, cut, or is of another "
            f"run: {AGAIN}"
        )


def _is_asked(row: pd.Series) -> bool:
    """Say whether a row of the grid has answers: a cell may meet no row that it can answer."""
    return not ("n_scored" in row and row["n_scored"] in ("0", 0))


def _other_figures(both: pd.DataFrame, several: Sequence[str], path: Path) -> list[str]:
    """Say which figures differ from those of the answers."""
    import pandas as pd

    wrong = []
    both = _with_completeness(both)
    for name in ("n_scored", *METRICS, *COMPLETENESS):
        if name not in both or f"{name} computed" not in both:
            continue
        figures = pd.to_numeric(both[name], errors="coerce").to_numpy(dtype=float)
        found = both[f"{name} computed"].to_numpy(dtype=float)
        differ = ~(np.abs(figures - found) <= CLOSE)
        for place in np.flatnonzero(differ):
            row = both.iloc[place]
            wrong.append(
                f"{_named(row, several)}: {name} is {row[name]}, but the answers in {path.name} "
                f"give {found[place]:.6g}"
            )
    return wrong


def _with_completeness(both: pd.DataFrame) -> pd.DataFrame:
    """Add what coverage and WA_all are of so many answers to the rows that the plan tests."""
    import pandas as pd

    if "n_test" not in both or not len(both):
        return both
    n_test = pd.to_numeric(both["n_test"], errors="coerce")
    figures = completeness(both["WA computed"], both["n_scored computed"], n_test)
    computed = {
        f"{name} computed": value for name, value in zip(COMPLETENESS, figures, strict=True)
    }
    return both.assign(**computed)


def _figures(answers: pa.Table, key: Sequence[str]) -> pd.DataFrame:
    """Return one row per key with the number of answers and every metric, computed from labels."""
    import pandas as pd

    columns = [_coded(answers[name]) for name in key]
    group = np.zeros(answers.num_rows, dtype=np.int64)
    for codes, words in columns:
        group = group * max(1, len(words)) + codes
    present, place = np.unique(group, return_inverse=True)
    counts = _confusions(answers, place, len(present))
    found = pd.DataFrame({"n_scored computed": counts.sum((-1, -2))})
    for name, values in of_counts(counts).items():
        found[f"{name} computed"] = values
    for name, (_, words) in zip(reversed(key), reversed(columns), strict=True):
        size = max(1, len(words))
        found[name] = np.asarray(words, dtype=object)[present % size]
        present = present // size
    return found


def _confusions(answers: pa.Table, group: Codes, n_groups: int) -> Codes:
    """Return one confusion (G, C, C) per group, the classes in any order."""
    (true, true_words), (given, given_words) = (_coded(answers[name]) for name in LABELS)
    classes = {word: code for code, word in enumerate(dict.fromkeys([*true_words, *given_words]))}
    n = len(classes)
    to_class = [
        np.array([classes[w] for w in ws], dtype=np.int64) for ws in (true_words, given_words)
    ]
    cell = group * n * n
    if len(group):
        cell = cell + to_class[0][true] * n + to_class[1][given]
    return np.bincount(cell, minlength=n_groups * n * n).reshape(n_groups, n, n)


def _coded(column: pa.ChunkedArray) -> tuple[Codes, list[str]]:
    """Return codes (n,) and words of a column, those of numbers as they are written in a table."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], column.type)
    codes = whole.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, [str(word) for word in whole.dictionary.to_pylist()]


def _as_words(column: pd.Series) -> pd.Series:
    """Return numbers as the words that whole numbers are written as, words as they are."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.map(lambda number: str(int(number)) if number == number else "")
    return column.astype(str)


def _named(row: pd.Series, several: Sequence[str]) -> str:
    """Name a cell with its fold, and with its seeds where there are several."""
    others = [f"{name.replace('_', ' ')} {row[name]}" for name in several]
    return ", ".join([str(row["cell"]), *others])
