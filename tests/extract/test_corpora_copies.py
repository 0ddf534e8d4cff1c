"""RAVDESS, EMO-DB, CREMA-D, TESS and SAVEE as copies of them circulate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from embeddings_store.errors import ManifestError
from embeddings_store.folds.rules import make_plan
from extract.corpora import Note, read_corpus
from extract.corpora._clips import AGAIN, CLOSED, OTHER_SIZE, SORTED_OTHERWISE

# As published: the path of a clip and its label.
CLIPS = {
    "ravdess": {
        "Actor_01/03-01-05-01-02-01-01.wav": "angry",
        "Actor_02/03-01-06-01-02-01-02.wav": "fearful",
        "Actor_03/03-01-03-01-02-01-03.wav": "happy",
    },
    "emodb": {
        "wav/03a01Wa.wav": "anger",
        "wav/08a02Ab.wav": "fear",
        "wav/16b10Fb.wav": "happiness",
    },
    "cremad": {
        "AudioWAV/1001_DFA_ANG_XX.wav": "anger",
        "AudioWAV/1002_IEO_FEA_HI.wav": "fear",
        "AudioWAV/1003_IEO_HAP_LO.wav": "happiness",
    },
    "tess": {
        "OAF_angry/OAF_back_angry.wav": "anger",
        "YAF_fear/YAF_bite_fear.wav": "fear",
        "OAF_happy/OAF_goose_happy.wav": "happiness",
    },
    "savee": {
        "AudioData/DC/DC_a01.wav": "anger",
        "AudioData/JE/JE_f02.wav": "fear",
        "AudioData/KL/KL_h03.wav": "happiness",
    },
}
FOLDERS = ("Angry", "FEAR", "happy")


def copied(root: Path, corpus: str, layout: str) -> Path:
    """Put the clips where a copy has them."""
    for path, folder in zip(CLIPS[corpus], FOLDERS, strict=True):
        name = Path(path).name
        places = {
            "flat": [name],
            "by emotion": [f"{folder}/{name}"],
            "doubled": [path, f"again/{path}"],
        }
        for place in places[layout]:
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).write_bytes(b"sound")
    (root / "readme.md").write_text("where it is from")
    return root


def counted(notes: tuple[str, ...]) -> dict[str, int]:
    return {note.kind: note.count for note in notes if isinstance(note, Note)}


@pytest.mark.parametrize("layout", ["flat", "by emotion", "doubled"])
@pytest.mark.parametrize("corpus", sorted(CLIPS))
def test_a_copy_is_read_like_the_release(corpus: str, layout: str, tmp_path: Path) -> None:
    manifest = read_corpus(corpus, copied(tmp_path, corpus, layout))
    assert sorted(manifest.table["label"]) == sorted(CLIPS[corpus].values())
    assert all((tmp_path / path).is_file() for path in manifest.column("audio"))
    said = " ".join(manifest.notes)
    assert ("not as published" in said) == (layout != "doubled")
    assert counted(manifest.notes).get(AGAIN, 0) == (3 if layout == "doubled" else 0)
    assert not counted(manifest.notes).keys() & {SORTED_OTHERWISE, OTHER_SIZE}


@pytest.mark.parametrize("corpus", sorted(CLIPS))
def test_what_is_wrong_with_a_copy_is_counted(corpus: str, tmp_path: Path) -> None:
    root = copied(tmp_path, corpus, "by emotion")
    first, second, _ = (Path(path).name for path in CLIPS[corpus])
    (root / "Angry" / second).write_bytes(b"cut")  # in another folder and another size
    (root / "Angry" / "notes.txt").touch()
    manifest = read_corpus(corpus, root)
    assert len(manifest) == 3 and f"Angry/{first}" in manifest.column("audio")
    assert counted(manifest.notes)[SORTED_OTHERWISE] == 1
    assert counted(manifest.notes)[OTHER_SIZE] == 1
    assert counted(manifest.notes)["odd file name skipped"] == 1


@pytest.mark.parametrize("corpus", sorted(CLIPS))
def test_a_folder_above_or_below_is_named_and_not_read(corpus: str, tmp_path: Path) -> None:
    root = tmp_path / "above" / "release"
    copied(root, corpus, "doubled")
    for wrong in (root.parent, root / next(iter(CLIPS[corpus])).split("/")[0]):
        with pytest.raises(ManifestError, match=rf"try --root {root}"):
            read_corpus(corpus, wrong)


def test_the_files_of_savee_bear_the_speaker_in_their_folder(tmp_path: Path) -> None:
    for speaker in ("DC", "JE"):
        for name in ("a01", "sa01", "su15", "n30"):
            path = tmp_path / "AudioData" / speaker / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    manifest = read_corpus("savee", tmp_path)
    assert manifest.ids.tolist()[:4] == ["DC_a01", "DC_n30", "DC_sa01", "DC_su15"]
    assert manifest.column("label").tolist()[:4] == ["anger", "neutral", "sadness", "surprise"]
    assert set(manifest.column("speaker")) == {"DC", "JE"}


def test_tess_names_its_words_and_tests_each_actress(tmp_path: Path) -> None:
    for name in ("OA_bite_neutral", "OAF_back_ps", "YAF_bite_neutral", "YAF_back_ps"):
        (tmp_path / f"{name}.wav").touch()
    manifest = read_corpus("tess", tmp_path)
    assert manifest.ids.tolist()[:2] == ["OAF_back_ps", "OAF_bite_neutral"]
    assert manifest.row(1).text == "Say the word bite."
    assert "1 x misnamed file, read under its proper name: 'OA_bite_neutral.wav'" in manifest.notes
    with pytest.raises(ManifestError):
        read_corpus("tess", tmp_path / "nowhere")
    everything = [
        f"{actress}_{word}_{emotion}.wav"
        for actress in ("OAF", "YAF")
        for word in ("a", "b")
        for emotion in ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")
    ]
    for name in everything:
        (tmp_path / name).touch()
    plan = make_plan(read_corpus("tess", tmp_path), "leave-one-speaker-out", "none")
    assert [fold.name for fold in plan] == ["OAF", "YAF"]


def test_a_closed_folder_beside_the_clips_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied(tmp_path, "emodb", "flat")
    (root / "lost+found").mkdir()
    listed = Path.iterdir

    def refuse(folder: Path) -> Iterator[Path]:  # Root may open every folder.
        if folder.name == "lost+found":
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    manifest = read_corpus("emodb", root)
    assert len(manifest) == 3 and counted(manifest.notes)[CLOSED] == 1
