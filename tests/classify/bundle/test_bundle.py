"""A bundle on disk: it says what it is, answers as it did in memory, and is read only if whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classify.bundle.bundle import Bundle, read_bundle, write_bundle
from classify.bundle.folder import ARRAYS, CARD, DESCRIPTION, FILES, MANIFEST, _manifest_text
from classify.commands import inspect_model, run_fusion_grid
from embeddings_store.errors import ProjectError, StoreError, StoreNotFoundError, UsageError
from embeddings_store.provenance import file_digest
from embeddings_store.store import open_store

ALL_FILES = (*FILES, MANIFEST)


def rows_of(store: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    fold = open_store(store).fold(1)
    return dict(fold.test.vectors), dict(fold.test.present)


def copied(exported: Path, folder: Path) -> Path:
    return Path(shutil.copytree(exported, folder / "model"))


def test_it_answers_as_it_did_in_memory(exported: Path, store: Path, tmp_path: Path) -> None:
    bundle = read_bundle(exported)
    write_bundle(tmp_path / "again", bundle)
    again = read_bundle(tmp_path / "again")
    vectors, present = rows_of(store)
    present["text"] = present["text"] & (np.arange(len(present["text"])) % 3 > 0)
    first, second = bundle.system.answer(vectors, present), again.system.answer(vectors, present)
    np.testing.assert_array_equal(first.values, second.values)
    for name in (ARRAYS, DESCRIPTION, CARD):
        assert (tmp_path / "again" / name).read_bytes().replace(b"# again", b"# model") == (
            exported / name
        ).read_bytes(), name


def test_it_says_what_it_is(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect_model.main([str(exported)]) == 0
    said = capsys.readouterr().out
    assert "labels audio, text with: anger, neutral, sadness" in said
    assert "cross-validated WA " in said and "95 % interval" in said
    assert (
        "System: weighted(calibrated(svm(audio), fit_rows=oof), nn(text, epochs=3), fit_rows=oof)"
        in said
    )
    assert (
        "What learns from class scores learnt from: class scores of all rows, out of fold" in said
    )
    assert "by speaker: Ada" in said
    card = (exported / CARD).read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: emotion-fusion\n")
    assert "must not be used for" in card and "holds those of the corpus" in card


def test_the_weights_are_learnt_on_scores_of_rows_that_were_left_out(exported: Path) -> None:
    """On rows that it was fitted on the network would be right nearly always, and outweigh."""
    bundle = read_bundle(exported)
    (rule,) = [rule for part, rule in bundle.system.rules.items() if part.word == "weighted"]
    assert sum(rule.weights) == pytest.approx(1)


@pytest.mark.parametrize("name", ALL_FILES)
def test_an_incomplete_bundle_is_refused(exported: Path, tmp_path: Path, name: str) -> None:
    folder = copied(exported, tmp_path)
    (folder / name).unlink()
    expected = StoreNotFoundError if name == MANIFEST else StoreError
    with pytest.raises(expected, match=name):
        read_bundle(folder)


def test_a_newer_bundle_is_refused(exported: Path, tmp_path: Path) -> None:
    folder = copied(exported, tmp_path)
    content = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**content, "version": 3}))
    with pytest.raises(StoreError, match="install a newer one"):
        read_bundle(folder)


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(StoreNotFoundError, match="is no bundle"):
            read_bundle(folder)


def test_nothing_is_written_over(exported: Path) -> None:
    bundle = read_bundle(exported)
    other = replace(bundle, about={**bundle.about, "corpus": "another"})
    with pytest.raises(UsageError, match="is there already"):
        write_bundle(exported, other)
    refitted = replace(bundle, seen=replace(bundle.seen, rows=bundle.seen.rows[1:]))
    with pytest.raises(UsageError, match="is there already"):
        write_bundle(exported, refitted)


def test_the_same_bundle_stays_as_it_is(exported: Path) -> None:
    """A run that was killed after its export goes on when the same command is run again."""
    before = {path.name: path.read_bytes() for path in exported.iterdir()}
    bundle = read_bundle(exported)
    write_bundle(exported, replace(bundle, about={**bundle.about, "created": "tomorrow"}))
    assert {path.name: path.read_bytes() for path in exported.iterdir()} == before


def sign_anew(folder: Path) -> None:
    """Write the digests that belong to what lies in the folder now, as a stranger could."""
    sizes = {}
    for name in FILES:
        path = folder / name
        sizes[name] = {"bytes": path.stat().st_size, "sha256": file_digest(path)}
    (folder / MANIFEST).write_text(_manifest_text(sizes))


def altered(folder: Path, generator: np.random.Generator) -> str:
    """Alter one to three bytes of one file, or cut it, and say what was done."""
    path = folder / str(generator.choice(ALL_FILES))
    content = bytearray(path.read_bytes())
    before = bytes(content)
    if generator.random() < 0.1:
        del content[int(generator.integers(len(content))) :]
    else:
        for place in generator.integers(len(content), size=generator.integers(1, 4)):
            content[place] = int(generator.integers(256))
    path.write_bytes(bytes(content))
    return "" if bytes(content) == before else path.name


def refuse_altered(exported: Path, folder: Path, times: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    whole = {name: (exported / name).read_bytes() for name in ALL_FILES}
    for number in range(times):
        name = altered(folder, generator)
        if not name:
            continue
        with pytest.raises(StoreError) as caught:
            read_bundle(folder)
        assert str(folder) in str(caught.value), (number, name)
        (folder / name).write_bytes(whole[name])


def test_no_altered_byte_passes(exported: Path, tmp_path: Path) -> None:
    refuse_altered(exported, copied(exported, tmp_path), 300, 1)


@pytest.mark.slow
def test_no_altered_byte_passes_in_a_thousand_trials(exported: Path, tmp_path: Path) -> None:
    refuse_altered(exported, copied(exported, tmp_path), 1000, 2)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_altered_bytes_under_digests_that_were_written_anew_are_no_crash(
    exported: Path, tmp_path: Path
) -> None:
    """A digest is no signature: then the fields decide, and what passes answers with numbers."""
    folder = copied(exported, tmp_path)
    generator = np.random.default_rng(3)
    whole = {name: (exported / name).read_bytes() for name in ALL_FILES}
    for _ in range(150):
        name = altered(folder, generator)
        sign_anew(folder)
        try:
            assert isinstance(read_bundle(folder), Bundle)
        except ProjectError as error:
            assert str(folder) in str(error) or "label" in str(error)
        for file in {name, MANIFEST} - {""}:
            (folder / file).write_bytes(whole[file])


class Payload:
    """An object whose pickle creates ``marker`` when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


