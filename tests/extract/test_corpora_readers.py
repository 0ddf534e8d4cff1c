"""The table of readers, and RAVDESS, EMO-DB, MELD and manifests on generated and real releases."""

from __future__ import annotations

import csv
import pickle
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import (
    LabelError,
    ManifestError,
    UnknownNameError,
    UnsafePathError,
    UsageError,
)
from embeddings_store.folds.rules import make_plan
from extract.corpora import READERS, Note, corpus_names, differences, meld, read_corpus

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def touch(root: Path, names: Iterable[str]) -> Path:
    """Make empty files; readers open no media."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def joined(notes: tuple[str, ...]) -> str:
    return "\n".join(notes)


# --- the table


def test_table_lists_every_reader_with_one_line() -> None:
    assert {
        "avamerg",
        "cremad",
        "demo",
        "emodb",
        "iemocap",
        "manifest",
        "meld",
        "ravdess",
        "reels",
    } <= set(corpus_names())
    for name in corpus_names():
        assert READERS[name].summary and "\n" not in READERS[name].summary
        assert callable(__import__(READERS[name].module, fromlist=["read"]).read)


def test_listing_corpora_imports_no_reader() -> None:
    code = (
        "import sys, extract.corpora as c; [c.READERS[n].summary for n in c.corpus_names()]; "
        "print([m for m in sys.modules if m.startswith('extract.corpora.') and not "
        "m.startswith('extract.corpora._')])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert found.stdout.strip() == "[]"


def test_unknown_corpus_and_option_name_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ravdess'"):
        read_corpus("ravdes", tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean 'odd_media'"):
        read_corpus("meld", tmp_path, odd_medai=True)
    assert READERS["ravdess"].options() == {"channel": "speech", "modality": "all"}
    assert "progress" not in READERS["demo"].options()


def test_options_may_come_as_strings_from_a_command_line(tmp_path: Path) -> None:
    write_meld(tmp_path, "train", [("hi", "Joey", "joy", "125", "3", "0:21:00,049")])
    touch(tmp_path, ["train_splits/dia125_utt3.mp4"])
    assert not read_corpus("meld", tmp_path, odd_media="no").has("video")
    assert read_corpus("meld", tmp_path, odd_media="Yes").has("video")
    with pytest.raises(UsageError, match="odd_media='maybe': yes or no is expected"):
        read_corpus("meld", tmp_path, odd_media="maybe")
    with pytest.raises(UsageError, match="seed='x': a whole number is expected"):
        read_corpus("demo", tmp_path, seed="x")


def test_notes_carry_their_facts_and_are_stored_as_sentences(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "db",
        ["wav/03a01Fa.wav", "wav/16b10Wb.wav", "wav/._03a01Fa.wav", "wav/list.txt", "wav/odd.wav"],
    )
    manifest = read_corpus("emodb", root)
    facts = {
        note.kind: (note.count, note.examples) for note in manifest.notes if isinstance(note, Note)
    }
    assert facts["odd file name skipped"] == (2, ("list.txt", "odd.wav"))
    assert facts["hidden name skipped"] == (1, ("._03a01Fa.wav",))
    manifest.save(tmp_path / "emodb")
    assert Manifest.load(tmp_path / "emodb").notes == manifest.notes
    assert [type(note) for note in Manifest.load(tmp_path / "emodb").notes] == [str] * len(
        manifest.notes
    )
    assert pickle.loads(pickle.dumps(manifest.notes[1])).examples == manifest.notes[1].examples


def test_documented_counts_are_compared_under_their_options(tmp_path: Path) -> None:
    titles = {count.title: count.count for count in READERS["ravdess"].documented(channel="song")}
    assert (
        titles["rows"] == 1012
        and titles["rows with label neutral"] == 92
        and "rows with label disgust" not in titles
    )
    assert sum(count for title, count in titles.items() if "label" in title) == 1012
    manifest = read_corpus("emodb", touch(tmp_path, ["wav/03a01Fa.wav"]))
    notes = differences(manifest, READERS["emodb"].documented())
    assert notes[:2] == (
        "rows: 1, where the full release has 535",
        "different speaker: 1, where the full release has 10",
    )
    assert {note.kind for note in notes} == {"count differs from the full release"} and notes[
        0
    ].count == 534
    with pytest.raises(UnknownNameError, match="did you mean 'channel'"):
        READERS["ravdess"].documented(chanel="song")


@pytest.mark.parametrize(
    ("corpus", "good"),
    [
        ("ravdess", "Actor_01/03-01-05-01-02-01-01.wav"),
        ("emodb", "wav/03a01Fa.wav"),
        ("meld", "train_sent_emo.csv"),
        ("cremad", "AudioWAV/1001_DFA_ANG_XX.wav"),
        ("avamerg", "train.json"),
        ("reels", "datatrain.csv"),
        ("iemocap", "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"),
    ],
)
def test_wrong_roots_say_what_was_expected_and_found(
    corpus: str, good: str, tmp_path: Path
) -> None:
    with pytest.raises(ManifestError, match=r"no such folder.*expected as"):
        read_corpus(corpus, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match="is empty"):
        read_corpus(corpus, tmp_path / "empty")
    (tmp_path / "file").touch()
    with pytest.raises(ManifestError, match="is a file, not a folder"):
        read_corpus(corpus, tmp_path / "file")
    root = touch(tmp_path / "above" / "other" / "release", [good])
    with pytest.raises(ManifestError, match="found 'other'"):
        read_corpus(corpus, tmp_path / "above")
    if corpus != "iemocap":
        with pytest.raises(ManifestError, match=f"try --root {root}"):
            read_corpus(corpus, root.parent)
    if "/" in good:
        with pytest.raises(ManifestError, match=f"try --root {root}"):
            read_corpus(corpus, root / good.split("/")[0])


# --- RAVDESS


def test_ravdess_joins_twins_and_counts_odd_names(tmp_path: Path) -> None:
    root = touch(
        tmp_path,
        [
            "Actor_01/03-01-05-02-02-01-01.wav",
            "Actor_01/01-01-05-02-02-01-01.mp4",
            "Actor_01/02-01-05-02-02-01-01.mp4",
            "Actor_02/01-01-01-01-01-02-02.mp4",
            "Actor_02/02-01-08-01-01-02-02.mp4",
            "Actor_02/03-02-03-01-01-01-02.wav",
            "Actor_02/03-01-09-01-01-01-02.wav",
            "Actor_02/03-01-03-01-01-01-01.wav",
            "Actor_02/._03-01-03-01-01-01-02.wav",
            "Actor_02/notes.txt",
            ".DS_Store",
            "readme.md",
        ],
    )
    manifest = read_corpus("ravdess", root)
    rows = manifest.table.set_index("id")
    assert list(rows.index) == [
        "03-01-05-02-02-01-01",
        "01-01-01-01-01-02-02",
        "02-01-08-01-01-02-02",
    ]
    assert rows["label"].tolist() == ["angry", "neutral", "surprised"]
    assert rows["audio"].tolist() == [
        "Actor_01/03-01-05-02-02-01-01.wav",
        "Actor_02/01-01-01-01-01-02-02.mp4",
        "",
    ]
    assert rows["video"].tolist() == [
        "Actor_01/01-01-05-02-02-01-01.mp4",
        "Actor_02/01-01-01-01-01-02-02.mp4",
        "Actor_02/02-01-08-01-01-02-02.mp4",
    ]
    first = rows.iloc[0]
    assert (first["speaker"], first["group"], first["text"]) == (
        "actor-01",
        "actor-01",
        "Dogs are sitting by the door",
    )
    assert (first["meta_intensity"], first["meta_gender"], first["meta_statement"]) == (
        "strong",
        "male",
        "02",
    )
    assert manifest.labels is not None and manifest.labels.classes[:3] == (
        "neutral",
        "calm",
        "happy",
    )
    notes = joined(manifest.notes)
    for expected in (
        "2 of 24 actors (01, 02), 3 of 1,440 speech clips",
        "actor-02 has 2 clips",
        "2 x odd file name skipped: 'Actor_02/03-01-09-01-01-01-02.wav', 'Actor_02/notes.txt'",
        "2 x hidden name skipped",
        "1 x clip in another actor's folder",
        "1 x clip of the other channel",
        "1 of 3 clips have no audio",
    ):
        assert expected in notes
    assert read_corpus("ravdess", root, channel="song").ids.tolist() == ["03-02-03-01-01-01-02"]
    assert len(read_corpus("ravdess", root, channel="both")) == 4
    with pytest.raises(UnknownNameError, match="did you mean 'speech'"):
        read_corpus("ravdess", root, channel="speach")


def test_ravdess_without_a_clip_of_the_channel_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no song clip"):
        read_corpus(
            "ravdess", touch(tmp_path, ["Actor_01/03-01-05-01-02-01-01.wav"]), channel="song"
        )


@pytest.mark.skipif(not (SHARED / "ravdess").is_dir(), reason="../shared/data/ravdess is not here")
def test_ravdess_real_clips() -> None:
    manifest = read_corpus("ravdess", SHARED / "ravdess")
    assert len(manifest) == 720
    assert manifest.table["speaker"].value_counts().unique().tolist() == [60]
    assert manifest.table["label"].value_counts().max() / 720 == pytest.approx(0.133, abs=1e-3)
    assert manifest.notes == (
        "12 of 24 actors (01, 02, 03, 04, 05, 06, 07, 08, 09, 10, 11, 12), 720 of 1,440 speech "
        "clips",
    )
    assert all((SHARED / "ravdess" / path).is_file() for path in manifest.column("audio"))
    plan = make_plan(manifest)
    assert (plan.name, len(plan), plan.fold(1).name) == ("speaker-kfold:6", 6, "actor-01..actor-02")


# --- EMO-DB


def test_emodb(tmp_path: Path) -> None:
    root = touch(
        tmp_path,
        [
            "wav/03a01Fa.wav",
            "wav/16b10Wb.wav",
            "wav/08a02Tc.wav",
            "wav/._03a01Fa.wav",
            "wav/99a01Fa.wav",
            "wav/03a03Fa.wav",
            "wav/list.txt",
            "erkennung.txt",
        ],
    )
    manifest = read_corpus("emodb", root)
    assert manifest.ids.tolist() == ["03a01Fa", "08a02Tc", "16b10Wb"]
    assert manifest.column("label").tolist() == ["happiness", "sadness", "anger"]
    assert (
        manifest.row(0).text == "Der Lappen liegt auf dem Eisschrank."
        and manifest.row(0).language == "de"
    )
    assert manifest.table["meta_gender"].tolist() == ["male", "female", "female"]
    assert manifest.labels is not None and len(manifest.labels.classes) == 7
    assert "3 x odd file name skipped: '03a03Fa.wav', '99a01Fa.wav', 'list.txt'" in joined(
        manifest.notes
    )
    assert "3 of 10 speakers, 3 of 535 clips" in joined(manifest.notes)
    assert manifest.protocol == "leave-one-speaker-out"


# --- MELD


def write_meld(
    root: Path, split: str, rows: list[tuple[str, str, str, str, str, str]], encoding: str = "utf-8"
) -> None:
    """Write one table of (utterance, speaker, emotion, dialogue, utterance number, end time)."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"{split}_sent_emo.csv").open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Sr No.", *meld.COLUMNS])
        for number, (text, speaker, emotion, dialogue, utterance, end) in enumerate(rows, start=1):
            writer.writerow(
                [
                    number,
                    text,
                    speaker,
                    emotion,
                    "neutral",
                    dialogue,
                    utterance,
                    4,
                    7,
                    "00:20:57,256",
                    end,
                ]
            )


