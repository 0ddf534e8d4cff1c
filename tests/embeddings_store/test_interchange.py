"""Vectors from elsewhere, and back: nothing is run, guessed, filled up or joined by position."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import (
    FoldError,
    ManifestError,
    ProjectError,
    StoreAccessError,
    StoreError,
    StoreMismatchError,
    UnsafePathError,
    UsageError,
)
from embeddings_store.exchange.interchange import ImportJob, export_vectors, import_vectors
from embeddings_store.vectors.hdf5 import read_embeddings, verify, write_embeddings

if TYPE_CHECKING:
    from conftest import Bench

IDS = ["ü1", "b2", "学3", "d4"]
VECTORS = np.array([[1, 2], [3, 4], [np.nan, np.nan], [0.1, -1e-7]], dtype=np.float32)


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., ImportJob]:
    def make(source: str, **how: object) -> ImportJob:
        return ImportJob(tmp_path / source, tmp_path / "store", str(how.pop("seen", "none")), **how)  # type: ignore[arg-type]

    return make


def write(
    path: Path, ids: list[str] | None = None, values: np.ndarray = VECTORS, **more: object
) -> Path:
    """Write ids and vectors in the form that the suffix says."""
    ids = IDS if ids is None else ids
    if path.suffix == ".npz":
        np.savez(path, ids=np.array(ids), text=values, **more)
    elif path.suffix == ".npy":
        np.save(path, values)
        path.with_suffix(".txt").write_text("\n".join(ids) + "\n", encoding="utf-8")
    else:
        table = pd.DataFrame(
            {"id": ids, **more, **{f"x{i}": values[:, i] for i in range(values.shape[1])}}
        )
        table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
    return path


FORMS = {
    "x.npz": {},
    "x.csv": {"modality": "text"},
    "x.parquet": {"modality": "text"},
    "x.npy": {"modality": "text"},
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_brings_the_same_vectors(
    tmp_path: Path, job: Callable[..., ImportJob], name: str
) -> None:
    path = write(tmp_path / name)
    more = {"ids": path.with_suffix(".txt")} if path.suffix == ".npy" else {}
    [file] = import_vectors(job(name, **FORMS[name], **more))
    made = read_embeddings(file)
    assert made.ids.tolist() == IDS
    assert made.vectors.tobytes() == VECTORS.tobytes()
    assert made.status.tolist() == ["ok", "ok", "missing", "ok"]
    assert made.reason.tolist() == ["", "", "the source holds only nan", ""]
    assert (made.encoder.name, made.encoder.modality, made.fold) == ("imported-text", "text", "any")
    assert verify(file) == []
    assert str(tmp_path) not in str(made.attributes["settings"])


def test_rows_say_what_the_vectors_do_not(tmp_path: Path, job: Callable[..., ImportJob]) -> None:
    write(tmp_path / "x.npz", audio=np.arange(12, dtype=np.float64).reshape(4, 3))
    (tmp_path / "rows.csv").write_text(
        "id,video,split,label,note\nd4,v2,test,x,n\nnew,v2,test,y,\nb2,v1,dev,y,\nü1,v1,train,x,\n"
        "学3,v1,train,y,\n",
        encoding="utf-8",
    )
    files = import_vectors(
        job("x.npz", rows=tmp_path / "rows.csv", corpus="my corpus", seen="split:train")
    )
    text, audio = map(read_embeddings, files)
    manifest = Manifest.load(tmp_path / "store" / "my_corpus")
    assert manifest.ids.tolist() == text.ids.tolist() == ["d4", "new", "b2", "ü1", "学3"]
    assert text.reason.tolist() == [
        "",
        "no vector in the source",
        "",
        "",
        "the source holds only nan",
    ]
    assert audio.vectors[[0, 2, 3, 4], 0].tolist() == [9, 3, 0, 6]
    assert text.seen.tolist() == ["no", "no", "no", "fit", "fit"]
    assert manifest.column("group").tolist() == ["v2", "v2", "v1", "v1", "v1"]
    assert manifest.notes == ("groups are the 2 values of column 'video'",)
    assert manifest.protocol == "split"
    assert manifest.table["meta_note"].tolist() == ["n", "", "", "", ""]


PLACES = {
    "audio": ["a.wav", "a.wav", "b.wav", ""],
    "video": ["v/a.mp4", "v/a.mp4", "", ""],
    "start_s": [0.0, 1.5, np.nan, np.nan],
    "end_s": [1.5, 3.0, np.nan, np.nan],
}


@pytest.mark.parametrize("name", ["x.npz", "x.csv", "rows.csv"])
def test_rows_keep_their_recordings_and_times(
    tmp_path: Path, job: Callable[..., ImportJob], name: str
) -> None:
    """Wherever they lie: the check of recordings reads these columns."""
    places = {column: np.array(cells) for column, cells in PLACES.items()}
    if name == "rows.csv":
        pd.DataFrame({"id": IDS, **places}).to_csv(tmp_path / name, index=False)
        write(tmp_path / "x.npz")
        import_vectors(job("x.npz", rows=tmp_path / name))
    else:
        write(tmp_path / name, **places)
        import_vectors(job(name, **FORMS[name]))
    table = Manifest.load(tmp_path / "store" / "x").table
    for column, cells in PLACES.items():
        pd.testing.assert_series_equal(
            table[column], pd.Series(cells, name=column), check_dtype=False
        )
    assert not [column for column in table if column.startswith("meta_")]


def test_a_path_that_leaves_the_folder_may_stay_as_metadata(
    tmp_path: Path, job: Callable[..., ImportJob]
) -> None:
    write(tmp_path / "x.csv", audio=["/data/a.wav"] * 4)
    with pytest.raises(UnsafePathError, match="keeps it as metadata"):
        import_vectors(job("x.csv", **FORMS["x.csv"]))
    write(tmp_path / "x.csv", meta_audio=["/data/a.wav"] * 4)
    import_vectors(job("x.csv", **FORMS["x.csv"]))
    table = Manifest.load(tmp_path / "store" / "x").table
    assert set(table["meta_audio"]) == {"/data/a.wav"} and set(table["audio"]) == {""}


def test_labels_and_groups_may_lie_in_the_npz(
    tmp_path: Path, job: Callable[..., ImportJob]
) -> None:
    write(
        tmp_path / "x.npz",
        labels=np.array(["x", "y", "x", "y"]),
        groups=np.array([1, 1, 2, 2]),
        split=np.array(["train"] * 4),
        age=np.array([20, 30, 40, 50]),
        about=np.array("made elsewhere"),
    )
    import_vectors(job("x.npz"))
    manifest = Manifest.load(tmp_path / "store" / "x")
    assert manifest.codes().tolist() == [0, 1, 0, 1]
    assert manifest.column("group").tolist() == ["1", "1", "2", "2"]
    assert manifest.table["meta_age"].tolist() == ["20", "30", "40", "50"]


def test_labels_may_lie_in_the_table(tmp_path: Path, job: Callable[..., ImportJob]) -> None:
    write(tmp_path / "x.csv", label=["x", "y", "x", ""], meta_age=[1, 2, 3, 4])
    [file] = import_vectors(job("x.csv", modality="audio"))
    assert read_embeddings(file).vectors.shape == (4, 2)
    assert Manifest.load(tmp_path / "store" / "x").codes().tolist() == [0, 1, 0, -1]


@pytest.mark.parametrize(
    ("how", "protocol", "groups"),
    [
        ({}, "leave-one-session-out", ["a", "b", "c", "d"]),
        ({"protocol": "group-kfold:4"}, "group-kfold:4", ["a", "b", "c", "d"]),
        ({"group": "team"}, "leave-one-session-out", ["t", "t", "u", "v"]),
    ],
)
def test_group_and_folds_may_be_named(
    tmp_path: Path,
    job: Callable[..., ImportJob],
    how: dict[str, str],
    protocol: str,
    groups: list[str],
) -> None:
    write(
        tmp_path / "x.csv",
        video=list("abcd"),
        group=list("abcd"),
        session=list("1123"),
        meta_team=list("ttuv"),
    )
    (tmp_path / "rows.csv").write_text(
        "id,group,session,team\nü1,a,1,t\nb2,b,1,t\n学3,c,2,u\nd4,d,3,v\n", encoding="utf-8"
    )
    np.savez(tmp_path / "x.npz", ids=np.array(IDS), text=VECTORS)
    import_vectors(job("x.npz", rows=tmp_path / "rows.csv", **how))
    manifest = Manifest.load(tmp_path / "store" / "x")
    assert manifest.protocol == protocol
    assert manifest.column("group").tolist() == groups


@pytest.mark.parametrize(
    "values", [np.array([b"a", b"\xc3\xbc"]), np.array(["a", "ü"]), np.array([1, 2])]
)
def test_ids_may_be_of_many_kinds(
    tmp_path: Path, job: Callable[..., ImportJob], values: np.ndarray
) -> None:
    np.savez(tmp_path / "x.npz", id=values, text=np.ones((2, 2)))
    np.save(tmp_path / "x.npy", np.ones((2, 2)))
    np.save(tmp_path / "ids.npy", values)
    expected = ["1", "2"] if values.dtype.kind == "i" else ["a", "ü"]
    for how in (
        {"source": "x.npz"},
        {"source": "x.npy", "ids": tmp_path / "ids.npy", "modality": "text"},
    ):
        [file] = import_vectors(job(**how))
        assert read_embeddings(file).ids.tolist() == expected


@pytest.mark.parametrize("content", ["a\nü\n", "a\nü", "\ufeffa\nü\n", "a\r\nü\r\n"])
def test_ids_may_be_lines(tmp_path: Path, job: Callable[..., ImportJob], content: str) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 2)))
    (tmp_path / "ids.txt").write_bytes(content.encode())
    [file] = import_vectors(job("x.npy", ids=tmp_path / "ids.txt", modality="text"))
    assert read_embeddings(file).ids.tolist() == ["a", "ü"]


def test_one_array_of_several_may_be_taken(tmp_path: Path, job: Callable[..., ImportJob]) -> None:
    write(tmp_path / "x.npz", audio=np.ones((4, 3)))
    [file] = import_vectors(job("x.npz", modality="audio", encoder="open/smile"))
    assert read_embeddings(file).encoder.name == "open--smile"
    with pytest.raises(UsageError, match=r"x.npz: has no array 'video'; it holds text, audio"):
        import_vectors(job("x.npz", modality="video"))


# What is refused


class Bomb:
    """Says so if anything in a file is run."""

    def __reduce__(self) -> tuple[object, ...]:
        return pytest.fail, ("an object in a file was brought to life",)


def _objects(path: Path) -> None:
    np.savez(path, ids=np.array(["a", Bomb()], dtype=object), text=np.ones((2, 2)))


NPZ: dict[str, tuple[Callable[[Path], object], type[ProjectError], str]] = {
    "absent": (lambda p: None, ManifestError, "no such file"),
    "empty": (lambda p: p.write_bytes(b""), ManifestError, "is no .npz file"),
    "random": (lambda p: p.write_bytes(b"xyz" * 99), ManifestError, "is no .npz file"),
    "pickle": (lambda p: p.write_bytes(pickle.dumps(Bomb())), ManifestError, "is no .npz file"),
    "cut": (
        lambda p: p.write_bytes(write(p).read_bytes()[:-100]),
        ManifestError,
        r"cannot be read as an .npz file \(.*fetch or save it again",
    ),
    "objects": (
        _objects,
        ManifestError,
        "it holds Python objects, which are never loaded: save ids and labels as strings",
    ),
    "no ids": (lambda p: np.savez(p, text=VECTORS), UsageError, "holds no ids; add --ids FILE"),
    "id twice": (
        lambda p: write(p, ["a", "b", "a", "c"]),
        ManifestError,
        r"ids are not unique \(1 too many\)",
    ),
    "id empty": (
        lambda p: write(p, ["a", "b", "", "c"]),
        ManifestError,
        "1 of 4 rows have an empty id",
    ),
    "ids 2-d": (
        lambda p: np.savez(p, ids=np.array([IDS]), text=VECTORS),
        ManifestError,
        "ids must have one dimension",
    ),
    "too few ids": (
        lambda p: write(p, IDS[:3]),
        ManifestError,
        "text has 4 rows for 3 ids; both must have the same order",
    ),
    "no matrix": (
        lambda p: np.savez(p, ids=np.array(IDS), y=np.arange(4)),
        ManifestError,
        r"it holds y \(4,\)",
    ),
    "frames": (
        lambda p: write(p, values=np.ones((4, 5, 2))),
        ManifestError,
        r"not float64 \(4, 5, 2\); average the frames",
    ),
    "no width": (
        lambda p: write(p, values=np.ones((4, 0))),
        ManifestError,
        r"must hold numbers in the shape \(rows, width\)",
    ),
    "words": (lambda p: write(p, values=np.full((4, 2), "x")), ManifestError, "must hold numbers"),
    "complex": (
        lambda p: write(p, values=np.ones((4, 2), complex)),
        ManifestError,
        "must hold numbers",
    ),
    "part nan": (
        lambda p: write(p, values=np.array([[1, np.nan]] * 4)),
        ManifestError,
        r"4 of 4 rows of 'text' hold nan or infinite beside other numbers, first 'ü1'; "
        r"make the row whole, or all nan",
    ),
    "infinite": (
        lambda p: write(p, values=np.full((4, 2), np.inf)),
        ManifestError,
        "hold nan or infinite",
    ),
    "too large": (
        lambda p: write(p, values=np.full((4, 2), 1e300)),
        ManifestError,
        "hold nan or infinite",
    ),
    "one class": (
        lambda p: write(p, label=np.array(["x"] * 4)),
        ProjectError,
        "x.npz: label set 'x' needs two or more",
    ),
}


@pytest.mark.parametrize("case", NPZ)
def test_a_bad_npz_is_refused_and_nothing_is_written(
    tmp_path: Path, job: Callable[..., ImportJob], case: str
) -> None:
    make, kind, message = NPZ[case]
    make(tmp_path / "x.npz")
    with pytest.raises(kind, match=message) as caught:
        import_vectors(job("x.npz"))
    assert str(caught.value).startswith(str(tmp_path / "x.npz"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,x0\na,1\nb,one\n", r"x.csv: cannot be read as a table \(.*invalid value 'one'"),
        ("id,x0,x1\na,1\n", "row 2 has 2 fields, the header has 3"),
        ("name,x0\na,1\n", "needs a column 'id'; got name, x0"),
        ("id,label\na,x\n", r"must hold numbers in the shape \(rows, width\)"),
        ("id,x0,x1\na,1,\n", "hold nan or infinite beside other numbers"),
    ],
)
def test_a_bad_csv_is_refused(
    tmp_path: Path, job: Callable[..., ImportJob], content: str, message: str
) -> None:
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(ManifestError, match=message):
        import_vectors(job("x.csv", modality="text"))


def test_a_parquet_column_of_words_is_refused(
    tmp_path: Path, job: Callable[..., ImportJob]
) -> None:
    write(tmp_path / "x.parquet", emotion=list("abcd"))
    with pytest.raises(
        ManifestError, match=r"column 'emotion' does not hold numbers; .* --columns emotion=label"
    ):
        import_vectors(job("x.parquet", modality="text"))


@pytest.mark.parametrize(
    ("source", "how", "kind", "message"),
    [
        (
            "x.txt",
            {},
            UsageError,
            "import reads .npz, .npy, .*, .arff, .parquet, not '.txt'",
        ),
        ("x.csv", {}, UsageError, "does not say what its vectors are; add --modality text"),
        ("x.npy", {"modality": "text"}, UsageError, "holds no ids; add --ids FILE"),
        ("x.npy", {"modality": "text", "ids": "none.txt"}, ManifestError, "none.txt: no such file"),
        ("x.npy", {"modality": "text", "ids": "x.csv"}, ManifestError, "text has 4 rows for 5 ids"),
        (
            "x.npz",
            {"rows": "other.csv"},
            ManifestError,
            r"x.npz: 3 of 4 ids are not in .*other.csv, first 'd4'",
        ),
        ("x.npz", {"rows": "twice.csv"}, ManifestError, r"twice.csv: 1 duplicate ids, first 'ü1'"),
        ("x.npz", {"rows": "none.csv"}, ManifestError, "none.csv: no such file"),
        (
            "x.npz",
            {"rows": "other.csv", "group": "team"},
            UsageError,
            "--group 'team': .*other.csv has the columns id, session",
        ),
        ("x.npz", {"protocol": "split"}, FoldError, "fill the split column"),
        (
            "x.npz",
            {"protocol": "spilt"},
            UsageError,
            "unknown fold plan 'spilt'; did you mean 'split'",
        ),
        ("x.npz", {"seen": "split:train"}, UsageError, "needs a column 'split'"),
        ("x.npz", {"seen": ""}, UsageError, "--seen '' is neither none, unknown"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    tmp_path: Path,
    job: Callable[..., ImportJob],
    source: str,
    how: dict[str, str],
    kind: type[Exception],
    message: str,
) -> None:
    for name in ("x.npz", "x.npy", "x.csv"):
        write(tmp_path / name)
    (tmp_path / "x.txt").write_text("ü1\n")
    (tmp_path / "other.csv").write_text("id,session\nb2,1\nx,2\n")
    (tmp_path / "twice.csv").write_text("id\nü1\nü1\n", encoding="utf-8")
    paths = {name: tmp_path / value for name, value in how.items() if name in {"ids", "rows"}}
    with pytest.raises(kind, match=message):
        import_vectors(job(source, **how | paths))
    assert not (tmp_path / "store").exists()


# Once more


def test_importing_again_is_the_same_file(tmp_path: Path, job: Callable[..., ImportJob]) -> None:
    write(tmp_path / "x.npz")
    [first] = import_vectors(job("x.npz"))
    before = first.read_bytes()
    assert import_vectors(job("x.npz")) == [first]
    assert first.read_bytes() == before


def test_importing_again_with_another_seen_record_is_refused(
    tmp_path: Path, job: Callable[..., ImportJob]
) -> None:
    write(tmp_path / "x.npz")
    [first] = import_vectors(job("x.npz", seen="unknown"))
    with pytest.raises(
        StoreError,
        match="is there already with another 'seen' record or other vectors; remove it first",
    ):
        import_vectors(job("x.npz", seen="none"))
    assert set(read_embeddings(first).seen.tolist()) == {"unknown"}


def test_other_vectors_under_the_same_name_lie_beside(
    tmp_path: Path, job: Callable[..., ImportJob]
) -> None:
    [first] = import_vectors(job(write(tmp_path / "x.npz").name))
    [second] = import_vectors(job(write(tmp_path / "x.npz", values=VECTORS * 2).name))
    assert first.parent.parent.parent == second.parent.parent.parent
    assert first != second
    assert read_embeddings(first).vectors[0, 0] == 1


def test_other_rows_under_the_same_name_are_refused(
    tmp_path: Path, job: Callable[..., ImportJob]
) -> None:
    import_vectors(job(write(tmp_path / "x.npz").name))
    write(tmp_path / "x.npz", ["ü1", "b2", "学3", "new"])
    with pytest.raises(StoreMismatchError, match="already holds another version of corpus 'x'"):
        import_vectors(job("x.npz"))


# Out again


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet"])
@pytest.mark.parametrize("classes", [(), ("x", "ÿ")])
def test_what_was_exported_comes_back(
    bench: Bench,
    tmp_path: Path,
    job: Callable[..., ImportJob],
    suffix: str,
    classes: tuple[str, ...],
) -> None:
    ref = bench.put("audio", missing=(2,), failed=(3,), seen="select", classes=classes)
    made = read_embeddings(bench.path(ref))
    odd = (made.vectors * np.float32(1.1)).astype(np.float32)
    write_embeddings(bench.path(ref), replace(made, vectors=odd))
    assert export_vectors(bench.path(ref), tmp_path / f"out{suffix}") == 12
    how = {} if suffix == ".npz" else {"modality": "audio"}
    [file] = import_vectors(job(f"out{suffix}", **how))
    again = read_embeddings(file)
    assert again.encoder.modality == "audio"
    assert again.ids.tolist() == made.ids.tolist()
    assert np.array_equal(again.vectors, odd, equal_nan=True)
    assert np.flatnonzero(again.status == "missing").tolist() == [2, 3]
    assert again.scores is None
    assert set(again.seen.tolist()) == {"no"}, "what the file says of itself is not believed"


def test_exports_hold_what_is_known(bench: Bench, tmp_path: Path) -> None:
    ref = bench.put("audio", failed=(3,), classes=("x", "y"))
    export_vectors(bench.path(ref), tmp_path / "out.csv")
    table = pd.read_csv(tmp_path / "out.csv")
    assert list(table.columns) == [
        "id",
        "status",
        "reason",
        "seen",
        "v0",
        "v1",
        "v2",
        "v3",
        "score:x",
        "score:y",
    ]
    assert table["reason"].dropna().tolist() == ["because it is failed"]
    export_vectors(bench.path(ref), tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz", allow_pickle=False) as data:
        assert set(data.files) == {
            "ids",
            "vectors",
            "seen",
            "status",
            "reason",
            "modality",
            "scores",
            "classes",
        }


@pytest.mark.parametrize(
    ("target", "kind", "message"),
    [
        ("out.h5", UsageError, r"export writes .npz, .csv, .parquet or .arff, not '.h5'"),
        ("out", UsageError, "not 'a name without suffix'"),
        ("none/out.csv", StoreAccessError, "there is no folder .*none.; make it first"),
    ],
)
def test_a_target_must_be_of_a_known_kind(
    bench: Bench, tmp_path: Path, target: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        export_vectors(bench.path(bench.put()), tmp_path / target)
