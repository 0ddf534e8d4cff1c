"""Torn, odd and hostile files end in one line that names them, through the public commands."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import soundfile
import tiny_encoders
from pyarrow import parquet
from safetensors.torch import load_file, save_file

from embeddings_store.commands import embeddings_store
from embeddings_store.vectors.hdf5 import read_embeddings
from extract.commands import check_corpus, convert_corpus, extract_features
from extract.encoders import REGISTRY

Main = Callable[[Sequence[str]], int]
ROWS = {"id": ["a", "b", "c"], "label": ["x", "y", "x"], "text": ["p", "q", "r"]}


@pytest.fixture
def told(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run a command in process; return its exit status and all that reached stderr."""

    def run(main: Main, *arguments: object) -> tuple[int, str]:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        return status, capfd.readouterr().err

    return run


@pytest.fixture
def refused(told: Callable[..., tuple[int, str]]) -> Callable[..., str]:
    """Run a command that has to refuse in one line, which is returned."""

    def run(main: Main, *arguments: object) -> str:
        status, err = told(main, *arguments)
        assert status in {2, 3}, err
        assert len(err.splitlines()) == 1, err
        return err

    return run


def _with_metadata(value: bytes) -> pa.Table:
    return pa.table(ROWS).replace_schema_metadata({b"pandas": value})


def _column(name: str, values: pa.Array) -> pa.Table:
    table = pa.table(ROWS)
    if name not in ROWS:
        return table.append_column(name, values)
    return table.set_column(table.schema.get_field_index(name), name, values)


def _torn_text() -> pa.Array:
    ends = np.array([0, 1, 2, 3], dtype=np.int32)
    return pa.Array.from_buffers(
        pa.string(), 3, [None, pa.py_buffer(ends), pa.py_buffer(b"a\xffc")]
    )


def _torn_words() -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int32()), _torn_text())


TABLES: Mapping[str, tuple[Callable[[], pa.Table], str]] = {
    "no JSON": (lambda: _with_metadata(b"{"), "cannot be read as a"),
    "a list": (lambda: _with_metadata(b"[]"), "cannot be read as a"),
    "no columns": (lambda: _with_metadata(b'{"columns": 3}'), "'index_columns' is not there"),
    "deep": (lambda: _with_metadata(b"[" * 100_000), "it nests too deeply"),
    "time zone": (
        lambda: _column("meta_t", pa.array([1, 2, 3], pa.timestamp("us", tz="Mars/Olympus"))),
        "cannot be read as a",
    ),
    "bytes": (
        lambda: _column("id", pa.array([b"a", b"\xff", b"c"])),
        "column 'id' holds b'\\xff', bytes that are not UTF-8; save it as text",
    ),
    "text": (
        lambda: _column("text", _torn_text()),
        "row 2, column 'text' is not UTF-8 (invalid start byte at byte 0 of b'\\xff')",
    ),
    "words": (
        lambda: _column("text", _torn_words()),
        "row 2, column 'text' is not UTF-8",
    ),
}


