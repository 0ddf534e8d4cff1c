"""Files of strangers run nothing: a payload in every kind of file that a command reads.

Each payload would create a marker. Where that is cheap, the loader that people use without a
thought is given the same file first, so that each test shows that its payload works.
"""

from __future__ import annotations

import json
import pickle
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pytest
import soundfile
import torch
from pyarrow import parquet

from classify.commands import run_fusion_grid
from embeddings_store import write_example_store
from embeddings_store.commands import embeddings_store
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
    audformat = pytest.importorskip("audformat")
    header = database / "db.yaml"
    text = header.read_text()
    payload = f"extra: !p!object/apply:os.mknod ['{trap.marker}']"
    header.write_text(f"%TAG !p! tag:yaml.org,2002:python/\n---\n{text}\n{payload}\n")
    trap.works(lambda: audformat.Database.load(str(database)))
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
    audformat = pytest.importorskip("audformat")
    (database / "db.all.csv").unlink()
    (database / "db.all.pkl").write_bytes(trap.pickled)
    trap.works(lambda: audformat.Database.load(str(database), load_data=True))
    for status, err in every_reader(trap, "audformat", database):
        assert status == 3 and len(err.splitlines()) == 1
        assert "only a pickle, which is never loaded" in err


def test_a_table_of_audformat_does_not_lead_out_of_the_folder(database: Path, trap: Trap) -> None:
    audformat = pytest.importorskip("audformat")
    (database.parent / "other.pkl").write_bytes(trap.pickled)
    header = database / "db.yaml"
    name = f"/../../../../../../../../../..{database.parent}/other"
    header.write_text(header.read_text().replace("  all:", f"  {name}:"))
    trap.works(lambda: audformat.Database.load(str(database), load_data=True))
    assert "leads out of the folder" in trap.refused(
        check_corpus.main, "--corpus", "audformat", "--root", database
    )


def test_a_file_without_a_name_in_a_table_of_audformat(database: Path, trap: Trap) -> None:
    table = database / "db.all.csv"
    table.write_text(table.read_text().replace("0.wav", "."))
    err = trap.refused(check_corpus.main, "--corpus", "audformat", "--root", database)
    assert "is no audformat database whose rows make a corpus" in err


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


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_a_pickle_in_an_array_file(suffix: str, tmp_path: Path, trap: Trap) -> None:
    path, ids = tmp_path / f"vectors.{suffix}", tmp_path / "ids.txt"
    ids.write_text("a\nb\n")
    objects = np.array([trap.payload, trap.payload], dtype=object)
    if suffix == "npy":
        np.save(path, objects, allow_pickle=True)
        trap.works(lambda: np.load(path, allow_pickle=True))
    else:
        np.savez(path, ids=np.array(["a", "b"]), text=objects)
        trap.works(lambda: np.load(path, allow_pickle=True)["text"])
    err = trap.refused(
        embeddings_store.main,
        "import",
        path,
        *(() if suffix == "npz" else ("--ids", ids)),
        *("--modality", "text", "--seen", "none", "--store", tmp_path / "store"),
    )
    assert "it holds Python objects, which are never loaded" in err


def test_a_pickle_in_a_list_of_ids(tmp_path: Path, trap: Trap) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 3), dtype=np.float32))
    ids = tmp_path / "ids.npy"
    np.save(ids, np.array([trap.payload] * 2, dtype=object), allow_pickle=True)
    trap.works(lambda: np.load(ids, allow_pickle=True))
    rest = ("--modality", "text", "--seen", "none", "--store", tmp_path / "store")
    err = trap.refused(embeddings_store.main, "import", tmp_path / "x.npy", "--ids", ids, *rest)
    assert "ids.npy" in err and "never loaded" in err


@pytest.mark.parametrize("place", ["field", "table"])
def test_a_pickle_in_the_metadata_of_parquet(place: str, tmp_path: Path, trap: Trap) -> None:
    """Arrow loaded the type of a column from a pickle in its metadata until CVE-2023-47248."""
    evil = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": trap.pickled,
    }
    fields = [pa.field(name, pa.string()) for name in ("id", "label", "text")]
    if place == "field":
        fields[2] = fields[2].with_metadata(evil)
    schema = pa.schema(fields)
    if place == "table":
        schema = schema.with_metadata({b"pandas": trap.pickled, **evil})
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table([["a", "b"], ["x", "y"], ["p", "q"]], schema=schema), path)
    trap.works(lambda: pickle.loads(trap.pickled))  # as Arrow did
    trap.run(embeddings_store.main, "check", path)
    for _status, _err in every_reader(trap, "manifest", path):
        pass


def test_pickles_in_the_attributes_of_a_store_file(tmp_path: Path, trap: Trap) -> None:
    path = stored(tmp_path)
    with h5py.File(path, "a", libver=("v110", "v110")) as file:
        file.attrs["more"] = np.void(trap.pickled)
        file.attrs["settings"] = np.void(trap.pickled)
    trap.works(lambda: pickle.loads(trap.pickled))  # as a careless reader would
    status, _err = trap.run(embeddings_store.main, "verify", path)
    assert status == 3


