"""check-corpus finds what is planted, says what to do, and exits with what it means."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numbered_videos as numbered
import numpy as np
import pytest
import soundfile
from PIL import Image

from embeddings_store.corpus.manifest import Manifest
from extract.checks import reading
from extract.checks.finding import CorpusFinding, ReleaseUnderCheck
from extract.checks.picture import draw_labels, label_groups
from extract.checks.reading import read_media, tasks_of
from extract.checks.report import check
from extract.commands.check_corpus import main
from extract.corpora import READERS, read_corpus
from extract.corpora.generated import FAILS, RELEASES, make_release

OPTIONS = {"cremad": {"label": "multimodal"}}
TONE = 0.1 * np.sin(np.arange(16000) / 9).astype(np.float32)


def findings(release: ReleaseUnderCheck) -> dict[str, list[dict[str, object]]]:
    """Findings by check."""
    found: dict[str, list[dict[str, object]]] = {}
    for finding in check(release)["findings"]:
        found.setdefault(str(finding["check"]), []).append(finding)
    return found


def examined(manifest: Manifest, **kwargs: object) -> ReleaseUnderCheck:
    facts = read_media(manifest, tasks_of(manifest), 2, lambda n: None)
    return ReleaseUnderCheck(manifest, manifest.root, media=facts, **kwargs)


def film(path: Path, colours: list[int]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for colour in colours:
            picture = np.full((48, 64, 3), colour, dtype=np.uint8)
            picture[:, 32:] = min(255, 2 * colour)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def rows(root: Path, count: int = 8) -> dict[str, list[object]]:
    for i in range(count):
        soundfile.write(root / f"{i}.wav", TONE[: 8000 + 10 * i], 16000)
    return {
        "id": [f"u{i}" for i in range(count)],
        "label": ["x", "y"] * (count // 2),
        "session": [str(i // 2) for i in range(count)],
        "audio": [f"{i}.wav" for i in range(count)],
        "text": ["yes"] * count,
    }


# --- generated releases


@pytest.mark.parametrize("corpus", sorted(RELEASES))
def test_every_planted_defect_is_reported(corpus: str, tmp_path: Path) -> None:
    planted = make_release(corpus, tmp_path / corpus, defects=True)
    manifest = read_corpus(corpus, tmp_path / corpus, **OPTIONS.get(corpus, {}))
    release = examined(manifest, documented=READERS[corpus].documented(**OPTIONS.get(corpus, {})))
    found = findings(release)
    notes = {str(f["sentence"]): f["examples"] for f in found["reader"]}
    broken = [
        shown
        for name in ("audio unreadable", "video unreadable")
        for f in found.get(name, [])
        for shown in f["examples"]
    ]
    for defect in planted:
        name = Path(defect.where).name
        named = broken if defect.comes_to == FAILS else notes[defect.comes_to]
        assert any(name in example for example in named), (defect, named)
    assert check(release)["status"] == 3


@pytest.mark.parametrize("corpus", sorted(RELEASES))
def test_a_small_release_without_a_flaw_is_only_small(corpus: str, tmp_path: Path) -> None:
    make_release(corpus, tmp_path / corpus)
    manifest = read_corpus(corpus, tmp_path / corpus)
    found = findings(examined(manifest, documented=READERS[corpus].documented()))
    assert (
        not {
            "audio unreadable",
            "video unreadable",
            "silent",
            "one colour",
            "times outside the file",
            "hidden twins",
            "audio there",
            "video there",
            "label words",
            "text encoding",
        }
        & found.keys()
    )
    errors = {f["check"] for fs in found.values() for f in fs if f["level"] == "error"}
    assert errors <= {"documented counts", "reader", "folds"}


def test_the_real_clips_are_sound_and_half_a_release(shared: Path, tmp_path: Path) -> None:
    root = shared / "data" / "ravdess"
    manifest = read_corpus("ravdess", root)
    every = tasks_of(manifest, 24)
    release = ReleaseUnderCheck(
        manifest,
        root,
        READERS["ravdess"].documented(),
        read_media(manifest, every, 2, lambda n: None),
        720 - 24,
    )
    found = findings(release)
    assert [f["check"] for fs in found.values() for f in fs if f["level"] == "error"] == [
        "documented counts"
    ]
    assert found["audio formats"][0]["sentence"] == "audio: 16000 Hz mono (24)"
    assert check(release)["status"] == 3
    assert not {"audio of one length", "release's rate"} & found.keys()


def test_a_copy_of_a_release_that_was_cut_and_converted_is_no_longer_sane_without_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_release("emodb", tmp_path / "emodb")
    for path in (tmp_path / "emodb" / "wav").iterdir():
        soundfile.write(path, np.resize(TONE, 8000 * 2), 8000)
    main(["--corpus", "emodb", "--root", str(tmp_path / "emodb")])
    told = capsys.readouterr().out
    assert "audio file at another rate than the release's 16,000 Hz" in told
    assert "audio file of exactly 2.00 s" in told


def test_melds_odd_times_are_named(shared: Path) -> None:
    manifest = read_corpus("meld", shared / "data" / "meld")
    release = ReleaseUnderCheck(manifest, shared, READERS["meld"].documented())
    named = " ".join(example for f in findings(release)["times"] for example in f["examples"])
    assert all(
        name in named for name in ("test_dia155_utt3", "test_dia38_utt4", "test_dia220_utt0")
    )
    assert check(release)["status"] == 0


# --- single faults


def test_a_sane_corpus_is_sane(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = Manifest.from_columns("m", rows(tmp_path), root=tmp_path).table
    table[["id", "label", "audio", "session", "text"]].to_csv(tmp_path / "m.csv", index=False)
    assert main(["--corpus", "manifest", "--root", str(tmp_path / "m.csv")]) == 0
    out = capsys.readouterr().out
    assert "m: 8 rows; sane" in out and "errors" not in out
    assert (
        "min 0.50 s, median 0.50 s, mean 0.50 s, max 0.50 s; 0 (0.0%) are longer than 10 s" in out
    )


def _cut(root: Path, _: dict[str, list[object]]) -> None:
    data = (root / "1.wav").read_bytes()
    (root / "1.wav").write_bytes(data[: len(data) // 2])


def _nan(root: Path, _: dict[str, list[object]]) -> None:
    soundfile.write(root / "1.wav", np.full(8000, np.nan, dtype=np.float32), 16000, subtype="FLOAT")


def _same_length(root: Path, numbers: Iterable[int], samples: int = 7900) -> None:
    for number in numbers:
        tone = TONE[number : samples + number]
        soundfile.write(root / f"{number}.wav", tone, 16000)


FAULTS = {
    "silent": (
        4,
        "silent",
        "u1",
        lambda root, t: soundfile.write(root / "1.wav", np.zeros(8000), 16000),
    ),
    "cut": (4, "audio unreadable", "1.wav: is cut short", _cut),
    "noise": (
        4,
        "audio unreadable",
        "1.wav: is torn",
        lambda root, t: (root / "1.wav").write_bytes(b"\x07" * 999),
    ),
    "empty": (
        4,
        "audio unreadable",
        "1.wav: is empty",
        lambda root, t: (root / "1.wav").write_bytes(b""),
    ),
    "not finite": (4, "audio unreadable", "samples that are not finite", _nan),
    "missing": (3, "audio there", "1.wav", lambda root, t: (root / "1.wav").unlink()),
    "pointer": (
        3,
        "audio there",
        "1.wav",
        lambda root, t: (root / "1.wav").write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
        ),
    ),
    "outside": (
        3,
        "audio there",
        "1.wav",
        lambda root, t: ((root / "1.wav").unlink(), (root / "1.wav").symlink_to("/etc/hosts")),
    ),
    "twin": (0, "hidden twins", "._1.wav", lambda root, t: (root / "._1.wav").write_bytes(b"Mac")),
    "same bytes": (
        0,
        "same bytes",
        "1.wav = 3.wav",
        lambda root, t: shutil.copy(root / "1.wav", root / "3.wav"),
    ),
    "same bytes, two labels": (
        4,
        "same bytes",
        "1.wav = 2.wav",
        lambda root, t: shutil.copy(root / "1.wav", root / "2.wav"),
    ),
    "rate": (
        0,
        "audio formats",
        "1.wav: 8000 Hz stereo",
        lambda root, t: soundfile.write(root / "1.wav", np.stack([TONE, TONE], 1)[:4000], 8000),
    ),
    "label case": (3, "label words", "'X' / 'x'", lambda root, t: t["label"].__setitem__(0, "X")),
    "label space": (
        3,
        "label words",
        "'x' / 'x '",
        lambda root, t: t["label"].__setitem__(0, "x "),
    ),
    "no label": (0, "rows without a label", "u1", lambda root, t: t["label"].__setitem__(1, "")),
    "no words": (0, "empty transcripts", "u1", lambda root, t: t["text"].__setitem__(1, "  ")),
    "cp1252": (0, "text encoding", "u1", lambda root, t: t["text"].__setitem__(1, "don\x92t")),
    "mojibake": (
        0,
        "text encoding",
        "u1",
        lambda root, t: t["text"].__setitem__(1, "don\u00e2\u20ac\u2122t"),
    ),
    "replacement": (
        0,
        "text encoding",
        "u1",
        lambda root, t: t["text"].__setitem__(1, "na\ufffdve"),
    ),
    "beyond the file": (
        4,
        "times outside the file",
        "u1: ",
        lambda root, t: t.update(
            start_s=[np.nan, 3.0] + [np.nan] * 6, end_s=[np.nan, 4.0] + [np.nan] * 6
        ),
    ),
    "same part": (0, "same part twice", "u1", lambda root, t: t["audio"].__setitem__(3, "1.wav")),
    "same part, other label": (
        3,
        "same part twice",
        "u1",
        lambda root, t: t["audio"].__setitem__(2, "1.wav"),
    ),
    "reversed": (
        0,
        "times",
        "u1: 5 to 4 s",
        lambda root, t: t.update(meta_x_start_s=[0.0, 5.0] + [0.0] * 6, meta_x_end_s=[4.0] * 8),
    ),
    "negative": (
        0,
        "times",
        "u1: -5 to 4 s",
        lambda root, t: t.update(meta_x_start_s=[0.0, -5.0] + [0.0] * 6, meta_x_end_s=[4.0] * 8),
    ),
    "far too long": (
        0,
        "times",
        "u1: 0 to 300 s",
        lambda root, t: t.update(meta_x_start_s=[0.0] * 8, meta_x_end_s=[4.0, 300.0] * 4),
    ),
    "another cut": (
        0,
        "lengths",
        "u1: 0.50 s, not 4.00 s",
        lambda root, t: t.update(meta_x_start_s=[7.0] * 8, meta_x_end_s=[7.5, 11.0] + [7.5] * 6),
    ),
    "long sound": (
        0,
        "durations",
        "u1: 61.000 s",
        lambda root, t: soundfile.write(root / "1.wav", np.tile(TONE, 61), 16000),
    ),
    "one length": (
        0,
        "audio of one length",
        "1.wav",
        lambda root, t: _same_length(root, range(1, 5)),
    ),
    "a pile at the longest": (
        0,
        "audio of one length",
        "6.wav",
        lambda root, t: _same_length(root, (6, 7), 8100),
    ),
    "no folds": (0, "folds", "", lambda root, t: t.pop("session")),
    "torn groups": (3, "folds", "", lambda root, t: t.update(group=["g"] * 8)),
    "no row of a class": (
        3,
        "folds",
        "",
        lambda root, t: t["label"].__setitem__(slice(None), ["x"] * 6 + ["y"] * 2),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_single_fault_is_found_and_decides_the_status(fault: str, tmp_path: Path) -> None:
    status, name, example, plant = FAULTS[fault]
    table = rows(tmp_path)
    before = findings(
        examined(Manifest.from_columns("m", table, root=tmp_path, protocol="leave-one-session-out"))
    )
    plant(tmp_path, table)
    protocol = "leave-one-session-out" if "session" in table else ""
    release = examined(Manifest.from_columns("m", table, root=tmp_path, protocol=protocol))
    found = findings(release)[name]
    serious = [f for f in found if f["level"] != "fact"]
    assert serious and not [f for f in before.get(name, []) if f["level"] != "fact"]
    assert any(example in shown for f in serious for shown in f["examples"]) or not example, serious
    assert all(f["advice"] for f in serious)
    assert check(release)["status"] == status
    assert str(tmp_path) not in json.dumps(check(release))


def test_films_of_one_colour_and_cut_films_are_found(tmp_path: Path) -> None:
    film(tmp_path / "good.mp4", [40, 60, 80, 100, 120])
    film(tmp_path / "black.mp4", [0] * 5)
    film(tmp_path / "cut.mkv", [40, 60, 80, 100, 120] * 20)
    data = (tmp_path / "cut.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
    manifest = Manifest.from_columns(
        "m",
        {"id": ["good", "black", "cut"], "video": ["good.mp4", "black.mp4", "cut.mkv"]},
        root=tmp_path,
    )
    found = findings(examined(manifest))
    assert found["one colour"][0]["examples"] == ["black"]
    assert found["video unreadable"][0]["examples"][0].startswith(
        "cut.mkv: is cut short: its header promises 10.00 s"
    )
    assert found["video formats"][0]["sentence"] == "video: 64 x 48 at 10 pictures/s (2)"


def test_a_film_is_of_the_size_in_which_it_is_shown(tmp_path: Path) -> None:
    upright = {"codec": "libx264", "count": 10}
    numbered.write(tmp_path / "turned.mp4", rotation=90, **upright)
    numbered.write(tmp_path / "wide.mp4", rotation=90, aspect=Fraction(3, 2), **upright)
    columns = {"id": ["a", "b"], "video": ["turned.mp4", "wide.mp4"]}
    found = findings(examined(Manifest.from_columns("m", columns, root=tmp_path)))
    assert found["video formats"][0]["sentence"] == (
        "video file of another format than most: 96 x 192 at 29.97 pictures/s (1), 96 x 288 at "
        "29.97 pictures/s (1)"
    )


def test_parts_of_a_long_sound_are_each_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "film.wav", np.concatenate([TONE, np.zeros(16000), TONE]), 16000)
    soundfile.write(tmp_path / "long.wav", np.concatenate([np.zeros(40000), TONE]), 16000)
    manifest = Manifest.from_columns(
        "m",
        {
            "id": ["a", "b", "c", "whole"],
            "audio": ["film.wav"] * 3 + ["long.wav"],
            "start_s": [0.0, 1.25, 2.0, np.nan],
            "end_s": [1.0, 1.75, 3.0, np.nan],
        },
        root=tmp_path,
    )
    monkeypatch.setattr(reading, "PIECE_S", 0.7)
    found = findings(examined(manifest, cut_s=1.0))
    assert found["silent"][0]["examples"] == ["b"]
    facts = found["durations"][0]["data"]
    assert (facts["rows"], facts["min_s"], facts["max_s"], facts["longer_than_1_s"]) == (
        4,
        0.5,
        3.5,
        1,
    )


# --- the command


def test_a_second_run_reads_only_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Manifest.from_columns("m", rows(tmp_path), root=tmp_path)
    memory = tmp_path / "media.jsonl"
    first = read_media(manifest, tasks_of(manifest), 2, lambda n: None, memory)
    with memory.open("a") as handle:
        handle.write('{"state": "torn by a ki')
    read: list[str] = []
    original = reading._read
    monkeypatch.setattr(
        reading, "_read", lambda root, task: (read.append(task.name), original(root, task))[1]
    )
    done: list[int] = []
    assert read_media(manifest, tasks_of(manifest), 2, done.append, memory) == first
    assert (read, sum(done)) == ([], 8)
    soundfile.write(tmp_path / "3.wav", TONE, 16000)
    again = read_media(manifest, tasks_of(manifest), 2, lambda n: None, memory)
    assert read == ["3.wav"] and again[3].length_s == 1.0


def test_a_changed_line_of_an_earlier_run_is_read_again(tmp_path: Path) -> None:
    manifest = Manifest.from_columns("m", rows(tmp_path), root=tmp_path)
    memory = tmp_path / "media.jsonl"
    first = read_media(manifest, tasks_of(manifest), 1, lambda n: None, memory)
    whole = memory.read_text(encoding="utf-8")
    for value in ('"long"', "null", "99.0", "[]"):
        changed = re.sub(r'"length_s": [\d.]+', f'"length_s": {value}', whole)
        assert changed != whole
        memory.write_text(changed, encoding="utf-8")
        assert read_media(manifest, tasks_of(manifest), 1, lambda n: None, memory) == first


@pytest.mark.telling
def test_the_report_and_the_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="the extra 'report' is not installed")
    make_release("iemocap", tmp_path / "release")
    where = ["--root", str(tmp_path / "release"), "--out", str(tmp_path / "out")]
    assert main(["--corpus", "iemocap", *where, "--json", "--media", "3"]) == 3
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["status"] == 3 and report["rows"] == 40 and report["media"]["read"] == 3
    assert report["pictures"] == ["labels.png", "labels.svg", "contact_sheet.png"]
    for name in ("labels.png", "contact_sheet.png"):
        assert np.ptp(np.asarray(Image.open(tmp_path / "out" / name).convert("L"))) > 200
    svg = (tmp_path / "out" / "labels.svg").read_text()
    assert all(word in svg for word in ("anger (10)", "Ses03", "40 rows by class and session"))
    before = (tmp_path / "out" / "labels.svg").read_bytes()
    draw_labels(read_corpus("iemocap", tmp_path / "release"), tmp_path / "out")
    assert (tmp_path / "out" / "labels.svg").read_bytes() == before, "same corpus, same bytes"


@pytest.mark.parametrize(
    ("columns", "by", "names"),
    [
        ({"session": list("112233")}, "session", ["1", "2", "3"]),
        (
            {"split": ["train", "train", "test", "test", "valid", "train"]},
            "split",
            ["train", "valid", "test"],
        ),
        ({"speaker": list("112233")}, "fold of leave-one-speaker-out", ["1", "2", "3"]),
        ({}, "corpus", ["all rows"]),
    ],
)
def test_the_picture_groups_by_what_there_is(
    columns: dict[str, object], by: str, names: list[str]
) -> None:
    manifest = Manifest.from_columns(
        "m",
        {"id": list("abcdef"), "label": ["x", "y"] * 3, **columns},
        protocol="leave-one-speaker-out" if "speaker" in columns else "",
    )
    found_by, found_names, counts = label_groups(manifest)
    assert (found_by, found_names, counts.sum(), counts.shape) == (by, names, 6, (len(names), 2))


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--media", "some"], 2, "--media 'some': expected all, none, or a number"),
        (["--media", "0"], 2, "--media '0'"),
        (["--jobs", "0"], 2, "--jobs 0"),
        (["--corpus-option", "x"], 2, "write NAME=VALUE"),
        (["--root", "nowhere"], 3, "nowhere: no such file"),
    ],
)
def test_usage_is_checked(
    arguments: list[str],
    status: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.csv").write_text("id,text\na,b\n")
    assert main(["--corpus", "manifest", "--root", "m.csv", *arguments]) == status
    assert message in capsys.readouterr().err


def test_findings_keep_their_first_examples() -> None:
    assert len(CorpusFinding("fact", "c", "s", 99, [str(i) for i in range(99)]).examples) == 30
