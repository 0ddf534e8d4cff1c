"""Files of strangers run nothing: a payload in every kind of file that a command reads.

Each payload would create a marker. Where that is cheap, the loader that people use without a
thought is given the same file first, so that each test shows that its payload works.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile
import torch

from embeddings_store.errors import ManifestError, MediaError, ModelLoadError
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.hdf5 import verify, write_embeddings
from extract.commands import check_corpus, convert_corpus, extract_features
from extract.corpora import read_corpus
from extract.encoders.loading import _from_pretrained, _refuse_outside_references
from extract.media.file_check import check_media_file
from extract.media.opening import open_media

Main = Callable[[Sequence[str]], int]


@dataclass
class Payload:
    """An object whose pickle creates ``marker`` when it is loaded."""

    marker: Path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


class Trap:
    """Plants payloads and runs commands; the marker must never be there."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.marker = folder / "executed"
        self.capsys = capsys

    @property
    def payload(self) -> Payload:
        return Payload(self.marker)

    @property
    def pickled(self) -> bytes:
        return pickle.dumps(self.payload)

    def works(self, naive: Callable[[], object]) -> None:
        """Show that the loader without a safeguard would have run the payload."""
        try:
            naive()
        except Exception as error:
            assert self.marker.exists(), f"the payload was not reached: {error!r}"
        assert self.marker.exists(), "the payload does not work, so the test shows nothing"
        self.marker.unlink()

    def run(self, main: Main, *arguments: object) -> tuple[int, str]:
        """Run a command in process; it succeeds, or refuses in one line, and runs no payload."""
        self.capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        err = self.capsys.readouterr().err
        assert not self.marker.exists(), "a payload was executed"
        assert status in {0, 2, 3, 4}, err
        assert "Traceback" not in err
        return status, err

    def refused(self, main: Main, *arguments: object) -> str:
        """Run a command that has to refuse: exit status 2 or 3, and one line, which is returned."""
        status, err = self.run(main, *arguments)
        assert status in {2, 3}, err
        assert len(err.strip().splitlines()) == 1, err
        return err


@pytest.fixture
def trap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Trap:
    return Trap(tmp_path, capsys)