def test_meld_with_media(tmp_path: Path) -> None:
    late = "0:21:00,049"
    write_meld(
        tmp_path,
        "train",
        [
            ("It\u2019s me, \u201chi\u201d", "Joey", "joy", "0", "0", late),
            ("No", "Ross", "anger", "125", "3", late),
        ],
        encoding="cp1252",
    )
    write_meld(tmp_path / "dev", "dev", [("What?", "Joey", "surprise", "0", "0", "00:20:57,256")])
    write_meld(
        tmp_path,
        "test",
        [("Ok", "Joey", "neutral", "0", "0", "soon"), ("Ah", "Ross", "fear", "0", "1", late)],
    )
    touch(
        tmp_path,
        [
            "train_splits/dia0_utt0.mp4",
            "train_splits/dia125_utt3.mp4",
            "train_splits/._dia0_utt0.mp4",
            "dev/dev_splits_complete/dia0_utt0.mp4",
            "dev/dev_splits_complete/dia0_utt0.wav",
            "dev/dev_splits_complete/dia66_utt9.mp4",
            "output_repeated_splits_test/dia0_utt0.mp4",
            "output_repeated_splits_test/final_videos_testdia0_utt0.mp4",
        ],
    )
    manifest = read_corpus("meld", tmp_path)
    rows = manifest.table.set_index("id")
    assert list(rows.index) == [
        "train_dia0_utt0",
        "train_dia125_utt3",
        "valid_dia0_utt0",
        "test_dia0_utt0",
        "test_dia0_utt1",
    ]
    assert rows["text"].iloc[0] == "It\u2019s me, \u201chi\u201d"
    assert rows["group"].tolist() == [
        "train_dia0",
        "train_dia125",
        "valid_dia0",
        "test_dia0",
        "test_dia0",
    ]
    assert rows["split"].tolist() == ["train", "train", "valid", "test", "test"]
    assert rows["video"].tolist() == [
        "train_splits/dia0_utt0.mp4",
        "",
        "dev/dev_splits_complete/dia0_utt0.mp4",
        "output_repeated_splits_test/dia0_utt0.mp4",
        "",
    ]
    assert rows["audio"].iloc[2] == "dev/dev_splits_complete/dia0_utt0.wav"
    assert rows["meta_episode_end_s"].iloc[0] == 1260.049 and np.isnan(rows["start_s"]).all()
    notes = joined(manifest.notes)
    for expected in (
        "read as cp1252: 'train_sent_emo.csv'",
        "clip without a row: 'valid_dia66_utt9'",
        "hidden name skipped: '._dia0_utt0.mp4'",
        "second version of a clip skipped: "
        "'output_repeated_splits_test/final_videos_testdia0_utt0.mp4'",
        "train_dia125_utt3 (corrupt media)",
        "row with an unreadable time: 'test_dia0_utt0'",
        "row without a duration: 'valid_dia0_utt0'",
        "1 of 2 test rows have no media: 'test_dia0_utt1'",
        "2 rows, the release has 9,989",
        "2 speakers",
    ):
        assert expected in notes
    assert (
        read_corpus("meld", tmp_path, odd_media=True).row(1).video == "train_splits/dia125_utt3.mp4"
    )


