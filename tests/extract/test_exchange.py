"""Corpora in other projects' formats.

Written here, read by those projects' own libraries and by our readers alike.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, UnknownNameError, UnsafePathError, UsageError
from embeddings_store.folds.plan import ROLES
from embeddings_store.folds.rules import make_plan
from extract.commands.convert_corpus import convert, main
from extract.corpora import format_names, huggingface, read_corpus
from extract.corpora._exchange import rows_of

FOUR = LabelSet(
    "four",
    ("sadness", "anger", "happiness"),
    {"ang": "anger", "exc": "happiness", "hap": "happiness", "sad": "sadness"},
    frozenset({"xxx"}),
)
FORMATS = ("audformat", "emobox", "huggingface", "manifest", "s3prl", "speechbrain")
KEPT = [
    "label",
    "speaker",
    "group",
    "session",
    "language",
    "text",
    "audio",
    "start_s",
    "end_s",
    "meta_age",
    "meta_note",
]
TEXTS = ('so {called} "life"', "naïve, 学", "", "{data_root}/x", "two\nlines", "plain")


def corpus(root: Path, **changes: object) -> Manifest:
    """Twelve rows of three speakers: eight files of their own, four parts of one film's sound."""
    root.mkdir(parents=True, exist_ok=True)
    tone = 0.1 * np.sin(np.arange(8000) / 9).astype(np.float32)
    for name in [f"wav {i}/{{u}}{i}.wav" for i in range(8)] + ["film.flac"]:
        (root / name).parent.mkdir(exist_ok=True)
        soundfile.write(
            root / name, np.tile(tone, 4) if "film" in name else tone[: 4000 + len(name)], 8000
        )
    columns: dict[str, object] = {
        "id": [f"u{i:02d}" for i in range(12)],
        "label": ["ang", "exc", "hap", "sad"] * 3,
        "speaker": [f"s{i % 3}" for i in range(12)],
        "session": [f"Ses{i % 3}" for i in range(12)],
        "group": [f"g{i % 3}" for i in range(12)],
        "language": ["en", "de"] * 6,
        "text": [TEXTS[i % 6] for i in range(12)],
        "audio": [f"wav {i}/{{u}}{i}.wav" for i in range(8)] + ["film.flac"] * 4,
        "start_s": [np.nan] * 8 + [0.0, 1.0, 2.0, 3.0],
        "end_s": [np.nan] * 8 + [0.5, 1.25, 2.125, 3.5],
        "meta_age": [20.5 + i for i in range(12)],
        "meta_note": ["", "n"] * 6,
    }
    return Manifest.from_columns(
        "mine", columns | changes, labels=FOUR, protocol="leave-one-session-out", root=root
    )


def whole(manifest: Manifest) -> Manifest:
    """The rows that are whole files, which is all that some formats know."""
    return replace(
        manifest,
        table=manifest.table[manifest.table["start_s"].isna()].drop(columns=["start_s", "end_s"]),
    )


def by_id(manifest: Manifest) -> pd.DataFrame:
    """The columns that every format keeps, in the order of ids.

    A whole file may begin at nan or at 0.
    """
    table = manifest.table.sort_values("id").set_index("id")
    return table[[name for name in KEPT if name in table]]


def converted(
    manifest: Manifest, name: str, out: Path, media: str = "link", **options: str
) -> tuple[Manifest, tuple[str, ...]]:
    losses = convert(manifest, name, out, media, **options)
    return read_corpus(
        name, out, **({} if name in {"emobox", "manifest"} else {"name": manifest.name})
    ), losses


@pytest.fixture
def mine(tmp_path: Path) -> Manifest:
    return corpus(tmp_path / "media")


def test_every_format_that_is_written_is_read() -> None:
    assert format_names() == FORMATS


