"""What the readers of CREMA-D, AvaMERG, RAVDESS and reels make of options, and what they refuse."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from embeddings_store.corpus.columns import LEAK_TAGS, UNTAGGED
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, MediaError, UnknownNameError, UnsafePathError
from extract.corpora import READERS, Note, differences, read_corpus
from extract.corpora.avamerg import CLASSES, EMOTIONS, emotion_table
from extract.corpora.cremad import BAD
from extract.corpora.generated import RELEASES, Planted
from extract.media.file_check import check_media_file

PAGE = resources.files("extract.corpora").joinpath("CORPORA.md").read_text(encoding="utf-8")
Make = Callable[[str, bool], tuple[Path, tuple[Planted, ...]]]


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def kinds(manifest: Manifest) -> dict[str, tuple[str, ...]]:
    return {note.kind: note.examples for note in manifest.notes if isinstance(note, Note)}


# --- the page


def test_the_page_names_every_layout_with_its_options() -> None:
    rows = {
        cells[0].strip(" `"): cells[-1]
        for line in PAGE.splitlines()
        if line.startswith("| `")
        for cells in [line.strip("|").split("|")]
        if len(cells) == 5
    }
    assert set(RELEASES) | {"manifest"} == set(rows)
    assert all(f"`{tag}`" in PAGE for tag in (*LEAK_TAGS, UNTAGGED))
    for name in RELEASES:
        assert set(re.findall(r"`(\w+)`", rows[name])) == READERS[name].options().keys(), name


def test_the_reader_on_the_page_reads(tmp_path: Path) -> None:
    module: dict[str, Any] = {}
    exec(PAGE.partition("```python\n")[2].partition("```")[0], module)
    manifest = module["read"](
        touch(tmp_path, "wav/01_joy.wav", "wav/02_anger.wav", "wav/._01_joy.wav", "wav/odd.wav")
    )
    assert (
        manifest.column("label").tolist() == ["joy", "anger"] and manifest.tagged("unknown") == ()
    )
    assert (
        kinds(manifest).items()
        >= {"hidden name skipped": ("._01_joy.wav",), "odd file name skipped": ("odd.wav",)}.items()
    )
    assert len(differences(manifest, module["DOCUMENTED"])) == 3


def test_links_that_lead_nowhere_are_noted_and_keep_their_path(tmp_path: Path) -> None:
    touch(tmp_path, "wav/03a01Fa.wav")
    (tmp_path / "wav" / "16b10Wb.wav").symlink_to(tmp_path / ".git" / "annex" / "objects" / "x")
    manifest = read_corpus("emodb", tmp_path)
    assert manifest.row(1).audio == "wav/16b10Wb.wav"
    assert kinds(manifest)["link that leads nowhere where media should be; run git annex get"] == (
        "wav/16b10Wb.wav",
    )


# --- CREMA-D


def test_cremad_rows(made: Make) -> None:
    manifest = read_corpus("cremad", made("cremad", False)[0])
    row = manifest.table.set_index("id").loc["1002_DFA_DIS_XX"]
    assert row[["label", "speaker", "group"]].tolist() == ["disgust", "actor-1002", "actor-1002"]
    assert row["text"] == "Don't forget a jacket."
    assert row[["audio", "video"]].tolist() == [
        "AudioWAV/1002_DFA_DIS_XX.wav",
        "VideoFlash/1002_DFA_DIS_XX.flv",
    ]
    assert row[["meta_age", "meta_sex", "meta_race", "meta_ethnicity"]].tolist() == [
        21.0,
        "Female",
        "Caucasian",
        "Not Hispanic",
    ]
    assert manifest.tagged("safe") == ("meta_age", "meta_sex", "meta_race", "meta_ethnicity")
    assert manifest.tagged("leaky") == ("meta_level",)


def test_cremad_perceived_labels_and_ties(made: Make) -> None:
    root = made("cremad", True)[0]
    voice = read_corpus("cremad", root, label="voice").table.set_index("id")["label"]
    assert voice["1002_DFA_DIS_XX"] == "anger", "heard as anger"
    assert voice["1040_ITH_SAD_XX"] == "sadness", (
        "its name lacks a letter in the table of votes too"
    )
    dropped = read_corpus("cremad", root, label="multimodal")
    assert dropped.table.set_index("id")["label"]["1001_DFA_DIS_XX"] == ""
    assert dropped.codes()[dropped.ids == "1001_DFA_DIS_XX"].tolist() == [-1]
    assert kinds(dropped)["clip with divided votes, which has no label"] == ("1001_DFA_DIS_XX",)
    intended = read_corpus("cremad", root, label="multimodal", ties="intended")
    assert intended.table.set_index("id")["label"]["1001_DFA_DIS_XX"] == "disgust"
    assert kinds(intended)["clip with divided votes, which takes the intended label"] == (
        "1001_DFA_DIS_XX",
    )
    assert (
        "meta_intended" in intended.tagged("leaky")
        and "meta_intended" not in read_corpus("cremad", root).table
    )


def test_cremad_bad_clips_are_missing_unless_asked_for(tmp_path: Path) -> None:
    touch(tmp_path, "AudioWAV/1001_DFA_ANG_XX.wav", *(f"AudioWAV/{name}.wav" for name in BAD))
    left_out = read_corpus("cremad", tmp_path)
    assert len(left_out) == 5 and left_out.ids[left_out.column("audio") == ""].tolist() == sorted(
        BAD
    )
    assert set(kinds(left_out)["clip known to be bad"]) == BAD
    assert "row without an audio file" not in kinds(left_out), (
        "they are there, and left out on purpose"
    )
    assert read_corpus("cremad", tmp_path, odd_media="yes").has("audio")
    assert "" not in read_corpus("cremad", tmp_path, odd_media=True).column("audio")
    assert (
        "no VideoDemographics.csv" in " ".join(left_out.notes) and "meta_age" not in left_out.table
    )


def test_cremad_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    touch(tmp_path, "AudioWAV/1001_DFA_ANG_XX.wav")
    with pytest.raises(ManifestError, match="label=voice needs it"):
        read_corpus("cremad", tmp_path, label="voice")
    votes = (
        touch(tmp_path, "processedResults/summaryTable.csv")
        / "processedResults"
        / "summaryTable.csv"
    )
    votes.write_text("fileName,VoiceVote\n1001_DFA_ANG_XX,A:Q\n", encoding="utf-8")
    with pytest.raises(ManifestError, match="has the vote 'A:Q'"):
        read_corpus("cremad", tmp_path, label="voice")
    with pytest.raises(ManifestError, match="lacks the column 'FaceVote'"):
        read_corpus("cremad", tmp_path, label="face")
    (tmp_path / "VideoDemographics.csv").write_text(
        "ActorID,Age,Sex,Race,Ethnicity\n1001,old,Male,x,y\n", encoding="utf-8"
    )
    with pytest.raises(ManifestError, match="the age 'old'"):
        read_corpus("cremad", tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean 'intended'"):
        read_corpus("cremad", tmp_path, label="intend")
    with pytest.raises(UnknownNameError, match="rule for ties"):
        read_corpus("cremad", tmp_path, ties="coin")


# --- AvaMERG


def test_avamerg_rows(made: Make) -> None:
    manifest = read_corpus("avamerg", made("avamerg", False)[0])
    row = manifest.table.set_index("id").loc["train_dia00004_turn1"]
    assert (
        row["label"] == "joyful"
        and manifest.labels is not None
        and manifest.labels.mapping["joyful"] == "happy"
    )
    assert row[["speaker", "group", "split"]].tolist() == ["profile-1", "train_dia00004", "train"]
    assert (
        row["audio"] == "audio_v5_0/dia00004utt2_1.wav"
        and row["video"] == "video_v5_0/dia00004utt2_1.mp4"
    )
    assert row["text"] == "Something happened on day 4, part 1."
    assert (
        row["meta_history"]
        == "speaker: Something happened on day 4, part 0.\nlistener: Tell me more about day 4."
    )
    assert (
        row["meta_response"] == "Tell me more about day 4."
        and row["meta_emotion_cause"] == "What happened."
    )
    test = manifest.table[manifest.table["split"] == "test"]
    assert (
        (test["label"] == "").all()
        and (test["meta_emotion_cause"] == "").all()
        and (test["audio"] != "").all()
    )
    assert set(manifest.tagged("leaky")) == {
        "meta_event_scenario",
        "meta_emotion_cause",
        "meta_goal_to_response",
        "meta_response",
    }
    assert set(manifest.tagged("context")) == {
        "meta_topic",
        "meta_context",
        "meta_history",
        "meta_turn",
    }
    assert len(manifest.tagged("safe")) == 8 and manifest.protocol == "group-kfold:5"


def test_avamerg_response_and_profile(made: Make) -> None:
    root = made("avamerg", False)[0]
    answers = read_corpus("avamerg", root, utterance="response", group="profile")
    row = answers.table.set_index("id").loc["train_dia00004_turn1"]
    assert row["audio"] == "audio_v5_0/dia00004utt3_10.wav", (
        "one after the last of the history, by the listener"
    )
    assert row[["speaker", "group", "meta_response"]].tolist() == ["profile-10", "profile-10", ""]
    assert row["meta_history"].count("\n") == 2
    assert answers.protocol == "", "two listeners are no five folds"
    with pytest.raises(UnknownNameError, match="did you mean 'response'"):
        read_corpus("avamerg", root, utterance="responce")
    with pytest.raises(UnknownNameError, match="AvaMERG group"):
        read_corpus("avamerg", root, group="voice")


def test_every_emotion_of_the_table_leads_to_a_class() -> None:
    table = emotion_table(EMOTIONS)
    basic = (
        "afraid",
        "angry",
        "annoyed",
        "anticipating",
        "anxious",
        "apprehensive",
        "ashamed",
        "caring",
        "confident",
        "content",
        "devastated",
        "disappointed",
        "disgusted",
        "embarrassed",
        "excited",
        "faithful",
        "furious",
        "grateful",
        "guilty",
        "hopeful",
        "impressed",
        "jealous",
        "joyful",
        "lonely",
        "nostalgic",
        "prepared",
        "proud",
        "sad",
        "sentimental",
        "surprised",
        "terrified",
        "trusting",
    )
    assert len(basic) == 32 and set(basic) <= table.keys() and set(table.values()) == set(CLASSES)
    assert table["melancholic"] == table["sadness"] == "sad", "a word of a word"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,b\nb,c\nc,a\n", "a means b means c means a, in a circle"),
        ("a,b\nb,grumpy\n", "a means b means grumpy, which is none of happy"),
        ("a,sad\nA ,happy\n", "'a' stands in several rows"),
    ],
)
def test_a_table_of_emotions_that_leads_nowhere_is_refused(
    rows: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.csv").write_text(f"raw,means\n{rows}", encoding="utf-8")
    with pytest.raises(ManifestError, match=message):
        emotion_table(tmp_path / "mine.csv")


def test_avamerg_takes_another_table(made: Make, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(
        "raw,means\njoyful,elated\nelated,surprised\n", encoding="utf-8"
    )
    manifest = read_corpus(
        "avamerg", made("avamerg", False)[0], emotions=str(tmp_path / "mine.csv")
    )
    assert manifest.labels is not None and manifest.labels.mapping["joyful"] == "surprised"
    assert manifest.labels.dropped == {
        "impressed",
        "annoyed",
        "terrified",
        "devastated",
        "jealous",
        "overwhelmed",
    }
    assert len(kinds(manifest)["label that could not be mapped"]) == 12, (
        "every turn, not every word"
    )


def test_avamerg_refuses_what_is_no_conversation(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    broken = json.dumps([{"conversation_id": "00007", "turns": []}])
    for content, message in (
        ("{", "cannot be read as JSON"),
        ("{}", "a list of conversations is expected"),
        ("[]", "hold no turn"),
        (broken, "conversation '00007' is not as expected"),
    ):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(ManifestError, match=message):
            read_corpus("avamerg", tmp_path)


# --- RAVDESS


def test_ravdess_modalities(made: Make) -> None:
    root = made("ravdess", False)[0]
    films = read_corpus("ravdess", root, modality="audio-video")
    assert len(films) == 32 and films.column("audio").tolist() == films.column("video").tolist()
    assert films.row(0).id == "01-01-01-01-02-01-01"
    both = read_corpus("ravdess", root).table.set_index("id").loc["03-01-01-01-02-01-01"]
    assert both["audio"].endswith("03-01-01-01-02-01-01.wav") and both["video"].endswith(
        "01-01-01-01-02-01-01.mp4"
    )
    assert not read_corpus("ravdess", root, modality="video").has("audio")
    assert not read_corpus("ravdess", root, modality="audio").has("video")
    sung = read_corpus("ravdess", root, channel="song")
    assert len(sung) == 24 and sung.labels is not None and len(sung.labels.classes) == 6
    with pytest.raises(ManifestError, match="no song video clip"):
        read_corpus("ravdess", root, channel="song", modality="video")


# --- reels


def test_reels_take_local_files_and_no_link(tmp_path: Path) -> None:
    (tmp_path / "datatrain.csv").write_text(
        "id,video,emotion\n1,https://host/a,Joy\n2,clips/b.mp4,Trust\n3,,Fear\n", encoding="utf-8"
    )
    touch(tmp_path, "clips/b.mp4")
    manifest = read_corpus("reels", tmp_path)
    assert (
        manifest.column("video").tolist()
        == ["", "clips/b.mp4", ""]
        == manifest.column("audio").tolist()
    )
    assert manifest.column("label").tolist() == ["joy", "trust", "fear"]
    assert kinds(manifest)["link, which is not local and is never fetched"] == ("train_1",)
    assert kinds(manifest)["row without a video file"] == ("train_3",)
    touch(tmp_path, "video/train/1.mp4")
    assert read_corpus("reels", tmp_path).row(0).video == "video/train/1.mp4"


@pytest.mark.parametrize("path", ["../secret.mp4", "/etc/hosts"])
def test_reels_may_not_leave_their_folder(path: str, tmp_path: Path) -> None:
    touch(tmp_path, "secret.mp4")
    (tmp_path / "reels").mkdir()
    (tmp_path / "reels" / "datatrain.csv").write_text(
        f"id,video,emotion\n1,{path},joy\n2,x,fear\n", encoding="utf-8"
    )
    with pytest.raises(UnsafePathError):
        read_corpus("reels", tmp_path / "reels")


# --- films of CREMA-D


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.999])
def test_a_cut_flv_is_refused_wherever_it_ends(kept: float, made: Make, tmp_path: Path) -> None:
    whole = made("cremad", False)[0] / "VideoFlash" / "1001_DFA_DIS_XX.flv"
    check_media_file(whole)
    torn = tmp_path / "torn.flv"
    torn.write_bytes(whole.read_bytes()[: int(kept * whole.stat().st_size)])
    with pytest.raises(MediaError, match="cut short: it ends within a tag"):
        check_media_file(torn)