def test_meld_refuses_what_is_no_meld_table(tmp_path: Path) -> None:
    (tmp_path / "train_sent_emo.csv").write_text("Utterance,Emotion\nhi,joy\n", encoding="utf-8")
    with pytest.raises(ManifestError, match="lacks the column 'Speaker'"):
        read_corpus("meld", tmp_path)
    write_meld(tmp_path, "train", [("hi", "Joey", "jou", "0", "0", "0:21:00,049")])
    with pytest.raises(LabelError, match="did you mean 'joy'"):
        read_corpus("meld", tmp_path)
    path = tmp_path / "train_sent_emo.csv"
    path.write_text(path.read_text(encoding="utf-8") + "2,short\n", encoding="utf-8")
    with pytest.raises(ManifestError, match="row 2 has another number of cells"):
        read_corpus("meld", tmp_path)


@pytest.mark.skipif(not (SHARED / "meld").is_dir(), reason="../shared/data/meld is not here")
def test_meld_real_tables() -> None:
    manifest = read_corpus("meld", SHARED / "meld")
    assert manifest.table["split"].value_counts().to_dict() == {
        "train": 9989,
        "valid": 1109,
        "test": 2610,
    }
    assert differences(manifest, READERS["meld"].documented()) == ()
    assert (
        not manifest.has("audio")
        and not manifest.has("video")
        and (manifest.column("text") != "").all()
    )
    assert not np.isnan(manifest.table["meta_episode_start_s"]).any()
    assert "1 x row without a duration: 'test_dia155_utt3'" in manifest.notes
    assert (
        "69 speakers of the official test split also speak in its training split" in manifest.notes
    )
    assert make_plan(manifest).fold(1).counts() == {
        "unused": 0,
        "train": 9989,
        "valid": 1109,
        "test": 2610,
    }