@pytest.mark.parametrize("name", FORMATS)
def test_labels_speakers_times_text_and_language_come_back(
    name: str, mine: Manifest, tmp_path: Path
) -> None:
    if name in {"audformat", "huggingface"}:
        pytest.importorskip(
            {"huggingface": "datasets"}.get(name, name),
            reason="the extra 'interchange' is not installed",
        )
    given = whole(mine) if name == "s3prl" else mine
    again, losses = converted(given, name, tmp_path / "out")
    expected, found = by_id(given), by_id(again)
    if name == "manifest":
        found["meta_age"] = found["meta_age"].astype(float)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    if name in {"emobox", "huggingface", "s3prl"}:
        assert again.labels.classes == FOUR.classes, "in their order"
    classes = (
        [again.labels.classes[code] for code in again.codes()]
        if name != "manifest"
        else FOUR.classes
    )
    if name != "manifest":
        order = np.argsort(again.ids)
        assert [classes[i] for i in order] == [FOUR.classes[code] for code in given.codes()]
    assert not any("left out" in loss for loss in losses), losses
    for path in again.table["audio"]:
        assert (again.root / path).read_bytes() == (mine.root / path).read_bytes()


@pytest.mark.parametrize("name", ["audformat", "emobox", "s3prl", "speechbrain"])
def test_folds_come_back_as_they_were(name: str, mine: Manifest, tmp_path: Path) -> None:
    if name == "audformat":
        pytest.importorskip("audformat", reason="the extra 'interchange' is not installed")
    given = whole(mine)
    plan = make_plan(given, valid="none")
    again, _ = converted(given, name, tmp_path / "out")
    assert again.protocol == "given"
    back = make_plan(again)
    order = [again.ids.tolist().index(i) for i in given.ids]
    assert [fold.roles[order].tolist() for fold in back] == [fold.roles.tolist() for fold in plan]


@pytest.mark.parametrize("name", ["emobox", "s3prl", "speechbrain"])
def test_one_fold_is_a_split_with_its_validation_rows(
    name: str, mine: Manifest, tmp_path: Path
) -> None:
    splits = ["train"] * 4 + ["valid"] * 2 + ["test"] * 2
    given = replace(
        whole(mine), table=whole(mine).table.assign(split=splits, group=""), protocol="split"
    )
    again, _ = converted(given, name, tmp_path / "out")
    assert again.protocol == "split"
    assert dict(zip(again.ids, again.column("split"), strict=True)) == dict(
        zip(given.ids, splits, strict=True)
    )


