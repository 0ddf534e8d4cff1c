"""Votes are kept as metadata, their majority is the label; several labels at once are refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.corpus.scan import scan_manifest
from embeddings_store.errors import ManifestError

WORDS = {
    "vote_1": ["sad", "sad", "calm", ""],
    "vote_2": ["sad", " calm", "calm", ""],
    "vote_3": ["calm", "", "sad", ""],
}
NUMBERS = {"vote_sad": ["2", "1", "1", ""], "vote_calm": ["1", "1", "2", "0"]}


def written(folder: Path, columns: dict[str, list[str]]) -> Path:
    rows = len(next(iter(columns.values())))
    table = pd.DataFrame({"id": [f"u{i}" for i in range(rows)], "text": "t", **columns})
    table.to_csv(folder / "rows.csv", index=False)
    return folder / "rows.csv"


@pytest.mark.parametrize(("votes", "meaning"), [(WORDS, "is a rater"), (NUMBERS, "is a class")])
def test_the_majority_of_votes_is_the_label(
    votes: dict[str, list[str]], meaning: str, tmp_path: Path
) -> None:
    path = written(tmp_path, votes)
    manifest = Manifest.read(path)
    assert manifest.table["label"].tolist() == ["sad", "", "calm", ""]
    for name, cells in votes.items():
        assert manifest.table[f"meta_{name}"].tolist() == cells
        assert manifest.tag(f"meta_{name}") == "leaky"
    (note,) = manifest.notes
    assert meaning in note
    assert "the label is the class with more votes than any other; 1 row ties, 1 row has" in note
    scan = scan_manifest(path, batch_rows=1)
    assert scan.problems == () and scan.words["label"].counts == {"sad": 1, "calm": 1}


def test_a_label_of_its_own_counts_and_the_votes_are_kept(tmp_path: Path) -> None:
    manifest = Manifest.read(written(tmp_path, WORDS | {"label": ["calm", "calm", "sad", ""]}))
    assert manifest.table["label"].tolist() == ["calm", "calm", "sad", ""]
    assert manifest.table["meta_vote_1"].tolist() == WORDS["vote_1"]
    assert "the label is the table's own column" in manifest.notes[0]


@pytest.mark.parametrize(
    ("votes", "message"),
    [
        (WORDS | {"vote_4": ["1", "", "", ""]}, "'vote_4' holds '1': votes are words in some"),
        ({"vote_sad": ["2", "many", "1", ""]}, "'vote_sad' holds '2': votes are words in some"),
        (
            WORDS | {"vote_1": ["sad;calm", "sad", "", ""]},
            "'sad;calm', several labels of one",
        ),
        ({"vote_1": ["3", "2", "3", "1"]}, "'vote_1' is called like a rater and holds numbers"),
        ({"vote_sad": ["2", "-1", "0", "0"]}, r"0 or more; it holds -1"),
        ({"vote_sad": ["inf", "1", "0", "0"]}, r"0 or more; it holds inf"),
        (WORDS | {"meta_vote_1": [""] * 4}, "'meta_vote_1' is there beside 'vote_1'"),
    ],
)
def test_votes_that_can_be_read_in_two_ways_are_refused(
    votes: dict[str, list[str]], message: str, tmp_path: Path
) -> None:
    path = written(tmp_path, votes)
    for read in (Manifest.read, scan_manifest):
        with pytest.raises(ManifestError, match=message):
            read(path)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["sad", "calm;sad", "calm", "sad;calm"], r"'calm;sad' and 1 more \(2 rows\) look like"),
        (["sad", "calm", "sad, calm", "sad"], r"'sad, calm' \(1 row\) looks like several labels"),
    ],
)
def test_several_labels_in_a_row_are_refused_with_what_to_do(
    labels: list[str], message: str, tmp_path: Path
) -> None:
    path = written(tmp_path, {"label": labels})
    with pytest.raises(ManifestError, match=rf"{message}.* a column vote_NAME") as refusal:
        Manifest.read(path)
    (problem,) = scan_manifest(path, batch_rows=1).problems
    assert str(refusal.value) == f"{path}: {problem.sentence}"
