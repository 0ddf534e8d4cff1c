"""The IEMOCAP reader on a small release in the exact layout, with the real one's oddities."""

from __future__ import annotations

from pathlib import Path

import pytest

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, UnknownNameError
from extract.corpora import _iemocap_counts as counts
from extract.corpora import read_corpus
from extract.corpora._notes import differences
from extract.corpora.iemocap import DIALOGUE, DOCUMENTED, LABEL_SETS, UTTERANCE

HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
RATERS = (
    "C-E2:\tNeutral; Anger;\t()\nC-F1:\tNeutral;\t()\nA-E3:\tval 3; act 2; dom  2;\t(caf\u00e9)\n\n"
)


def evaluation(dialogue: str, turns: list[tuple[str, str]]) -> str:
    """Return an evaluation file of (``M000``, raw label) turns, two seconds each."""
    lines = [
        f"[{6 + 2 * i:.4f} - {7.9357 + 2 * i:.4f}]\t{dialogue}_{turn}\t{label}\t[2.5000, 3.0000, "
        f"3.5000]\n{RATERS}"
        for i, (turn, label) in enumerate(turns)
    ]
    return HEADER + "".join(lines)


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Two sessions, three dialogues, every oddity once."""
    root = tmp_path / "IEMOCAP_full_release"
    for session, dialogue, turns in (
        (
            "Session1",
            "Ses01F_impro01",
            [("F000", "neu"), ("M000", "ang"), ("F001", "xxx"), ("M001", "exc"), ("M002", "hap")],
        ),
        ("Session1", "Ses01M_script01_1b", [("F000", "sad"), ("M000", "fru")]),
        ("Session3", "Ses03M_impro05a", [("M000", "ang"), ("F000", "sad")]),
    ):
        base = root / session
        write(
            base / "dialog" / "EmoEvaluation" / f"{dialogue}.txt",
            evaluation(dialogue, turns).encode("latin-1"),
        )
        words = [
            f"{dialogue}_{turn} [006.0001-007.9357]: Well]: [LAUGHTER] I said {turn} [pause]."
            for turn, _ in turns
        ]
        write(base / "dialog" / "transcriptions" / f"{dialogue}.txt", "\n".join(words) + "\n")
        for turn, _ in turns:
            write(base / "sentences" / "wav" / dialogue / f"{dialogue}_{turn}.wav", b"")
        write(base / "dialog" / "avi" / "DivX" / f"{dialogue}.avi", b"")
    text = root / "Session1" / "dialog" / "transcriptions" / "Ses01F_impro01.txt"
    write(
        text,
        b"Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me, caf\xe9.\x85Yes\r\n"
        b"M: Okay.\nF: No.\nSes01F_impro01_FXX0 [1.0-2.0]: Mmhmm.\n"
        b"Ses01F_impro01_M000 [008.0000-009.9357]: [LAUGHTER]\n"
        b"Ses01F_impro01_M001 [1.0-2.0]: Yeah. ++BREATHING++ Right.\n",
    )
    for odd in (
        "Session1/dialog/EmoEvaluation/._Ses01F_impro01.txt",
        "Session1/dialog/EmoEvaluation/Notes.txt",
        "._Session1",
        "Session1/dialog/EmoEvaluation/Categorical/Ses01F_impro01_e2_cat.txt",
        "Documentation/readme.txt",
    ):
        write(root / odd, b"\x00\xff not text")
    (root / "Session3" / "dialog" / "avi" / "DivX" / "Ses03M_impro05a.avi").unlink()
    (
        root / "Session3" / "sentences" / "wav" / "Ses03M_impro05a" / "Ses03M_impro05a_F000.wav"
    ).unlink()
    return root


def test_rows(release: Path) -> None:
    manifest = read_corpus("iemocap", release)
    rows = manifest.table.set_index("id")
    assert list(rows.index) == [
        "Ses01F_impro01_F000",
        "Ses01F_impro01_M000",
        "Ses01F_impro01_M001",
        "Ses01F_impro01_M002",
        "Ses01M_script01_1b_F000",
        "Ses03M_impro05a_M000",
        "Ses03M_impro05a_F000",
    ]
    assert rows["label"].tolist() == ["neu", "ang", "exc", "hap", "sad", "ang", "sad"]
    assert manifest.labels is not None and manifest.labels.classes == (
        "anger",
        "happiness",
        "neutral",
        "sadness",
    )
    assert manifest.codes().tolist() == [2, 0, 1, 1, 3, 0, 3]
    assert rows["speaker"].tolist() == [
        "Ses01_F",
        "Ses01_M",
        "Ses01_M",
        "Ses01_M",
        "Ses01_F",
        "Ses03_M",
        "Ses03_F",
    ]
    assert rows["meta_video_side"].tolist() == [
        "left",
        "right",
        "right",
        "right",
        "right",
        "left",
        "right",
    ]
    assert rows["group"].iloc[4] == "Ses01M_script01_1b" and rows["session"].unique().tolist() == [
        "Ses01",
        "Ses03",
    ]
    assert rows["meta_kind"].tolist() == ["improvised"] * 4 + ["scripted"] + ["improvised"] * 2
    assert rows["audio"].iloc[0] == "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
    assert rows["video"].iloc[0] == "Session1/dialog/avi/DivX/Ses01F_impro01.avi"
    assert (rows["audio"].iloc[6], rows["video"].iloc[5]) == ("", "")
    assert rows[["meta_video_start_s", "meta_video_end_s"]].iloc[0].tolist() == [6.0, 7.9357]
    assert rows["start_s"].isna().all() and rows["end_s"].isna().all()
    assert rows[["meta_valence", "meta_arousal", "meta_dominance"]].iloc[0].tolist() == [
        2.5,
        3.0,
        3.5,
    ]
    assert manifest.root == release.resolve()


def test_texts_split_at_the_first_bracket_and_lose_their_tags(release: Path) -> None:
    rows = read_corpus("iemocap", release).table.set_index("id")["text"]
    assert rows["Ses01F_impro01_F000"] == "Excuse me, caf\u00e9. Yes"
    assert rows["Ses01F_impro01_M000"] == "[LAUGHTER]"
    assert rows["Ses01F_impro01_M001"] == "Yeah. Right."
    assert rows["Ses01F_impro01_M002"] == ""
    assert rows["Ses03M_impro05a_M000"] == "Well]: I said M000 [pause]."
    kept = read_corpus("iemocap", release, keep_tags=True).table.set_index("id")["text"]
    assert kept["Ses01F_impro01_M001"] == "Yeah. ++BREATHING++ Right."


def test_notes_count_what_was_skipped(release: Path) -> None:
    notes = "\n".join(read_corpus("iemocap", release).notes)
    for expected in (
        "2 of 5 sessions: Session1, Session3",
        "7 of 9 turns have a label of 'iemocap-4' (dropped: fru 1, xxx 1)",
        "1 of 7 turns have no audio file, first 'Ses03M_impro05a_F000'",
        "2 of 7 turns have no video file",
        "2 x hidden name skipped: '._Session1', '._Ses01F_impro01.txt'",
        "1 x file that is not named after a dialogue",
        "2 x transcription line without a turn skipped: 'Ses01F_impro01: M: Okay.'",
        "1 x transcribed turn without a label skipped: 'Ses01F_impro01_FXX0'",
        "1 x turn of nothing but tags, which are kept: 'Ses01F_impro01_M000'",
        "read as latin-1",
        "labelled turn without words: 'Ses01F_impro01_F001', 'Ses01F_impro01_M002'",
        "counts differ from the full release, first: rows with label ang, session Ses01: 1, where "
        "the full",
    ):
        assert expected in notes


def test_label_sets_kinds_and_dropped_turns(release: Path) -> None:
    sizes = {name: len(read_corpus("iemocap", release, label_set=name)) for name in LABEL_SETS}
    assert sizes == {"iemocap-4": 7, "iemocap-4-no-exc": 6, "iemocap-6": 8}
    improvised = read_corpus("iemocap", release, kind="improvised")
    assert (
        len(improvised) == 6
        and improvised.labels is not None
        and improvised.labels.name == "iemocap-4-improvised"
    )
    everything = read_corpus("iemocap", release, all_turns=True)
    assert len(everything) == 9 and (everything.codes() == -1).sum() == 2
    with pytest.raises(UnknownNameError, match="did you mean 'iemocap-4'"):
        read_corpus("iemocap", release, label_set="iemocap4")
    with pytest.raises(UnknownNameError, match="did you mean 'improvised'"):
        read_corpus("iemocap", release, kind="improvized")


def test_root_may_be_the_parent_but_not_two_releases(release: Path) -> None:
    assert read_corpus("iemocap", release.parent).root == release.resolve()
    release.rename(release.with_name("a"))
    write(
        release.parent / "b" / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt",
        HEADER,
    )
    with pytest.raises(ManifestError, match=r"several releases \(a, b\)"):
        read_corpus("iemocap", release.parent)


def test_broken_files_are_named(release: Path) -> None:
    path = release / "Session3" / "dialog" / "EmoEvaluation" / "Ses03M_impro05a.txt"
    good = path.read_text(encoding="latin-1")
    for broken, message in (
        (good.replace("\tang\t", "\t\t"), "line 3"),
        (good.replace("\tang\t", "\tagn\t"), "unknown label 'agn'"),
        (good.replace("7.9357", "5.9357"), "starts at 6.0000 s and ends at 5.9357 s"),
    ):
        path.write_text(broken, encoding="latin-1")
        with pytest.raises(ManifestError, match=message):
            read_corpus("iemocap", release)
    path.write_text(
        good.replace("Ses03M_impro05a_F000", "Ses03M_impro05b_F000"), encoding="latin-1"
    )
    assert (
        "1 x labelled turn with an odd name skipped: 'Ses03M_impro05b_F000'"
        in read_corpus("iemocap", release).notes
    )
    path.write_text(good, encoding="latin-1")
    words = release / "Session3" / "dialog" / "transcriptions" / "Ses03M_impro05a.txt"
    words.write_text(words.read_text(encoding="utf-8") * 2, encoding="utf-8")
    with pytest.raises(ManifestError, match="transcribed twice"):
        read_corpus("iemocap", release)
    words.unlink()
    assert (
        "1 x dialogue without a transcription: 'Ses03M_impro05a'"
        in read_corpus("iemocap", release).notes
    )


@pytest.mark.parametrize(
    "name", ["Ses01F_impro01", "Ses03M_impro05a", "Ses05M_script01_1b", "Ses02F_script03_2"]
)
def test_names_of_the_release(name: str) -> None:
    assert (
        DIALOGUE.fullmatch(name)
        and UTTERANCE.fullmatch(f"{name}_M012")
        and not UTTERANCE.fullmatch(f"{name}_MXX0")
    )


def full_counts() -> Manifest:
    """Return a manifest with the published counts per session, label, gender and kind, alone."""
    columns: dict[str, list[str]] = {
        name: [] for name in ("id", "label", "session", "meta_gender", "meta_kind", "text")
    }
    for index, session in enumerate(counts.SESSIONS):
        labels = [
            label for label, numbers in counts.PER_SESSION.items() for _ in range(numbers[index])
        ]
        columns["label"] += labels
        columns["session"] += [session] * len(labels)
        for column in ("meta_gender", "meta_kind"):
            columns[column] += [
                v
                for (c, v), numbers in counts.FOUR_WAY.items()
                if c == column
                for _ in range(numbers[index])
            ]
    columns["id"] = [str(i) for i in range(len(columns["label"]))]
    columns["text"] = ["x"] * len(columns["id"])
    return Manifest.from_columns("iemocap", columns, labels=LABEL_SETS["iemocap-4"])


def test_published_counts_add_up_and_are_checked() -> None:
    assert {
        label: sum(numbers) for label, numbers in counts.PER_SESSION.items()
    }.items() <= counts.TOTAL.items()
    assert sum(counts.TOTAL.values()) == 10_039
    sizes = {
        name: sum(counts.TOTAL[label] for label in labels.mapping)
        for name, labels in LABEL_SETS.items()
    }
    assert sizes == {"iemocap-4": 5531, "iemocap-4-no-exc": 4490, "iemocap-6": 7380}
    manifest = full_counts()
    under = {"label_set": "iemocap-4", "kind": "all", "all_turns": False}
    wanted = [count for count in DOCUMENTED if count.holds(under)]
    assert len(wanted) == 5 * 5 + 5 * 4 and not [
        count for count in DOCUMENTED if count.holds(under | {"kind": "improvised"})
    ]
    assert len(manifest) == 5531 and differences(manifest, wanted) == ()
    changed = manifest.table.copy()
    changed.loc[changed.index[0], "label"] = "sad"
    assert differences(Manifest("iemocap", changed, manifest.labels), wanted) == (
        "rows with label ang, session Ses01: 228, where the full release has 229",
        "rows with label sad, session Ses01: 195, where the full release has 194",
    )


def test_ratings_are_leaky_and_every_metadata_column_has_a_tag(release: Path) -> None:
    manifest = read_corpus("iemocap", release)
    assert manifest.tagged("leaky") == ("meta_valence", "meta_arousal", "meta_dominance")
    assert manifest.tagged("unknown") == ()