def test_a_split_becomes_the_librarys_splits(mine: Manifest, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra 'interchange' is not installed")
    splits = ["train"] * 6 + ["dev"] * 3 + ["test"] * 3
    given = replace(mine, table=mine.table.assign(split=splits, group=""), protocol="split")
    again, losses = converted(given, "huggingface", tmp_path / "out")
    loaded = datasets.load_from_disk(str(tmp_path / "out"))
    assert {name: len(part) for name, part in loaded.items()} == {
        "train": 6,
        "validation": 3,
        "test": 3,
    }
    assert again.column("split").tolist() == splits and again.protocol == "split"
    assert any("order of the splits" in loss for loss in losses)


@pytest.mark.parametrize("name", ["emobox", "s3prl", "speechbrain", "audformat"])
def test_what_a_format_cannot_hold_is_listed(name: str, mine: Manifest, tmp_path: Path) -> None:
    if name == "audformat":
        pytest.importorskip("audformat", reason="the extra 'interchange' is not installed")
    table = mine.table.copy()
    table.loc[0, "audio"] = ""
    table.loc[1, "label"] = "xxx"
    table.loc[2, "video"] = "film.avi"
    again, losses = converted(replace(mine, table=table), name, tmp_path / "out")
    lost = {row for row in mine.ids if row not in again.ids}
    assert (
        lost
        == {
            "emobox": {"u00", "u01"},
            "speechbrain": {"u00", "u01"},
            "audformat": {"u00"},
            "s3prl": {"u00", "u01", "u08", "u09", "u10", "u11"},
        }[name]
    )
    for row in lost:
        assert any(f"'{row}'" in loss and "left out" in loss for loss in losses), (row, losses)
    assert any("film.avi" in loss for loss in losses)  # it is not there, so it could not be linked


def test_emoboxs_loader_finds_what_it_asks_for(mine: Manifest, tmp_path: Path) -> None:
    convert(mine, "emobox", tmp_path / "out", "link")
    folder = tmp_path / "out" / "data" / "mine"
    mapping = json.loads((folder / "label_map.json").read_text())
    assert mapping == {"ang": "anger", "exc": "happiness", "hap": "happiness", "sad": "sadness"}
    for role, count in (("train", 8), ("test", 4)):
        entries = [
            json.loads(line)
            for line in (folder / "fold_1" / f"mine_{role}_fold_1.jsonl").read_text().splitlines()
        ]
        assert len(entries) == count
        for entry in entries:
            assert entry["type"] == "raw" and mapping[entry["emo"]]
            facts = soundfile.info(str(tmp_path / "out" / entry["wav"]))
            assert (entry["sample_rate"], entry["channel"]) == (facts.samplerate, facts.channels)
            seconds = (
                entry["end_time"] - entry["start_time"] if "start_time" in entry else facts.duration
            )
            assert entry["length"] == pytest.approx(seconds)
            assert entry["num_frame"] == pytest.approx(seconds * 8000)
        as_object = json.loads((folder / "fold_1" / f"mine_{role}_fold_1.json").read_text())
        assert list(as_object) == [entry["key"] for entry in entries]


@pytest.mark.parametrize("name", ["emobox", "speechbrain"])
def test_a_length_that_is_not_known_is_null_and_told(
    name: str, mine: Manifest, tmp_path: Path
) -> None:
    (mine.root / mine.row(3).audio).write_bytes(b"not sound")
    again, losses = converted(mine, name, tmp_path / "out")
    assert len(again) == len(mine)
    assert sum("1 x row without a length" in loss and "'u03'" in loss for loss in losses) == 1, (
        losses
    )


def test_published_lists_of_emobox_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "tiny"
    entries = [
        {
            "key": f"tiny-{i}",
            "dataset": "tiny",
            "wav": f"downloads/tiny/{i}.wav",
            "type": "raw",
            "sample_rate": 16000,
            "num_frame": 16000.0,
            "task": "category",
            "length": 1.0,
            "emo": "ab"[i % 2],
            "channel": 1,
        }
        for i in range(6)
    ]
    for fold in (1, 2, 3):
        (folder / f"fold_{fold}").mkdir(parents=True)
        for role, chosen in (
            ("train", [e for i, e in enumerate(entries) if i // 2 + 1 != fold]),
            ("test", [e for i, e in enumerate(entries) if i // 2 + 1 == fold]),
        ):
            (folder / f"fold_{fold}" / f"tiny_{role}_fold_{fold}.jsonl").write_text(
                "\n".join(map(json.dumps, chosen)) + "\n"
            )
    (folder / "label_map.json").write_text('{"a": "Angry", "b": "Bored"}')
    for root in (tmp_path, tmp_path / "data", folder):
        manifest = read_corpus(
            "emobox", root, **({"media": str(tmp_path)} if root == tmp_path / "data" else {})
        )
        assert (manifest.name, len(manifest), manifest.protocol) == ("tiny", 6, "given")
        assert manifest.labels.classes == ("Angry", "Bored")
        assert manifest.root == tmp_path and set(manifest.table["audio"]) == {
            f"downloads/tiny/{i}.wav" for i in range(6)
        }
        assert [ROLES[r] for r in make_plan(manifest).fold(2).roles].count("test") == 2
        assert "name no speakers" in " ".join(manifest.notes)
    (tmp_path / "data" / "other").mkdir()
    (tmp_path / "data" / "other" / "other.jsonl").write_text("")
    with pytest.raises(ManifestError, match=r"holds 2 corpora \(other, tiny\); name one"):
        read_corpus("emobox", tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean 'tiny'"):
        read_corpus("emobox", tmp_path, dataset="tini")


@pytest.mark.parametrize("file", ["label_map.json", "label_dict.json"])
def test_emoboxs_labels_are_those_of_its_map_in_other_letters_too(
    file: str, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "tiny"
    folder.mkdir(parents=True)
    raw = ["neutral", "Neutral", "s", "S", "N", "n", "calm", "neutral"]
    rows = [{"key": f"t{i}", "wav": f"{i}.wav", "emo": emo} for i, emo in enumerate(raw)]
    (folder / "tiny.jsonl").write_text("\n".join(map(json.dumps, rows)))
    # Where the map itself tells capital letters apart, they are another label.
    labels = {"Neutral": "Neutral", "S": "Sad", "N": "Nervous", "n": "Numb"}
    (folder / file).write_text(json.dumps(labels))
    manifest = read_corpus("emobox", tmp_path)
    assert manifest.labels is not None
    classes = [manifest.labels.classes[code] if code >= 0 else "" for code in manifest.codes()]
    assert classes == ["Neutral", "Neutral", "Sad", "Sad", "Nervous", "Numb", "", "Neutral"]
    for note in (
        f"2 x label 'neutral' that {file} has in other letters: 't0', 't7'",
        f"1 x label 's' that {file} has in other letters: 't2'",
        "1 x label that could not be mapped: 'calm'",
    ):
        assert note in manifest.notes


def test_s3prls_speakers_of_iemocap_are_not_believed(tmp_path: Path) -> None:
    names = ["Ses01F_impro01_F000", "Ses01F_impro01_M000"]
    (tmp_path / "meta_data" / "Session1").mkdir(parents=True)
    for role, listed in (("train", names), ("test", names[::-1])):
        place = tmp_path / "meta_data" / "Session1" / f"{role}_meta_data.json"
        place.write_text(
            json.dumps(
                {
                    "labels": {"neu": 0, "ang": 1},
                    "meta_data": [
                        {
                            "path": f"Session1/{role}/{name}.wav",
                            "label": "neu" if i else "ang",
                            "speaker": "Ses01F",
                        }
                        for i, name in enumerate(listed)
                    ],
                }
            )
        )
    manifest = read_corpus("s3prl", tmp_path)
    assert manifest.labels.classes == ("neu", "ang")
    assert len(set(manifest.ids)) == 4, "stems repeat, so ids are paths"
    (tmp_path / "meta_data" / "Session1" / "test_meta_data.json").unlink()
    assert "wrong in 1 rows, first 'Ses01F_impro01_M000'" in " ".join(
        read_corpus("s3prl", tmp_path).notes
    )


def test_audformats_own_library_reads_what_was_written(mine: Manifest, tmp_path: Path) -> None:
    audformat = pytest.importorskip("audformat", reason="the extra 'interchange' is not installed")
    convert(mine, "audformat", tmp_path / "out", "link")
    with pytest.warns(DeprecationWarning) if pd.__version__ >= "3.1" else _nothing():
        database = audformat.Database.load(str(tmp_path / "out"))
        frame = database["utterances"].get()
    assert database.languages == ["deu", "eng"]
    assert database.schemes["label"].labels == ["ang", "exc", "hap", "sad"]
    assert frame["speaker"].tolist() == mine.column("speaker").tolist()
    ends = frame.index.get_level_values("end")
    assert ends[9].total_seconds() == 1.25 and ends[:8].isna().all()
    assert all((tmp_path / "out" / file).is_file() for file in frame.index.get_level_values("file"))
    for fold in make_plan(mine, valid="none"):
        assert frame[f"fold_{fold.number}"].tolist() == [ROLES[r] for r in fold.roles]


def test_an_audformat_database_made_elsewhere_is_read(tmp_path: Path) -> None:
    audformat = pytest.importorskip("audformat", reason="the extra 'interchange' is not installed")
    database = audformat.Database("emo", languages=["deu"])
    files = [f"wav/{i}.wav" for i in range(4)]
    database.splits["train"] = audformat.Split(audformat.define.SplitType.TRAIN)
    database.splits["test"] = audformat.Split(audformat.define.SplitType.TEST)
    database.schemes["emotion"] = audformat.Scheme(labels=["anger", "joy"])
    database.schemes["speaker"] = audformat.Scheme(
        "int", labels={3: {"gender": "male"}, 8: {"gender": "female"}}
    )
    database.schemes["transcription"] = audformat.Scheme(
        labels={"a01": "Der Lappen liegt auf dem Eisschrank.", "b01": "Ja."}
    )
    database["files"] = audformat.Table(audformat.filewise_index(files))
    for column, values in (("speaker", [3, 3, 8, 8]), ("transcription", ["a01", "b01"] * 2)):
        database["files"][column] = audformat.Column(scheme_id=column)
        database["files"][column].set(values)
    for split, chosen in (("train", files[:2]), ("test", files[2:])):
        database[f"emotion.{split}"] = audformat.Table(
            audformat.filewise_index(chosen), split_id=split
        )
        database[f"emotion.{split}"]["emotion"] = audformat.Column(scheme_id="emotion")
        database[f"emotion.{split}"]["emotion"].set(["anger", "joy"])
    database.save(str(tmp_path))
    manifest = read_corpus("audformat", tmp_path)
    listed = (
        manifest.table[["id", "label", "speaker", "split", "language", "text"]]
        .sort_values("id")
        .to_numpy()
        .tolist()
    )
    words = "Der Lappen liegt auf dem Eisschrank."
    assert listed == [
        ["wav/0", "anger", "3", "train", "deu", words],
        ["wav/1", "joy", "3", "train", "deu", "Ja."],
        ["wav/2", "anger", "8", "test", "deu", words],
        ["wav/3", "joy", "8", "test", "deu", "Ja."],
    ]
    assert manifest.protocol == "split"
    assert len(read_corpus("audformat", tmp_path, table="emotion.test")) == 2
    with pytest.raises(
        ManifestError, match=r"no table has a column 'mood'; tables: .*emotion.train \(emotion\)"
    ):
        read_corpus("audformat", tmp_path, label="mood")


def test_datasets_own_library_reads_what_was_written(mine: Manifest, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra 'interchange' is not installed")
    assert convert(whole(mine), "huggingface", tmp_path / "out")[-1].startswith(
        "a dataset has splits but no folds"
    )
    loaded = datasets.load_from_disk(str(tmp_path / "out"))
    assert isinstance(loaded.features["audio"], datasets.Audio)
    assert loaded.features["class"].names == list(FOUR.classes)
    assert loaded["class"][:] == mine.codes()[:8].tolist()
    stored = loaded.cast_column("audio", datasets.Audio(decode=False))["audio"][:]
    assert [s["bytes"] for s in stored] == [
        (mine.root / name).read_bytes() for name in mine.column("audio")[:8]
    ]
    losses = convert(mine, "huggingface", tmp_path / "parts")
    assert any("4 rows are parts of longer files" in loss for loss in losses)
    assert datasets.load_from_disk(str(tmp_path / "parts"))["audio"][9] == "film.flac"


def test_sounds_of_one_name_in_several_folders_stay_apart(mine: Manifest, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra 'interchange' is not installed")
    names = [f"{folder}/dia0_utt0.wav" for folder in ("train", "dev", "test")]
    for number, name in enumerate(names):
        (mine.root / name).parent.mkdir()
        soundfile.write(mine.root / name, np.full(100 + number, 0.1), 8000)
    few = Manifest.from_columns(
        "few", {"id": list("abc"), "label": ["x", "y", "x"], "audio": names}, root=mine.root
    )
    again, _ = converted(few, "huggingface", tmp_path / "out")
    assert again.column("audio").tolist() == names
    assert [(again.root / name).read_bytes() for name in names] == [
        (mine.root / name).read_bytes() for name in names
    ]
    foreign = datasets.load_from_disk(str(tmp_path / "out")).remove_columns("audio_path")
    foreign.save_to_disk(str(tmp_path / "foreign"))
    for _ in range(2):
        there = read_corpus("huggingface", tmp_path / "foreign")
        assert there.row(0).audio == "dia0_utt0.wav" and len(set(there.column("audio"))) == 3
        assert [(there.root / n).read_bytes() for n in there.column("audio")] == [
            (mine.root / n).read_bytes() for n in names
        ]


def test_the_rows_of_a_dataset_are_gone_through_once(
    mine: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets", reason="the extra 'interchange' is not installed")
    asked: list[int] = []
    monkeypatch.setattr(
        huggingface, "rows_of", lambda manifest: (asked.append(len(manifest)), rows_of(manifest))[1]
    )
    convert(mine, "huggingface", tmp_path / "out")
    assert asked == [len(mine)]


def test_sound_that_is_not_there_is_told(mine: Manifest, tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="the extra 'interchange' is not installed")
    (mine.root / mine.row(3).audio).unlink()
    losses = convert(whole(mine), "huggingface", tmp_path / "out")
    assert any("1 sound files are not there, first 'wav 3/{u}3.wav'" in loss for loss in losses), (
        losses
    )


def test_a_dataset_of_paths_and_codes_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra 'interchange' is not installed")
    made = datasets.Dataset.from_dict(
        {
            "file": [str(tmp_path / "m" / f"{i}.wav") for i in range(4)],
            "emotion": [0, 1, 1, 0],
            "sentence": ["a", "b", "c", "d"],
            "speaker_id": [1, 1, 2, 2],
        }
    )
    made.cast_column("emotion", datasets.ClassLabel(names=["calm", "angry"])).save_to_disk(
        str(tmp_path / "ds")
    )
    (tmp_path / "m").mkdir()
    manifest = read_corpus("huggingface", tmp_path / "ds", audio="file", media=str(tmp_path / "m"))
    assert manifest.table[["audio", "label", "text", "speaker"]].to_numpy().tolist() == [
        ["0.wav", "calm", "a", "1"],
        ["1.wav", "angry", "b", "1"],
        ["2.wav", "angry", "c", "2"],
        ["3.wav", "calm", "d", "2"],
    ]
    with pytest.raises(UnsafePathError, match="does not lie in"):
        read_corpus("huggingface", tmp_path / "ds", audio="file", media=str(tmp_path / "ds"))
    with pytest.raises(UsageError, match="no column 'mood'"):
        read_corpus("huggingface", tmp_path / "ds", label="mood")


def test_speechbrains_own_loader_reads_what_was_written(mine: Manifest, tmp_path: Path) -> None:
    data = pytest.importorskip(
        "speechbrain.dataio.dataset",
        exc_type=ImportError,
        reason="SpeechBrain needs torchaudio, which has no build for the torch that is used here",
    )
    convert(mine, "speechbrain", tmp_path / "out", "link")
    out = tmp_path / "out"
    made = data.DynamicItemDataset.from_json(
        str(out / "fold_1" / "train.json"), {"data_root": str(out)}
    )
    made.set_output_keys(["id", "wav", "emo", "text", "length"])
    for item in made:
        row = mine.row(mine.ids.tolist().index(item["id"]))
        assert (item["emo"], item["text"]) == (FOUR.mapping[row.label], row.text)
        file = item["wav"] if isinstance(item["wav"], str) else item["wav"]["file"]
        assert Path(file) == tmp_path / "out" / row.audio and Path(file).is_file()


def test_speechbrains_entries_have_the_same_keys_and_survive_formatting(
    mine: Manifest, tmp_path: Path
) -> None:
    convert(mine, "speechbrain", tmp_path / "out", "link")
    entries = json.loads((tmp_path / "out" / "all.json").read_text())
    assert len({tuple(entry) for entry in entries.values()}) == 1 and "id" not in entries["u00"]
    for name, entry in entries.items():
        row = mine.row(mine.ids.tolist().index(name))
        assert entry["text"].format_map({"data_root": "/data"}) == row.text
    assert entries["u00"]["wav"].format_map({"data_root": "/data"}) == "/data/wav 0/{u}0.wav"
    assert entries["u09"]["wav"] == {"file": "{data_root}/film.flac", "start": 8000, "stop": 10000}


def test_numbers_of_speakers_stay_whole_where_some_are_missing(tmp_path: Path) -> None:
    entries = {
        "a": {"wav": "{data_root}/a.wav", "length": 1.0, "emo": "x", "speaker": 3, "snr": 2},
        "b": {"wav": "{data_root}/b.wav", "length": 1.0, "emo": "y", "snr": 1.5},
    }
    (tmp_path / "train.json").write_text(json.dumps(entries))
    manifest = read_corpus("speechbrain", tmp_path)
    assert manifest.column("speaker").tolist() == ["3", ""]
    assert manifest.table["meta_snr"].tolist() == [2.0, 1.5]


@pytest.mark.parametrize("path", ["../a.wav", "/etc/a.wav", "x/../../a.wav"])
@pytest.mark.parametrize("name", ["emobox", "s3prl", "speechbrain"])
def test_no_path_leaves_the_root(name: str, path: str, tmp_path: Path) -> None:
    place, content = {
        "emobox": (
            "tiny.jsonl",
            "\n".join(json.dumps({"key": k, "wav": path, "emo": k}) for k in "ab"),
        ),
        "s3prl": (
            "meta_data/Session1/train_meta_data.json",
            json.dumps(
                {
                    "labels": {"a": 0, "b": 1},
                    "meta_data": [
                        {
                            "path": path if path[0] == "/" else f"{k}/../{path}",
                            "label": k,
                            "speaker": "s",
                        }
                        for k in "ab"
                    ],
                }
            ),
        ),
        "speechbrain": (
            "train.json",
            json.dumps({k: {"wav": path, "length": 1.0, "emo": k} for k in "ab"}),
        ),
    }[name]
    target = tmp_path / "tiny" / place
    target.parent.mkdir(parents=True)
    target.write_text(content)
    with pytest.raises(UnsafePathError):
        read_corpus(name, tmp_path / "tiny")


@pytest.mark.parametrize(
    ("name", "place", "content", "message"),
    [
        ("emobox", "tiny.jsonl", "{", "line 1: is no entry"),
        ("emobox", "tiny.jsonl", "[1]", "line 1: is no entry"),
        (
            "emobox",
            "tiny.jsonl",
            '{"key": "a", "wav": "a.npy", "type": "feature", "emo": "x"}',
            "lists 'feature', not sound",
        ),
        ("emobox", "tiny.jsonl", "", "no utterance in it"),
        ("s3prl", "meta_data/Session1/train_meta_data.json", "[]", "is not {'labels'"),
        (
            "s3prl",
            "meta_data/Session1/train_meta_data.json",
            '{"labels": {"a": 0}, "meta_data": [{"path": "a", "label": "b"}]}',
            "label 'b' is not among its labels a",
        ),
        (
            "s3prl",
            "meta_data/Session1/train_meta_data.json",
            '{"labels": {"a": 1e999}, "meta_data": []}',
            "is not {'labels'",
        ),
        ("speechbrain", "train.json", "[]", "is no object of utterances but list"),
        ("speechbrain", "train.json", '{"a": {"emo": "x"}}', "'a' has no 'wav'"),
        (
            "speechbrain",
            "train.json",
            '{"a": {"wav": {"file": "a.wav", "start": 1}, "emo": "x"}}',
            "cut by sample numbers",
        ),
        ("speechbrain", "train.json", "\xff", "cannot be read as JSON"),
        ("audformat", "db.yaml", "{", "is no audformat database"),
        ("huggingface", "dataset_info.json", "{", "is no dataset that datasets"),
    ],
)
def test_torn_lists_are_told(
    name: str, place: str, content: str, message: str, tmp_path: Path
) -> None:
    if name in {"audformat", "huggingface"}:
        pytest.importorskip(
            {"huggingface": "datasets"}.get(name, name),
            reason="the extra 'interchange' is not installed",
        )
    target = tmp_path / "tiny" / place
    target.parent.mkdir(parents=True)
    target.write_text(content, encoding="latin-1")
    with pytest.raises(ManifestError, match=message):
        read_corpus(name, tmp_path / "tiny")


def test_the_command_converts_there_and_back(
    mine: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convert(mine, "manifest", tmp_path / "start", "link")
    there = [
        "--corpus",
        "manifest",
        "--root",
        str(tmp_path / "start"),
        "--corpus-name",
        "mine",
        "--to",
        "emobox",
    ]
    assert main([*there, "--out", str(tmp_path / "box"), "--folds", "leave-one-speaker-out"]) == 0
    out = capsys.readouterr().out
    assert "mine, 12 rows read" in out and "--corpus-option media=" in out
    assert (
        main(
            [
                "--corpus",
                "emobox",
                "--root",
                str(tmp_path / "box"),
                "--corpus-option",
                f"media={tmp_path / 'start'}",
                "--to",
                "manifest",
                "--out",
                str(tmp_path / "back"),
                "--media",
                "copy",
            ]
        )
        == 0
    )
    back = read_corpus("manifest", tmp_path / "back")
    pd.testing.assert_frame_equal(
        by_id(back)[["label", "speaker", "text", "audio", "start_s"]],
        by_id(mine)[["label", "speaker", "text", "audio", "start_s"]],
        check_dtype=False,
    )
    assert main([*there, "--out", str(tmp_path / "box")]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main([*there[:-1], "emobx", "--out", str(tmp_path / "new")]) == 2
    assert "did you mean 'emobox'" in capsys.readouterr().err
    assert not list(tmp_path.glob(".*")), "nothing half made is left"


class _nothing:  # noqa: N801 - stands for a context
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...
