"""Which part of its film a row is: what the cells may hold, and what is said of any other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numbered_videos as numbered
import numpy as np
import pytest

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, MediaError, UsageError
from extract.checks import run_checks
from extract.checks.finding import ReleaseUnderCheck
from extract.encoders.settings import InputSettings
from extract.frames import FrameCache, FrameSettings
from extract.pipeline.film_parts import require_sides, video_spans
from extract.pipeline.frozen import FrozenJob, prepare_extraction
from extract.pipeline.inputs import decode_ahead, reader_for
from extract.pipeline.job import CorpusSource, EncoderChoice


def corpus(sides: list[Any], root: Path | None = None, **columns: list[Any]) -> Manifest:
    given = {
        "id": [f"row{n}" for n in range(len(sides))],
        "label": ["joy", "anger"] * (len(sides) // 2) + ["joy"] * (len(sides) % 2),
        "video": ["film.avi"] * len(sides),
        "start_s": [0.1 * n for n in range(len(sides))],
        "end_s": [0.1 * n + 0.1 for n in range(len(sides))],
        "meta_video_side": sides,
        **columns,
    }
    return Manifest.from_columns("m", given, root=root)


def test_a_side_is_written_as_people_write_it():
    cells = ["left", "L", " Left ", "RIGHT", "r", ""]
    spans = video_spans(corpus(cells))
    assert [span.side for span in spans.values()] == ["left"] * 3 + ["right"] * 2 + [""]
    assert {span.side for span in video_spans(corpus([np.nan] * 2)).values()} == {""}


@pytest.mark.parametrize(
    "columns, words",
    [
        (
            {"sides": ["left", "middle", "1"]},
            "column meta_video_side: row 'row1': 'middle', row 'r",
        ),
        (
            {"sides": ["L", "L"], "meta_video_start_s": ["", "soon"], "meta_video_end_s": [1.0, 2]},
            "row 'row1', column meta_video_start_s: 'soon' is no number of seconds",
        ),
        (
            {"sides": ["L", "L"], "meta_video_start_s": [3.0, 1.0], "meta_video_end_s": [2.0, 2.0]},
            "row 'row0': meta_video_start_s = 3 and meta_video_end_s = 2 are no part of a film",
        ),
        (
            {"sides": ["L", "L"], "meta_video_start_s": [0.0, 1.0]},
            "has a column meta_video_start_s and no meta_video_end_s; add it",
        ),
    ],
)
def test_another_word_is_refused_with_row_and_column(columns, words):
    with pytest.raises(ManifestError, match=words):
        video_spans(corpus(**columns))


def test_one_empty_cell_costs_its_row_alone_and_is_named(tmp_path):
    numbered.write(tmp_path / "film.avi", count=20)
    manifest = corpus(["L", "", "R"], tmp_path)
    frames = FrameSettings(frames=2, region="half", size=32)
    encoder: Any = SimpleNamespace(spec=SimpleNamespace(modality="video"), frames=frames)
    cache, counts = FrameCache(tmp_path / "cache"), []
    decode_ahead(encoder, manifest, cache, np.arange(3), counts.append)
    assert sum(counts) == 3
    read = reader_for(encoder, manifest, cache)
    assert read(manifest.row(0)).length == read(manifest.row(2)).length == 2
    with pytest.raises(MediaError, match="row 'row1': meta_video_side is empty, and region 'half'"):
        read(manifest.row(1))
    (said,) = [found for found in checked(manifest) if found.check == "sides"]
    assert said.examples == ("row1",) and said.level == "warning"


def checked(manifest: Manifest) -> list[Any]:
    return run_checks(ReleaseUnderCheck(manifest, manifest.root or Path()))


def test_films_with_times_and_no_sides_are_checked(tmp_path):
    manifest = corpus(
        ["", ""], tmp_path, meta_video_start_s=[0.0, 0.0], meta_video_end_s=[1.0, 1.0]
    )
    without = Manifest.from_columns(
        "m",
        {
            name: manifest.table[name].tolist()
            for name in manifest.table.columns
            if name != "meta_video_side"
        },
        root=tmp_path,
    )
    assert [found.count for found in checked(without) if found.check == "same part twice"] == [2]


@pytest.mark.parametrize(
    "sides, region, words",
    [
        (["", ""], "half", "no row says which: write left or right into a column meta_video_side"),
        (["", "R"], "face", "film of row 'row1' is a split screen .*; use --region half-face"),
    ],
)
def test_a_region_that_no_row_has_is_refused_before_an_encoder_is_loaded(sides, region, words):
    if region == "face":
        pytest.importorskip("cv2", reason="needs the extra 'face'")
    manifest = corpus(sides)
    with pytest.raises(UsageError, match=words):
        require_sides(manifest, region)
    inputs = InputSettings(frames=FrameSettings(region=region))
    job = FrozenJob(CorpusSource("manifest", Path()), "video", EncoderChoice(inputs=inputs))
    with pytest.raises(UsageError, match=words):
        prepare_extraction(job, manifest)