def test_pickles_in_finished_cells_are_computed_again(tmp_path: Path, trap: Trap) -> None:
    store, out = write_example_store(tmp_path / "embeddings"), tmp_path / "results"
    command = ("--store", store, "--out", out, "--modalities", "text", "--classifiers", "svm")
    assert trap.run(run_fusion_grid.main, *command)[0] == 0
    before = (out / "grid.csv").read_bytes()
    cells = sorted((out / "cells").rglob("*.npz"))
    assert cells
    for cell in cells:
        np.savez(cell, record=np.array([trap.payload], dtype=object))
    trap.works(lambda: np.load(cells[0], allow_pickle=True)["record"])
    (out / "grid.csv").unlink()
    assert trap.run(run_fusion_grid.main, *command)[0] == 0
    assert len((out / "grid.csv").read_bytes()) > len(before) // 2


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with a tokenizer."""
    from tokenizers import Tokenizer, models
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("encoders") / "reader"
    words = {word: code for code, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b"])}
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=6, intermediate_size=8, **sizes)).save_pretrained(folder)
    Tokenizer(models.WordPiece(words, unk_token="[UNK]")).save(str(folder / "tokenizer.json"))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(about | {"unk_token": "[UNK]"}))
    return folder


CODE: Mapping[str, Mapping[str, object]] = {
    "config.json": {"auto_map": {"AutoModel": "evil.M", "AutoConfig": "evil.C"}},
    "tokenizer_config.json": {
        "auto_map": {"AutoTokenizer": ["evil.T", "evil.T"]},
        "tokenizer_class": "T",
        "trust_remote_code": True,
    },
    "processor_config.json": {"auto_map": {"AutoProcessor": "evil.P"}, "processor_class": "P"},
    "preprocessor_config.json": {"auto_map": {"AutoFeatureExtractor": "evil.P"}},
    "adapter_config.json": {
        "base_model_name_or_path": "../elsewhere",
        "peft_type": "LORA",
        "auto_mapping": {"base_model_class": "M", "parent_library": "evil"},
    },
}


@pytest.mark.parametrize("file", sorted(CODE))
def test_code_that_an_encoder_brings(file: str, reader: Path, tmp_path: Path, trap: Trap) -> None:
    from transformers import AutoFeatureExtractor, AutoModel, AutoProcessor, AutoTokenizer

    folder = tmp_path / "encoder"
    shutil.copytree(reader, folder)
    path = folder / file
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**content, "trust_remote_code": True, **CODE[file]}))
    (folder / "evil.py").write_text(f"open({str(trap.marker)!r}, 'w').close()\n")
    naive = {  # That of adapters, PEFT, is none of our dependencies.
        "config.json": AutoModel,
        "tokenizer_config.json": AutoTokenizer,
        "processor_config.json": AutoProcessor,
        "preprocessor_config.json": AutoFeatureExtractor,
    }.get(file)
    if naive is not None:
        trap.works(lambda: naive.from_pretrained(folder, trust_remote_code=True))
    rows = tmp_path / "rows.csv"
    rows.write_text("id,label,text\n1,x,a\n2,y,b\n")
    manifest = ("--corpus", "manifest", "--root", rows, "--modality", "text")
    store = ("--frozen", "--store", tmp_path / "store")
    status, err = trap.run(extract_features.main, *manifest, "--encoder", folder, *store)
    assert status == (3 if file == "adapter_config.json" else 0), err


def test_a_table_of_audformat_that_links_out_of_the_folder(database: Path, trap: Trap) -> None:
    outside = database.parent / "elsewhere.csv"
    (database / "db.all.csv").rename(outside)
    (database / "db.all.csv").symlink_to(outside)
    err = trap.refused(check_corpus.main, "--corpus", "audformat", "--root", database)
    assert "is a link that leads out of the folder" in err


CUTS = (0, 1, 0.3, 0.7, -1)


@pytest.mark.parametrize("form", ["csv", "parquet", "yaml"])
@pytest.mark.parametrize("cut", CUTS)
def test_a_database_of_audformat_that_is_cut(
    form: str, cut: float, database: Path, trap: Trap
) -> None:
    audformat = pytest.importorskip("audformat")
    if form == "parquet":
        with warnings.catch_warnings():  # Of pandas, over what the library does.
            warnings.simplefilter("ignore")
            audformat.Database.load(str(database)).save(str(database), storage_format="parquet")
        (database / "db.all.csv").unlink()
    path = database / ("db.yaml" if form == "yaml" else f"db.all.{form}")
    cut_file(path, cut)
    for status, err in every_reader(trap, "audformat", database):
        assert status in {0, 2, 3, 4}
        assert status in {0, 4} or len(err.splitlines()) == 1


@pytest.mark.parametrize("name", ["dataset_info.json", "state.json", "*.arrow"])
@pytest.mark.parametrize("cut", CUTS)
def test_a_dataset_that_is_cut(name: str, cut: float, tmp_path: Path, trap: Trap) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra 'interchange' is not installed")
    root = tmp_path / "dataset"
    columns = {"id": list("abcd"), "label": list("xyxy"), "text": list("pqrs")}
    datasets.Dataset.from_dict(columns).save_to_disk(str(root))
    (path,) = root.glob(name)
    cut_file(path, cut)
    trap.refused(check_corpus.main, "--corpus", "huggingface", "--root", root)


def cut_file(path: Path, cut: float) -> None:
    """Leave the first bytes of a file: a share of them, or all but the last few."""
    data = path.read_bytes()
    path.write_bytes(data[: int(cut * len(data)) if 0 <= cut < 1 else int(cut)])