# --- any manifest


def test_manifest_reader(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(
        "id,label,audio,speaker\na,sad,x/a.wav,1\nb,happy,x/b.wav,2\n", encoding="utf-8"
    )
    assert read_corpus("manifest", table).name == "mine"
    assert read_corpus("manifest", table, name="ours").root == tmp_path
    with pytest.raises(ManifestError, match=r"none of manifest\.csv"):
        read_corpus("manifest", tmp_path)
    table.rename(tmp_path / "manifest.csv")
    assert len(read_corpus("manifest", tmp_path)) == 2
    (tmp_path / "x.txt").touch()
    with pytest.raises(ManifestError, match="is not a table"):
        read_corpus("manifest", tmp_path / "x.txt")
    table.write_text("id,label,audio\na,sad,../a.wav\nb,glad,b.wav\n", encoding="utf-8")
    with pytest.raises(UnsafePathError):
        read_corpus("manifest", table)


def test_manifest_reader_takes_leak_tags(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("id,text,meta_age,meta_cause,meta_x\na,oh,3,loss,1\n", encoding="utf-8")
    manifest = read_corpus("manifest", table, safe="meta_age", leaky="meta_cause")
    assert manifest.tagged("safe") == ("meta_age",) and manifest.tagged("leaky", "unknown") == (
        "meta_cause",
        "meta_x",
    )
    with pytest.raises(ManifestError, match=r"mine\.csv.*did you mean 'meta_age'"):
        read_corpus("manifest", table, safe="meta_aeg")
    with pytest.raises(UsageError, match="both context and leaky"):
        read_corpus("manifest", table, context="meta_x", leaky="meta_x")


def test_readers_tag_every_metadata_column(tmp_path: Path) -> None:
    write_meld(tmp_path / "meld", "train", [("hi", "Joey", "joy", "0", "0", "0:21:00,049")])
    touch(tmp_path, ["ravdess/Actor_01/03-01-05-01-02-01-01.wav", "emodb/wav/03a01Fa.wav"])
    for corpus in ("meld", "ravdess", "emodb"):
        assert read_corpus(corpus, tmp_path / corpus).tagged("unknown") == ()
    assert read_corpus("meld", tmp_path / "meld").tagged("leaky") == ("meta_sentiment",)