def sounds(root: Path, count: int = 6) -> list[str]:
    """Write a few short sounds and return their names."""
    root.mkdir(parents=True, exist_ok=True)
    names = [f"{number}.wav" for number in range(count)]
    for number, name in enumerate(names):
        soundfile.write(root / name, 0.1 * np.sin(np.arange(4000) / (9 + number)), 8000)
    return names


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database of audformat with one table in CSV."""
    audformat = pytest.importorskip("audformat", reason="the extra 'interchange' is not installed")
    root = tmp_path / "database"
    names = sounds(root)
    made = audformat.Database("mine")
    made["all"] = audformat.Table(audformat.filewise_index(names))
    made.schemes["emotion"] = audformat.Scheme("str")
    made["all"]["emotion"] = audformat.Column(scheme_id="emotion")
    made["all"]["emotion"].set(["ang", "sad"] * 3)
    made.save(str(root), storage_format="csv")
    return root


def every_reader(trap: Trap, name: str, root: Path) -> list[tuple[int, str]]:
    """Run the three commands that read a corpus."""
    here = ("--corpus", name, "--root", root)
    ways: list[tuple[Main, tuple[object, ...]]] = [
        (check_corpus.main, here),
        (convert_corpus.main, (*here, "--to", "manifest", "--out", root.parent / "converted")),
        (
            extract_features.main,
            (
                *here,
                "--store",
                root.parent / "store",
                "--frozen",
                "--modality",
                "audio",
                "--dry-run",
            ),
        ),
    ]
    return [trap.run(main, *arguments) for main, arguments in ways]


TAGS = {
    "apply": "!!python/object/apply:os.mknod ['{marker}']",
    "new": "!!python/object/new:os.mknod ['{marker}']",
    "verbatim": "!<tag:yaml.org,2002:python/object/apply:os.mknod> ['{marker}']",
    "key": "? !!python/object/apply:os.mknod ['{marker}']\n: 1",
}


@pytest.mark.parametrize("form", sorted(TAGS))
def test_a_tag_in_the_header_of_audformat(form: str, database: Path, trap: Trap) -> None:
    audformat = pytest.importorskip("audformat")
    header = database / "db.yaml"
    tagged = TAGS[form].format(marker=trap.marker)
    line = tagged if form == "key" else f"extra: {tagged}"
    header.write_text(f"{header.read_text()}\n{line}\n")
    trap.works(lambda: audformat.Database.load(str(database)))
    for status, err in every_reader(trap, "audformat", database):
        assert status == 3 and len(err.splitlines()) == 1
        assert "has the tag" in err and "db.yaml" in err


def test_a_handle_of_tags_in_the_header_of_audformat(database: Path, trap: Trap) -> None:
    header = database / "db.yaml"
    text = header.read_text()
    payload = f"extra: !p!object/apply:os.mknod ['{trap.marker}']"
    header.write_text(f"%TAG !p! tag:yaml.org,2002:python/\n---\n{text}\n{payload}\n")
    assert "has the tag" in trap.refused(
        check_corpus.main, "--corpus", "audformat", "--root", database
    )


def test_a_pickle_beside_a_table_of_audformat_is_not_opened(database: Path, trap: Trap) -> None:
    audformat = pytest.importorskip("audformat")
    (database / "db.all.pkl").write_bytes(trap.pickled)
    trap.works(lambda: audformat.Database.load(str(database), load_data=True))
    checked, converted, _no_encoder_here = every_reader(trap, "audformat", database)
    assert (checked[0], converted[0]) == (0, 0), (checked, converted)


def test_a_table_of_audformat_that_is_only_a_pickle_is_refused(database: Path, trap: Trap) -> None:
    (database / "db.all.csv").unlink()
    (database / "db.all.pkl").write_bytes(trap.pickled)
    for status, err in every_reader(trap, "audformat", database):
        assert status == 3 and len(err.splitlines()) == 1
        assert "only a pickle, which is never loaded" in err


def test_a_table_of_audformat_does_not_lead_out_of_the_folder(database: Path, trap: Trap) -> None:
    (database.parent / "other.pkl").write_bytes(trap.pickled)
    header = database / "db.yaml"
    name = f"/../../../../../../../../../..{database.parent}/other"
    header.write_text(header.read_text().replace("  all:", f"  {name}:"))
    assert "leads out of the folder" in trap.refused(
        check_corpus.main, "--corpus", "audformat", "--root", database
    )


BOMBS = {
    "aliases": "\n".join(
        ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    ),
    "merges": "\n".join(
        ["a0: &a0 {x: 1}"]
        + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 40)]
    ),
    "depth": "a: " + "[" * 100_000,
    "itself": "a: &a [*a]",
    "list": "- a",
}


@pytest.mark.parametrize("bomb", sorted(BOMBS))
def test_a_header_that_would_grow_without_end(bomb: str, database: Path, trap: Trap) -> None:
    (database / "db.yaml").write_text(BOMBS[bomb])
    assert "db.yaml" in trap.refused(check_corpus.main, "--corpus", "audformat", "--root", database)


@pytest.mark.parametrize("key", ["data", "split"])
def test_a_dataset_names_nothing_outside_its_folder(key: str, tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="the extra 'interchange' is not installed")
    root = tmp_path / "dataset"
    root.mkdir()
    if key == "split":
        (root / "dataset_dict.json").write_text(json.dumps({"splits": ["../other"]}))
    else:
        (root / "dataset_info.json").write_text("{}")
        (root / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../x.arrow"}]}))
    with pytest.raises(ManifestError, match="leads out of the folder"):
        read_corpus("huggingface", root)


def test_pickled_weights_of_an_encoder(tmp_path: Path, trap: Trap) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    config = {
        "model_type": "bert",
        "auto_map": {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"},
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "vocab_size": 20,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(trap.marker)!r}, 'w')")
    torch.save(trap.payload, folder / "pytorch_model.bin")
    trap.works(lambda: torch.load(folder / "pytorch_model.bin", weights_only=False))
    with pytest.raises(ModelLoadError):
        _from_pretrained(folder, "bert")
    assert not trap.marker.exists()


@pytest.mark.parametrize("name", ["../x.bin", "/x.bin", "..", 3])
def test_an_index_of_weights_stays_in_its_folder(name: object, tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors"}}))
    _refuse_outside_references(tmp_path)
    index.write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(ModelLoadError, match="expected a file in the same folder"):
        _refuse_outside_references(tmp_path)


LISTS = ("#EXTM3U\n#EXTINF:1,\n{0}\n", "ffconcat version 1.0\nfile {0}\n", "\ufeff #EXTM3U\n{0}")


@pytest.mark.parametrize("text", LISTS)
@pytest.mark.parametrize("suffix", [".m3u8", ".mp4"])
def test_a_list_of_other_media_is_no_media(text: str, suffix: str, tmp_path: Path) -> None:
    import av

    sounds(tmp_path, 1)
    playlist = tmp_path / f"film{suffix}"
    playlist.write_text(text.format(tmp_path / "0.wav"), encoding="utf-8")
    with pytest.raises(MediaError, match="names other files"):
        check_media_file(playlist)
    with pytest.raises(MediaError, match="is not media") as refused:
        open_media(playlist)  # And FFmpeg itself may not.
    assert isinstance(refused.value.__cause__, av.FFmpegError)


def stored(tmp_path: Path) -> Path:
    """Write a store file that is whole."""
    ok, seen = np.array(["ok", "ok"]), np.array(["no", "no"])
    vectors = np.arange(8, dtype=np.float32).reshape(2, 4)
    ref = EncoderRef("tiny", "0123456789ab", "audio")
    rows = Embeddings(np.array(["a", "b"]), vectors, seen, ok, np.array(["", ""]), ref, "any")
    path = tmp_path / "c" / ref.folder / "seed-0" / "fold-any.h5"
    write_embeddings(path, rows, {"corpus": "c", "inputs_digest": "0" * 12})
    assert verify(path) == []
    return path


@pytest.mark.parametrize("form", ["external", "soft", "virtual", "storage", "gzip"])
def test_a_store_file_holds_its_own_data(form: str, tmp_path: Path) -> None:
    path, outside = stored(tmp_path), tmp_path / "outside.h5"
    with h5py.File(path, "a", libver=("v110", "v110")) as file:
        values = file["vectors"][:]
        del file["vectors"]
        with h5py.File(outside, "w") as other:
            other["vectors"] = values
        if form == "external":
            file["vectors"] = h5py.ExternalLink(str(outside), "/vectors")
        elif form == "soft":
            file["other"] = values
            file["vectors"] = h5py.SoftLink("/other")
        elif form == "virtual":
            layout = h5py.VirtualLayout(values.shape, "<f4")
            layout[:] = h5py.VirtualSource(str(outside), "vectors", values.shape)
            file.create_virtual_dataset("vectors", layout)
        elif form == "storage":
            (tmp_path / "raw").write_bytes(values.tobytes())
            place = [(str(tmp_path / "raw"), 0, values.nbytes)]
            file.create_dataset("vectors", values.shape, "<f4", external=place)
        else:
            file.create_dataset("vectors", data=values, compression="gzip")
    (problem,) = verify(path)
    assert "is a link" in problem or "contiguously and unfiltered" in problem
