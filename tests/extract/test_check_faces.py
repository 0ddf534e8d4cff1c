"""check-corpus says in which share of a row's pictures the speaker's face is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from embeddings_store.corpus.manifest import Manifest
from extract.checks import face_reading
from extract.checks.face_reading import look_at_faces, rows_to_look_at
from extract.commands.check_corpus import main
from extract.corpora.demo_release import faces

pytest.importorskip("cv2", reason="needs the extra 'face'")
HEAD = faces.draw(faces.look_of("Ses01_M", False), faces.EXPRESSIONS["neutral"], 0.0)
WALL = np.full_like(HEAD, faces.WALL)


def film(path: Path, pictures: Sequence[np.ndarray]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=16)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Rows with a face in all of their pictures, in some, in one half of a film, in none."""
    film(tmp_path / "all.avi", [HEAD] * 16)
    film(tmp_path / "some.avi", [HEAD] * 6 + [WALL] * 10)
    film(tmp_path / "split.avi", [np.hstack([WALL, HEAD])] * 16)
    (tmp_path / "torn.avi").write_bytes((tmp_path / "all.avi").read_bytes()[:3000])
    lines = ["id,label,video,meta_video_start_s,meta_video_end_s,meta_video_side"]
    for i, (name, side) in enumerate(
        [("all", ""), ("some", ""), ("split", "right"), ("split", "left"), ("torn", "")]
    ):
        lines.append(f"u{i},{'xy'[i % 2]},{name}.avi,0,1,{side}")
    table = tmp_path / "rows.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


def test_the_share_of_pictures_with_a_face_is_said_of_each_row(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--corpus", "manifest", "--root", str(corpus), "--media", "none"]
    assert main([*base, "--faces", "all", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    fact, *warnings = [found for found in report["findings"] if found["check"] == "faces"][::-1]
    assert fact["data"]["rows"] == {"u0": 1, "u1": 0.375, "u2": 1, "u3": 0, "u4": 0}
    assert (
        "a face in 48% of the pictures of 5 rows: 2 rows with one in all, 1 in some"
        in (fact["sentence"])
    )
    few, without = (found["examples"] for found in warnings)
    assert few == ["u1: 38%"]
    assert without[0].startswith("u3: split.avi: no face in any of 16 pictures")
    assert without[1].startswith("u4: torn.avi is cut short")
    assert main([*base, "--faces", "1"]) == 0
    assert "a face in 100% of the pictures of 1 rows" in capsys.readouterr().out
    assert main([*base, "--faces", "some"]) == 2
    assert "--faces 'some': expected all, none, or a number of rows" in capsys.readouterr().err


def test_nobody_looked_is_said_and_what_is_to_be_looked_at_is_not_simply_sane(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = corpus.read_text().splitlines()
    corpus.write_text("\n".join(lines[:3]))
    base = ["--corpus", "manifest", "--root", str(corpus)]
    assert main(base) == 0
    shown = capsys.readouterr().out
    assert "nobody looked whether the speaker's face is in the pictures" in shown
    assert shown.endswith("to look at; who is in the pictures was not looked at\n")
    assert main([*base, "--faces", "all"]) == 0
    shown = capsys.readouterr().out
    assert (
        "nobody looked" not in shown
        and "sane, with 2 warnings to look at" in shown.splitlines()[-1]
    )


def test_a_second_look_goes_on_where_the_first_was_stopped(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = np.genfromtxt(corpus, delimiter=",", names=True, dtype=None, encoding="utf-8")
    columns = {name: table[name].tolist() for name in table.dtype.names}
    manifest = Manifest.from_columns("m", columns, root=tmp_path)
    memory, done = tmp_path / "faces.jsonl", list[int]()
    rows = rows_to_look_at(manifest)
    first = look_at_faces(manifest, rows, 2, done.append, memory)
    assert [facts.row for facts in first] == ["u0", "u1", "u2", "u3", "u4"] and sum(done) == 5
    lines = memory.read_text().splitlines()
    memory.write_text("\n".join([line for line in lines if '"u1"' not in line] + ['{"sta']) + "\n")
    read: list[str] = []
    original = face_reading.VideoFile
    monkeypatch.setattr(
        face_reading, "VideoFile", lambda path: (read.append(path.name), original(path))[1]
    )
    assert look_at_faces(manifest, rows, 2, done.append, memory) == first
    assert read == ["some.avi"]