@pytest.mark.parametrize("odd", sorted(TABLES))
def test_an_odd_table(odd: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    made, message = TABLES[odd]
    path = tmp_path / "rows.parquet"
    parquet.write_table(made(), path)
    # Once the whole table, once a piece at a time.
    for arguments in (
        (check_corpus.main, "--corpus", "manifest", "--root", path),
        (embeddings_store.main, "check", path),
    ):
        err = refused(*arguments)
        assert str(path) in err and message in err


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_whose_name_is_not_utf_8(
    suffix: str, tmp_path: Path, told: Callable[..., tuple[int, str]]
) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9." + suffix.encode()))
    frame = pd.DataFrame(ROWS)
    with path.open("wb") as handle:
        frame.to_csv(handle, index=False) if suffix == "csv" else frame.to_parquet(handle)
    assert told(embeddings_store.main, "check", path)[0] == 0
    with path.open("wb") as handle:
        handle.write(b"id,text\na,b,c\n")
    status, err = told(embeddings_store.main, "check", path)
    assert status == 3 and len(err.splitlines()) == 1 and "caf" in err


@pytest.mark.parametrize("name", ["x" * 300 + ".csv", "loop.csv"])
def test_a_path_that_leads_nowhere(name: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    path = tmp_path / name
    seen = ("--modality", "text", "--seen", "none", "--store", tmp_path / "store")
    assert name in refused(check_corpus.main, "--corpus", "manifest", "--root", path)
    assert name in refused(embeddings_store.main, "import", path, *seen)
    assert name in refused(embeddings_store.main, "check", path)


def npy(shape: object, kind: object = "<f4", values: bytes = b"") -> bytes:
    header = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + values


ARRAYS = {
    "huge": (npy((1 << 40, 3)), "bytes, and 0 are there"),
    "beyond 64 bits": (npy((1 << 62, 1 << 62)), "bytes, and 0 are there"),
    "negative": (npy((-1, 3)), "promises the shape (-1, 3)"),
    "too little": (npy((2, 3), values=bytes(23)), "24 bytes, and 23 are there"),
    "empty and huge": (npy((0, 1 << 62)), "cannot be read as"),
    "no whole shape": (npy((2.0, 3)), "shape is not valid"),
    "no type": (npy((2, 3), "evil"), "is not a valid dtype"),
    "no letters": (npy((1,), "<U1", b"\xff\xff\xff\x7f"), "letters that do not exist"),
    "cut": (npy((2, 3))[:20], "cannot be read as"),
    "deep": (b"\x93NUMPY\x01\x00" + struct.pack("<H", 60_000) + b"(" * 60_000, "cannot be read"),
    "another version": (b"\x93NUMPY\x09\x00" + bytes(60), "cannot be read as"),
}


@pytest.mark.parametrize("broken", sorted(ARRAYS))
def test_a_broken_array(broken: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    data, message = ARRAYS[broken]
    ids = tmp_path / "ids.txt"
    ids.write_text("a\nb\n")
    named = io.BytesIO()
    np.save(named, np.array(["a", "b"]))
    (tmp_path / "x.npy").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("ids.npy", named.getvalue())
        archive.writestr("text.npy", data)
    rest = ("--modality", "text", "--seen", "none", "--store", tmp_path / "store")
    for file in (("x.npy", "--ids", ids), ("x.npz",)):
        err = refused(embeddings_store.main, "import", tmp_path / file[0], *file[1:], *rest)
        assert str(tmp_path / file[0]) in err and message in err
    assert not (tmp_path / "store").exists()


def test_an_archive_that_grows_a_thousandfold(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("text.npy", "w") as member,
    ):
        member.write(npy((2, 1 << 25)))
        for _ in range(16):
            member.write(bytes(1 << 24))
    err = refused(
        embeddings_store.main, "import", path, "--seen", "none", "--store", tmp_path / "s"
    )
    assert f"unpacks from {path.stat().st_size} to 2684" in err and "numpy.savez" in err


# Encoders ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with its tokenizer."""
    spec = next(row for row in REGISTRY if row.architecture == "bert")
    return tiny_encoders.save(spec, tmp_path_factory.mktemp("models"))


def _change(file: str, **values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / file
        content = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps(content | values))

    return change


def _without_unknown(folder: Path) -> None:
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    del content["model"]["vocab"]["[UNK]"]
    path.write_text(json.dumps(content))


def _far_token(folder: Path) -> None:
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    content["model"]["vocab"]["dogs"] = 1 << 31
    path.write_text(json.dumps(content))


def _whole_numbers(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    key = next(name for name in weights if name.endswith("query.weight"))
    weights[key] = (100 * weights[key]).byte()
    save_file(weights, path, {"format": "pt"})


def _loop(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(folder / "model.safetensors")


ENCODERS: Mapping[str, tuple[Callable[[Path], None], str]] = {
    "quantised": (
        _change("config.json", quantization_config={"quant_method": "gptq", "bits": 4}),
        "quantization_config",
    ),
    "quantised in an unknown way": (
        _change("config.json", quantization_config={"quant_method": "mine"}),
        "quantization_config",
    ),
    "whole numbers": (_whole_numbers, "query.weight' are of type U8; expected weights as floating"),
    "an adapter": (
        _change("adapter_config.json", base_model_name_or_path="../elsewhere", peft_type="LORA"),
        "adapter",
    ),
    "no unknown token": (_without_unknown, "Missing [UNK] token"),
    "a number beyond the vocabulary": (_far_token, "gives a token the number 2147483648"),
    "architectures": (_change("config.json", architectures=[True]), "a list of architectures"),
    "length in words": (
        _change("tokenizer_config.json", model_max_length="many"),
        "holds a tokenizer that cannot be read",
    ),
    "deep tokenizer": (
        lambda folder: (folder / "tokenizer.json").write_text("[" * 100_000) and None,
        "holds a tokenizer that cannot be read",
    ),
    "list for a tokenizer": (
        lambda folder: (folder / "tokenizer_config.json").write_text("[]") and None,
        "holds a tokenizer that cannot be read",
    ),
    "half a letter": (
        _change("config.json", note="\ud800"),
        "cannot be read as the configuration of an encoder",
    ),
    "nan": (
        _change("config.json", note=float("nan")),
        "cannot be read as the configuration of an encoder",
    ),
    "no heads": (_change("config.json", num_attention_heads=0), "cannot be read as BertModel"),
    "huge": (_change("config.json", vocab_size=1 << 45), "cannot be read as BertModel"),
    "kernels from the hub": (
        _change("config.json", _attn_implementation="kernels-community/evil"),
        "cannot be read as BertModel",
    ),
    "deep config": (
        lambda folder: (folder / "config.json").write_text("[" * 100_000) and None,
        "it nests too deeply",
    ),
    "loop of links": (_loop, "Too many levels of symbolic links"),
    "long header": (
        lambda folder: (
            (folder / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60)) and None
        ),
        "model.safetensors: cannot be read as weights",
    ),
}


@pytest.mark.parametrize("odd", sorted(ENCODERS))
def test_an_odd_encoder(
    odd: str, encoder: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    change, message = ENCODERS[odd]
    folder = tmp_path / "encoder"
    shutil.copytree(encoder, folder)
    change(folder)
    pd.DataFrame(ROWS).to_csv(tmp_path / "rows.csv", index=False)
    err = refused(extract_features.main, *_frozen(tmp_path, "text", folder))
    assert str(folder) in err and message in err


def test_an_encoder_that_loads_and_does_not_run(
    encoder: Path, tmp_path: Path, told: Callable[..., tuple[int, str]]
) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(encoder, folder)
    _change("config.json", num_attention_heads=-4)(folder)
    pd.DataFrame(ROWS).to_csv(tmp_path / "rows.csv", index=False)
    status, err = told(extract_features.main, *_frozen(tmp_path, "text", folder))
    assert status == 3
    said = f"{folder / 'config.json'}: the model stops while it runs as this file says"
    assert err.splitlines()[-1].startswith(f"extract-features: {said}")
    assert "Traceback" not in err


def _frozen(folder: Path, modality: str, encoder: Path, *more: object) -> list[object]:
    rows = ["--corpus", "manifest", "--root", folder / "rows.csv", "--modality", modality]
    return [*rows, "--encoder", encoder, "--frozen", "--store", folder / "store", *more]


def test_texts_that_an_encoder_cannot_tell_apart(
    encoder: Path, tmp_path: Path, told: Callable[..., tuple[int, str]]
) -> None:
    texts = ["정말 화가 나요", "너무 행복해요 오늘", "그냥 그래요 하하", "kids are talking"]
    rows = {"id": list("abcd"), "label": list("xyxy"), "text": texts}
    pd.DataFrame(rows).to_csv(tmp_path / "rows.csv", index=False)
    status, err = told(extract_features.main, *_frozen(tmp_path, "text", encoder))
    assert status == 0
    assert "75 % of the tokens (9 of 12) are unknown to this encoder's tokenizer" in err
    assert "4 different inputs have 2 different vectors" in err
    (path,) = (tmp_path / "store").glob("*/*/*/fold-any.h5")
    provenance = read_embeddings(path).attributes["provenance"]
    assert provenance["distinct"] == {"inputs": 4, "vectors": 2}


def test_known_texts_are_passed_over_in_silence(
    encoder: Path, tmp_path: Path, told: Callable[..., tuple[int, str]]
) -> None:
    rows = {"id": list("ab"), "label": list("xy"), "text": ["kids are talking", "dogs"]}
    pd.DataFrame(rows).to_csv(tmp_path / "rows.csv", index=False)
    status, err = told(extract_features.main, *_frozen(tmp_path, "text", encoder))
    assert status == 0 and "tokens" not in err and "different" not in err


def test_a_text_that_was_cut_is_counted(
    encoder: Path, tmp_path: Path, told: Callable[..., tuple[int, str]]
) -> None:
    rows = {"id": list("ab"), "label": list("xy"), "text": ["kids are talking by the door", "dogs"]}
    pd.DataFrame(rows).to_csv(tmp_path / "rows.csv", index=False)
    command = _frozen(tmp_path, "text", encoder, "--max-tokens", 4)
    assert (
        "1 of 2 texts have more than 4 tokens and were cut there"
        in told(extract_features.main, *command)[1]
    )


# Sound ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hearing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder of sound."""
    spec = next(row for row in REGISTRY if row.architecture == "hubert")
    return tiny_encoders.save(spec, tmp_path_factory.mktemp("models"))


def _sound(path: Path, seconds: float = 1.0, **form: str) -> Path:
    soundfile.write(path, 0.1 * np.sin(np.arange(int(16_000 * seconds)) / 9), 16_000, **form)
    return path


def _write_rows(folder: Path, audio: Sequence[str]) -> None:
    rows = {"id": [f"u{number}" for number in range(len(audio))], "audio": audio}
    rows["label"] = [("x", "y")[number % 2] for number in range(len(audio))]
    pd.DataFrame(rows).to_csv(folder / "rows.csv", index=False)


def test_links_in_a_circle_and_long_names_fail_alone(
    hearing: Path, tmp_path: Path, told: Callable[..., tuple[int, str]]
) -> None:
    _sound(tmp_path / "ok.wav")
    (tmp_path / "a.wav").symlink_to("b.wav")
    (tmp_path / "b.wav").symlink_to("a.wav")
    long = "x" * 300 + ".wav"
    _write_rows(tmp_path, ["ok.wav", "a.wav", long, "a.wav/x.wav", "ok.wav/x.wav"])
    status, err = told(extract_features.main, *_frozen(tmp_path, "audio", hearing))
    assert status == 4 and "1 of 5 rows have a vector (0 missing, 4 failed)" in err
    assert "u1: 'a.wav' leads to no file (Symlink loop" in err
    assert "leads to no file (File name too long)" in err
    root = ("--corpus", "manifest", "--root", tmp_path / "rows.csv")
    assert told(check_corpus.main, *root)[0] in {3, 4}
    for form in ("huggingface", "emobox"):
        status, err = told(
            convert_corpus.main, *root, "--to", form, "--out", tmp_path / f"in-{form}"
        )
        assert status in {0, 3} and "Traceback" not in err


def test_a_clip_that_was_cut_is_said(
    hearing: Path, tmp_path: Path, told: Callable[..., tuple[int, str]]
) -> None:
    _sound(tmp_path / "long.wav", 3.0)
    _sound(tmp_path / "short.wav")
    _write_rows(tmp_path, ["long.wav", "short.wav"])
    command = _frozen(tmp_path, "audio", hearing, "--max-duration-s", 2)
    status, err = told(extract_features.main, *command)
    assert status == 0 and "1 clips want a look:" in err
    assert "u0: cut: the first 2 s of it were read, as --max-duration-s asks" in err
    (path,) = (tmp_path / "store").glob("*/*/*/fold-any.h5")
    assert read_embeddings(path).reason.tolist()[1] == ""


def test_a_torn_mp3_adds_nothing_of_the_library_to_our_lines(
    hearing: Path, tmp_path: Path, told: Callable[..., tuple[int, str]]
) -> None:
    data = bytearray(_sound(tmp_path / "ok.mp3", 3.0, format="MP3").read_bytes())
    middle = len(data) // 2
    noise = np.random.default_rng(0).integers(0, 256, 400, dtype=np.uint8)
    data[middle : middle + 400] = noise.tobytes()
    (tmp_path / "torn.mp3").write_bytes(data)
    _write_rows(tmp_path, ["ok.mp3", "torn.mp3"])
    status, err = told(extract_features.main, *_frozen(tmp_path, "audio", hearing))
    assert status == 4 and "torn.mp3 is cut short" in err
    told_all = (
        err + told(check_corpus.main, "--corpus", "manifest", "--root", tmp_path / "rows.csv")[1]
    )
    for words in ("Note:", "Warning:", "mpg123", "resync"):
        assert words not in told_all


def test_what_a_library_warns_of_is_not_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from embeddings_store.commands.common import guarded

    def run() -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("invalid value encountered in divide", RuntimeWarning, stacklevel=1)
        return 0

    assert guarded(run, "extract-features") == 0
    assert capsys.readouterr().err == ""


# Labels -----------------------------------------------------------------------------------------

LABELS = {
    "missing": (["sad", "nan", "happy", "None"], ["label 'None' (1 row) looks like a missing one"]),
    "ratings": (
        [f"{1 + number / 9:.3f}" for number in range(24)],
        [
            "24 different labels are numbers, from 1 to 3.556: they look like ratings",
            "Regression is not supported",
        ],
    ),
    "codes": ([str(number % 7) for number in range(24)], []),
    "words": (["sad", "happy", "anger/disgust"], []),
}


@pytest.mark.parametrize("kind", sorted(LABELS))
def test_labels_that_look_like_no_class(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, expected = LABELS[kind]
    rows = {"id": [f"u{n}" for n in range(len(labels))], "label": labels}
    pd.DataFrame(rows | {"text": "a"}).to_csv(tmp_path / "rows.csv", index=False)
    check_corpus.main(["--corpus", "manifest", "--root", str(tmp_path / "rows.csv")])
    shown = " ".join(capsys.readouterr().out.split())
    for sentence in expected:
        assert sentence in shown
    assert ("look like" in shown or "looks like" in shown) == bool(expected)