def test_a_pickle_in_the_place_of_an_array_is_not_loaded(exported: Path, tmp_path: Path) -> None:
    folder, marker = copied(exported, tmp_path), tmp_path / "executed"
    with np.load(folder / ARRAYS) as stored:
        arrays = dict(stored.items())
    first = next(iter(arrays))
    np.savez(folder / ARRAYS, **{**arrays, first: np.array([Payload(marker)], dtype=object)})
    sign_anew(folder)
    with pytest.raises(StoreError, match="Python objects, which are never loaded"):
        read_bundle(folder)
    assert not marker.exists()
    with np.load(folder / ARRAYS, allow_pickle=True) as careless:  # the payload works
        careless[first]
    assert marker.exists()


Refused = tuple[tuple[str, ...], str]
REFUSED: tuple[Refused, ...] = (
    (("--export-cell", "bath"), "unknown cell to export 'bath'"),
    (("--export-cell", "baseline majority"), "is chance"),
    (("--shuffle-labels", "1"), "permuted"),
)


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_cannot_be_exported_is_refused_in_one_line(
    store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    message: str,
) -> None:
    status = run_fusion_grid.main(
        [
            *("--store", str(store), "--out", str(tmp_path / "results"), "--jobs", "1"),
            *("--quiet", "--early", "none", "--late", "none", "--classifiers", "svm"),
            *("--export-model", str(tmp_path / "model"), *options),
        ]
    )
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert status == 2 and message in last
    assert not (tmp_path / "model").exists()


def test_fine_tuned_encoders_are_refused_without_fold_final(
    make_trained: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run_fusion_grid.main(
        [
            *("--store", str(make_trained()), "--out", str(tmp_path / "results"), "--jobs", "1"),
            *("--quiet", "--early", "none", "--late", "none", "--classifiers", "svm"),
            *("--export-model", str(tmp_path / "model"), "--export-cell", "unimodal audio svm"),
        ]
    )
    assert status == 2
    assert "--fold final, the label set" in capsys.readouterr().err
