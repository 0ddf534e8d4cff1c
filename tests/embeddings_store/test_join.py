"""Several corpora as one.

Nothing of two is taken for one, labels agree, and a recording that is in both is refused.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from classify.commands.run_fusion_grid import main as grid
from embeddings_store.commands.embeddings_store import main
from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, LabelError, LeakError, UsageError
from embeddings_store.exchange.interchange import ImportJob, import_vectors
from embeddings_store.exchange.join import join_corpora
from embeddings_store.folds.setup import Request, set_up
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.hdf5 import read_embeddings, store_path, verify, write_embeddings

WORDS = {
    "one": ("angry", "happy", "neutral", "sad", "calm"),
    "two": ("anger", "joy", "neutral", "sadness", "surprise"),
    "three": ("ang", "exc", "neu", "sad", "xxx"),
}
ROWS = 40


def put(
    store: Path,
    corpus: str,
    *,
    modality: str = "audio",
    encoder: str = "enc",
    inputs: str = "",
    fold: str = "any",
) -> None:
    """Forty rows of eight groups, five raw labels, and vectors that tell the class."""
    rng = np.random.default_rng(len(corpus))
    y = np.arange(ROWS) % 5
    manifest = Manifest.from_columns(
        corpus,
        {
            "id": [f"u{i:02d}" for i in range(ROWS)],
            "label": np.array(WORDS[corpus])[y],
            "audio": [f"{i}.wav" for i in range(ROWS)],
            "text": [f"words {i % 7}" for i in range(ROWS)],
            "speaker": [f"s{i // 5}" for i in range(ROWS)],
            "group": [f"g{i // 5}" for i in range(ROWS)],
            "meta_extra": ["x"] * ROWS,
        },
    )
    manifest.enter(store)
    vectors = (np.eye(5)[y] * 3 + rng.normal(size=(ROWS, 5))).astype(np.float32)
    digests = np.array([f"{inputs or corpus}-{i}" for i in range(ROWS)])
    ref = EncoderRef(encoder, "0" * 12, modality)
    write_embeddings(
        store_path(store, corpus, ref, fold),
        Embeddings(
            manifest.ids,
            vectors,
            np.full(ROWS, "no"),
            np.full(ROWS, "ok"),
            np.full(ROWS, ""),
            ref,
            fold,
            inputs=digests,
        ),
        {
            "corpus": corpus,
            "inputs_digest": manifest.inputs_digest,
            "settings": {"a": 1},
            "provenance": {},
        },
    )


def test_rows_labels_and_vectors_stand_side_by_side(tmp_path: Path) -> None:
    for corpus in WORDS:
        put(tmp_path, corpus)
    put(tmp_path, "one", encoder="other")
    joined = join_corpora(tmp_path, ["one", "two"])
    assert (joined.manifest.name, len(joined.manifest), joined.left_out) == (
        "joined-one-two",
        80,
        ("audio=other@000000000000",),
    )
    assert joined.manifest.ids[[0, 40]].tolist() == ["one:u00", "two:u00"]
    assert joined.manifest.table["speaker"].nunique() == 16
    assert joined.manifest.column("audio")[40] == "two/0.wav"
    assert joined.manifest.codes()[[0, 1, 2, 3, 4, 40, 41, 44]].tolist() == [
        0,
        1,
        2,
        3,
        -1,
        0,
        1,
        -1,
    ]
    [path] = joined.files
    assert verify(path) == []
    again = read_embeddings(path)
    one = read_embeddings(store_path(tmp_path, "one", EncoderRef("enc", "0" * 12, "audio"), "any"))
    assert again.vectors[:ROWS].tobytes() == one.vectors.tobytes()
    setup = set_up(Manifest.load(tmp_path / "joined-one-two"), Request("cross-corpus:two"))
    [fold] = setup.plan
    assert set(setup.view.column("meta_corpus")[fold.mask("test")]) == {"two"}
    assert set(setup.view.column("meta_corpus")[fold.mask("train") | fold.mask("valid")]) == {"one"}
    assert (setup.plan.valid, setup.shared) == ("fifth", "")
    assert fold.counts()["valid"] == 10


def test_the_grid_trains_on_some_and_tests_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for corpus in WORDS:
        put(tmp_path, corpus)
    assert main(["join", "one", "two", "three", "--store", str(tmp_path), "--name", "speech"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        str(tmp_path / "speech" / "enc@000000000000" / "seed-0" / "fold-any.h5")
    ]
    run = [
        "--store",
        str(tmp_path),
        "--corpus",
        "speech",
        "--classifiers",
        "svm",
        "--jobs",
        "1",
        "--out",
        str(tmp_path / "r"),
    ]
    assert grid([*run, "--protocol", "cross-corpus:three"]) == 0
    rows = pd.read_csv(tmp_path / "r" / "grid.csv")
    assert set(rows["protocol"]) == {"cross-corpus:three"}
    assert set(rows["label_set"]) == {"common-4"}
    assert set(rows["n_test"]) == {32}
    assert rows.loc[rows["cell"] == "unimodal audio svm", "WA"].iloc[0] > 0.6
    assert len(set_up(Manifest.load(tmp_path / "speech"), Request()).plan) == 3


@pytest.mark.parametrize(
    ("corpora", "error", "message"),
    [
        (["one"], UsageError, "takes two or more different ones"),
        (["one", "one"], UsageError, "takes two or more different ones"),
        (["one", "nowhere"], UsageError, "unknown corpus 'nowhere'"),
    ],
)
def test_what_cannot_be_joined_is_refused(
    tmp_path: Path, corpora: list[str], error: type[Exception], message: str
) -> None:
    put(tmp_path, "one")
    with pytest.raises(error, match=message):
        join_corpora(tmp_path, corpora)


def test_vectors_of_different_encoders_are_not_joined(tmp_path: Path) -> None:
    put(tmp_path, "one")
    put(tmp_path, "two", encoder="other")
    put(tmp_path, "two", fold="1")
    with pytest.raises(UsageError, match="have no frozen encoder in common"):
        join_corpora(tmp_path, ["one", "two"])


@pytest.mark.parametrize(("modality", "refused"), [("audio", True), ("text", False)])
def test_one_recording_in_two_corpora_is_refused_and_the_same_words_are_not(
    tmp_path: Path, modality: str, refused: bool
) -> None:
    put(tmp_path, "one", modality=modality, inputs="same")
    put(tmp_path, "two", modality=modality, inputs="same")
    if refused:
        with pytest.raises(
            LeakError,
            match=r"40 of 40 rows of 'two' are the same audio .* first 'u00' and 'one:u00'",
        ):
            join_corpora(tmp_path, ["one", "two"])
        assert not (tmp_path / "joined-one-two").exists()
    else:
        assert len(join_corpora(tmp_path, ["one", "two"]).files) == 1


def test_one_recording_is_found_where_only_one_corpus_has_digests(tmp_path: Path) -> None:
    put(tmp_path, "one")
    put(tmp_path, "two")  # of equal length of name, so of equal vectors
    path = store_path(tmp_path, "two", EncoderRef("enc", "0" * 12, "audio"), "any")
    write_embeddings(
        path, replace(read_embeddings(path), inputs=None), read_embeddings(path).attributes
    )
    with pytest.raises(LeakError, match="40 of 40 rows of 'two' are the same audio"):
        join_corpora(tmp_path, ["one", "two"])


def test_a_label_that_the_set_does_not_know_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "one")
    monkeypatch.setitem(WORDS, "two", ("anger", "joy", "neutral", "sadness", "rapture"))
    put(tmp_path, "two")
    with pytest.raises(LabelError, match=r"label 'rapture' .* is not in label set 'common-4'"):
        join_corpora(tmp_path, ["one", "two"])


def test_a_corpus_speaks_in_its_own_classes(tmp_path: Path) -> None:
    put(tmp_path, "one")
    put(tmp_path, "two")
    manifest = Manifest.load(tmp_path / "two")
    own = LabelSet(
        "own",
        ("anger", "joy", "neutral", "sadness"),
        {
            "anger": "anger",
            "joy": "joy",
            "neutral": "neutral",
            "sadness": "sadness",
            "surprise": "joy",
        },
    )
    (tmp_path / "two" / "corpus.json").unlink()
    replace(manifest, labels=own).enter(tmp_path)
    joined = join_corpora(tmp_path, ["one", "two"]).manifest
    assert joined.column("label")[[44, 4]].tolist() == ["joy", "calm"]
    assert joined.codes()[[44, 4]].tolist() == [1, -1]


def test_a_corpus_that_is_not_joined_has_no_corpora_to_hold_out(tmp_path: Path) -> None:
    put(tmp_path, "one")
    with pytest.raises(FoldError, match="make one with embeddings-store join"):
        set_up(Manifest.load(tmp_path / "one"), Request("cross-corpus:two"))


def bring(store: Path, corpus: str, *, encoder: str, width: int = 5) -> Path:
    """Import the vectors of a corpus from a file of its own."""
    rng = np.random.default_rng(sorted(WORDS).index(corpus))
    ids, y = [f"u{i:02d}" for i in range(ROWS)], np.arange(ROWS) % 5
    rows, source = store.parent / f"{corpus}.csv", store.parent / f"{corpus}.npz"
    columns = {"id": ids, "label": np.array(WORDS[corpus])[y], "group": [f"g{i // 5}" for i in y]}
    pd.DataFrame(columns).to_csv(rows, index=False)
    np.savez(source, ids=ids, audio=rng.normal(size=(ROWS, width)).astype(np.float32))
    job = ImportJob(source, store, "none", rows, corpus=corpus, encoder=encoder)
    [path] = import_vectors(job)
    return path


def test_two_imports_of_one_encoder_are_joined_and_their_files_remembered(tmp_path: Path) -> None:
    paths = [bring(tmp_path / "store", corpus, encoder="hubert") for corpus in ("one", "two")]
    [file] = join_corpora(tmp_path / "store", ["one", "two"]).files
    parts = [read_embeddings(path) for path in paths]
    made = read_embeddings(file)
    assert {part.encoder for part in parts} == {made.encoder}
    np.testing.assert_array_equal(made.vectors, np.concatenate([p.vectors for p in parts]))
    sources = made.attributes["provenance"]["sources"]
    assert [source["source"] for source in sources] == ["one.npz", "two.npz"]
    for source, part in zip(sources, parts, strict=True):
        digest = part.attributes["provenance"]["source_digest"]
        assert source["source_digest"] == digest and len(digest) == 64
        assert "source_digest" not in part.attributes["settings"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"encoder": "hubert"}, {"encoder": "wavlm"}),
        ({"encoder": "hubert"}, {"encoder": "hubert", "width": 6}),
        ({"encoder": ""}, {"encoder": ""}),
    ],
    ids=["two names", "two widths", "no name"],
)
def test_imports_that_nothing_says_are_of_one_encoder_are_not_joined(
    tmp_path: Path, first: dict[str, object], second: dict[str, object]
) -> None:
    bring(tmp_path / "store", "one", **first)  # type: ignore[arg-type]
    bring(tmp_path / "store", "two", **second)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="import the vectors of one encoder under one name"):
        join_corpora(tmp_path / "store", ["one", "two"])


KILLED_JOIN = """
import sys, time
from embeddings_store.atomic import PatientFile
from embeddings_store.commands.embeddings_store import main

def stop(file):
    print("ready", flush=True)
    time.sleep(60)

PatientFile.finish = stop
main(["join", "one", "two", "--store", sys.argv[1]])
"""


def test_a_join_that_is_killed_leaves_nothing_for_ever(tmp_path: Path) -> None:
    for corpus in ("one", "two"):
        put(tmp_path, corpus)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_JOIN, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
    assert len(list(tmp_path.rglob("*.tmp"))) == 1
    assert main(["join", "one", "two", "--store", str(tmp_path)]) == 0
    assert list(tmp_path.rglob("*.tmp")) == []
    [path] = (tmp_path / "joined-one-two").rglob("*.h5")
    assert verify(path) == []
