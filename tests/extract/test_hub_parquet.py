"""Datasets as the Hugging Face hub serves them: Parquet tables with the sound inside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, ProjectError, UnsafePathError, UsageError
from embeddings_store.folds.rules import make_plan
from extract.corpora import read_corpus

SHARED = Path(__file__).resolve().parents[3] / "shared" / "cases" / "hub-parquet" / "IEMOCAP"
FIRST, SECOND = "data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"
CLASSES = ["angry", "calm"]


def table(start: int = 0, **changes: object) -> pa.Table:
    """Six rows of three speakers, with the note on columns that the library leaves."""
    rows = range(start, start + 6)
    columns: dict[str, object] = {
        "audio": [{"bytes": b"sound %d" % i, "path": f"{i}.wav"} for i in rows],
        "emotion": [i % 2 for i in rows],
        "transcription": [f"words {i}" for i in rows],
        "speaker_id": [i % 3 for i in rows],
        "EmoAct": [2.5] * 6,
        "face": [{"bytes": b"picture", "path": "face.png"}] * 6,
        "vector": [[0.5, 1.0]] * 6,
    }
    columns |= changes
    made = pa.table({name: column for name, column in columns.items() if column is not None})
    features = {
        "audio": {"_type": "Audio"},
        "emotion": {"_type": "ClassLabel", "names": CLASSES},
        "face": {"_type": "Image"},
    }
    note = json.dumps({"info": {"features": features}})
    return made.replace_schema_metadata({"huggingface": note})


def snapshot(root: Path, tables: dict[str, pa.Table]) -> Path:
    """Write the tables of a snapshot."""
    for name, content in tables.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(content, root / name)
    return root


def test_a_snapshot_is_read_with_its_sound_and_classes(tmp_path: Path) -> None:
    root = snapshot(tmp_path / "moods", {FIRST: table(), SECOND: table(6)})
    manifest = read_corpus("huggingface", root)
    assert manifest.name == "moods"
    assert manifest.row(7).label == "calm"
    assert (manifest.row(7).text, manifest.row(7).speaker) == ("words 7", "1")
    assert manifest.table["meta_EmoAct"].tolist() == [2.5] * 12
    assert not {"meta_face", "meta_vector"} & set(manifest.table)
    assert manifest.root == root / "media"
    assert (root / "media" / manifest.row(11).audio).read_bytes() == b"sound 11"
    # All rows are of the split train, so the folds go by speaker.
    assert make_plan(manifest).name == "leave-one-speaker-out"
    assert read_corpus("huggingface", root).digest == manifest.digest


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/cases/hub-parquet is not here")
def test_a_snapshot_of_the_hub_names_what_has_to_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"it has file, audio, major_emotion, .*label=major_emoti"):
        read_corpus("huggingface", SHARED)
    manifest = read_corpus("huggingface", SHARED, label="major_emotion", media=str(tmp_path))
    assert len(manifest) == 40
    assert manifest.labels is not None
    assert manifest.labels.classes == ("angry", "happy", "neutral", "sad")
    assert "name it with --corpus-option speaker=COLUMN" in " ".join(manifest.notes)
    with pytest.raises(ProjectError, match=r"the split is 'train': .*; fill one of these columns"):
        make_plan(manifest)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["data/train.parquet", "data/moods_test.parquet"], ["test"] * 6 + ["train"] * 6),
        (["default/test/0000.parquet", "default/validation/0000.parquet"], None),
        (["data/fold1-00000-of-00001.parquet", "data/fold2-00000-of-00001.parquet"], [""] * 12),
    ],
)
def test_the_split_is_what_the_path_says(
    names: list[str], splits: list[str] | None, tmp_path: Path
) -> None:
    root = snapshot(tmp_path, {names[0]: table(), names[1]: table(6)})
    manifest = read_corpus("huggingface", root, media=str(tmp_path / "m"))
    wanted = splits or ["test"] * 6 + ["validation"] * 6
    assert manifest.table["split"].tolist() == wanted
    if not any(wanted):
        assert manifest.table["meta_split"].tolist() == ["fold1"] * 6 + ["fold2"] * 6
        assert "2 x split that is no role of a fold" in " ".join(manifest.notes)


def _without(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def _pointer(root: Path) -> None:
    (root / SECOND).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")


def _link(root: Path) -> None:
    (root / SECOND).rename(root.parent / "elsewhere.parquet")
    (root / SECOND).symlink_to(root.parent / "elsewhere.parquet")


def _torn(root: Path) -> None:
    (root / SECOND).write_bytes((root / FIRST).read_bytes()[:200])


def _code_of_no_class(root: Path) -> None:
    parquet.write_table(table(6, emotion=[0, 1, -1, 1, 0, 2]), root / SECOND)


def _code_of_half_a_class(root: Path) -> None:
    codes = [0.0, 1.0, 0.5, 1.0, 0.0, 1.0]
    parquet.write_table(table(6, emotion=codes), root / SECOND)


def _other_columns(root: Path) -> None:
    parquet.write_table(table(EmoAct=None), root / SECOND)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (
            _without(SECOND),
            ManifestError,
            r"split 'train' has the tables train-00000.*expected are 2",
        ),
        (_pointer, ManifestError, "is a Git-LFS pointer.*run git lfs pull"),
        (_link, UnsafePathError, "leads out of the dataset's folder"),
        (_torn, ManifestError, f"{SECOND}: cannot be read as a Parquet table"),
        (_code_of_no_class, ManifestError, "'emotion' holds the code 2, and .* names 2 classes"),
        (_code_of_half_a_class, ManifestError, "'emotion' holds the code 0.0, and .* 2 classes"),
        (_other_columns, ManifestError, r"has other columns than train-00000.*'EmoAct'"),
    ],
)
def test_a_table_that_is_not_as_it_was_served_is_told(
    spoil: Callable[[Path], None], error: type[ProjectError], message: str, tmp_path: Path
) -> None:
    root = snapshot(tmp_path / "moods", {FIRST: table(), SECOND: table(6)})
    spoil(root)
    with pytest.raises(error, match=message):
        read_corpus("huggingface", root)


def test_tables_in_the_hubs_cache_are_links_to_its_blobs(tmp_path: Path) -> None:
    home = tmp_path / "datasets--me--moods"
    snapshot(home / "blobs", {"1f": table()})
    root = home / "snapshots" / "3c"
    (root / "data").mkdir(parents=True)
    (root / "data" / "train-00000-of-00001.parquet").symlink_to("../../../blobs/1f")
    assert read_corpus("huggingface", root).name == "me--moods"


def test_one_of_several_variants_is_named(tmp_path: Path) -> None:
    root = snapshot(tmp_path, {"de/train.parquet": table(), "en/train.parquet": table(6)})
    with pytest.raises(UsageError, match=r"2 variants of the dataset \(de, en\)"):
        read_corpus("huggingface", root)
    assert read_corpus("huggingface", root, config="en").row(0).text == "words 6"


def test_the_chosen_label_is_not_hidden_by_a_column_of_that_name(tmp_path: Path) -> None:
    columns = {"mood": ["sad", "glad"] * 3, "label": ["x", "y"] * 3, "emotion": None}
    root = snapshot(tmp_path, {"train.parquet": table(**columns)})
    manifest = read_corpus("huggingface", root, label="mood")
    assert (
        manifest.table[["label", "meta_label"]].to_numpy().tolist()
        == [
            ["sad", "x"],
            ["glad", "y"],
        ]
        * 3
    )


@pytest.mark.parametrize("path", ["C:\\wav\\a.wav", "/home/me/a.wav", "../a.wav", "a:b.wav", None])
def test_a_sound_whose_own_path_is_no_path_here_gets_one(path: str | None, tmp_path: Path) -> None:
    sounds = [{"bytes": b"sound %d" % i, "path": path} for i in range(6)]
    root = snapshot(tmp_path / "moods", {"train.parquet": table(audio=sounds)})
    manifest = read_corpus("huggingface", root)
    found = [(root / "media" / name).read_bytes() for name in manifest.table["audio"]]
    assert found == [b"sound %d" % i for i in range(6)]
    assert sorted(tmp_path.iterdir()) == [root]


def test_a_corpus_without_labels_comes_back_from_save_to_disk(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="the extra 'interchange' is not installed")
    from extract.corpora.huggingface import write

    columns: dict[str, object] = {"id": ["a", "b"], "text": ["oh", "yes"]}
    write(Manifest.from_columns("mine", columns), tmp_path / "saved", None)
    assert read_corpus("huggingface", tmp_path / "saved").labels is None


def test_several_labels_in_a_row_are_refused_and_votes_are_counted(tmp_path: Path) -> None:
    root = snapshot(tmp_path / "many", {"train.parquet": table(labels=[[0, 1]] * 6, emotion=None)})
    with pytest.raises(ManifestError, match="column 'labels' holds several labels in a row"):
        read_corpus("huggingface", root)
    votes = {"vote_sad": [2, 0, 1, 3, 0, 0], "vote_glad": [1, 3, 1, 0, 2, 1], "emotion": None}
    root = snapshot(tmp_path / "votes", {"train.parquet": table(**votes)})
    manifest = read_corpus("huggingface", root)
    assert manifest.table["label"].tolist() == ["sad", "glad", "", "sad", "glad", "glad"]
    assert manifest.table["meta_vote_sad"].tolist() == votes["vote_sad"]
