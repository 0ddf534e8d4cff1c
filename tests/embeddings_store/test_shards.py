"""Rows on their way: what was committed stays, what is torn is dropped, and the later part wins."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from embeddings_store.vectors.shards import ShardFolder


@pytest.fixture
def shards(tmp_path: Path) -> ShardFolder:
    folder = ShardFolder(tmp_path / ".running" / "e@f")
    assert folder.start({"settings": []}) == []
    return folder


def commit(shards: ShardFolder, rows: list[int], word: str = "ok") -> None:
    positions = np.array(rows, dtype=np.int64)
    shards.commit(
        positions,
        {
            "vectors": np.stack([positions, positions + 0.5], axis=1).astype(np.float32),
            "status": np.full(len(rows), word),
        },
    )


def test_rows_come_back_in_the_manifests_order(shards: ShardFolder) -> None:
    commit(shards, [3, 1])
    commit(shards, [0, 2, 4])
    assert shards.finished().tolist() == [0, 1, 2, 3, 4]
    columns = shards.assemble(5)
    assert columns["vectors"].tolist() == [[i, i + 0.5] for i in range(5)]
    assert columns["vectors"].dtype == np.float32


def test_the_later_part_wins_and_longer_words_fit(shards: ShardFolder) -> None:
    commit(shards, [0, 1, 2])
    commit(shards, [1], "failed")
    commit(shards, [2], "unreadable")
    commit(shards, [2], "ok")
    assert shards.assemble(3)["status"].tolist() == ["ok", "failed", "ok"]
    assert shards.finished().tolist() == [0, 1, 2]


def test_parts_are_ordered_by_number_not_by_name(shards: ShardFolder) -> None:
    commit(shards, [0, 1], "old")
    (shards.path / "part-000000.npz").rename(shards.path / "part-999999.npz")
    commit(shards, [1], "new")
    assert [p.name for p in sorted(shards.path.glob("*.npz"))] == [
        "part-1000000.npz",
        "part-999999.npz",
    ]
    assert shards.assemble(2)["status"].tolist() == ["old", "new"]


def test_starting_again_keeps_what_was_committed(shards: ShardFolder) -> None:
    commit(shards, [0])
    assert shards.start({"settings": []}) == []
    commit(shards, [1])
    assert shards.finished().tolist() == [0, 1]


def _npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _arrays(content: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(content)) as file:
        return dict(file)


def _flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


TORN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "cut in half": lambda whole: whole[: len(whole) // 2],
    "last byte gone": lambda whole: whole[:-1],
    "random": lambda whole: random.Random(0).randbytes(500),
    "one bit": lambda whole: _flipped(whole, 200),
    "noughts": lambda whole: b"\0" * len(whole),
    "no positions": lambda whole: _npz(vectors=np.zeros((1, 2))),
    "unequal": lambda whole: _npz(positions=np.arange(2), vectors=np.zeros((1, 2))),
    "written anew": lambda whole: _npz(**{**_arrays(whole), "positions": np.array([7, 1 << 40])}),
    "another value": lambda whole: _npz(**{**_arrays(whole), "status": np.array(["ok", "no"])}),
    "no digest": lambda whole: _npz(positions=np.arange(1), vectors=np.zeros((1, 2))),
    "objects": lambda whole: _npz(positions=np.arange(1), vectors=np.array([{}], dtype=object)),
}


@pytest.mark.parametrize("how", TORN)
def test_a_torn_part_is_dropped_and_told(shards: ShardFolder, how: str) -> None:
    commit(shards, [0, 1])
    commit(shards, [2, 3])
    torn = shards.path / "part-000001.npz"
    torn.write_bytes(TORN[how](torn.read_bytes()))
    assert set(shards.finished().tolist()) >= {0, 1}, (
        "looking is allowed before start has cleaned up"
    )
    [sentence] = shards.start({"settings": []})
    assert sentence.startswith(f"{torn}: ")
    assert sentence.endswith("its rows are made again")
    assert not torn.exists()
    assert shards.finished().tolist() == [0, 1]


def test_a_part_that_claims_to_be_huge_is_dropped_before_it_takes_memory(
    shards: ShardFolder,
) -> None:
    commit(shards, list(range(20_000)))
    part = shards.path / "part-000000.npz"
    whole = part.read_bytes()
    torn = whole.replace(b"(20000,), }" + b" " * 10, b"(20000" + b"0" * 10 + b",), }", 1)
    assert len(torn) == len(whole)
    assert torn != whole
    part.write_bytes(torn)
    assert len(shards.start({})) == 1


def test_every_flipped_bit_is_dropped_or_changes_nothing(shards: ShardFolder) -> None:
    commit(shards, [0, 1, 2])
    part = shards.path / "part-000000.npz"
    whole, expected = part.read_bytes(), shards.assemble(3)
    dropped = 0
    for place in range(0, len(whole), 5):
        part.write_bytes(_flipped(whole, place))
        if shards.start({}):
            dropped += 1
            continue
        again = shards.assemble(3)
        assert all(np.array_equal(again[name], expected[name]) for name in expected), place
    assert dropped > len(whole) / 5 / 3


@pytest.mark.parametrize(
    ("rows", "total", "message"),
    [
        ([0, 2], 4, "2 of 4 rows are not there yet"),
        ([], 1, "1 of 1 rows"),
        ([0, 7], 4, "holds row 7 of a corpus with 4 rows"),
        ([-1], 4, "holds row"),
    ],
)
def test_what_is_not_complete_is_not_assembled(
    shards: ShardFolder, rows: list[int], total: int, message: str
) -> None:
    commit(shards, rows)
    with pytest.raises(ValueError, match=message):
        shards.assemble(total)


def test_parts_hold_the_same_columns(shards: ShardFolder) -> None:
    commit(shards, [0])
    shards.commit(np.array([1]), {"status": np.array(["ok"])})
    with pytest.raises(
        ValueError, match=r"part-000001.npz: holds the columns \['status'\], the parts before it"
    ):
        shards.assemble(2)


def test_columns_are_as_long_as_positions(shards: ShardFolder) -> None:
    with pytest.raises(ValueError, match="column 'v' has 1 rows for 2 positions"):
        shards.commit(np.arange(2), {"v": np.zeros(1)})
    assert shards.finished().tolist() == []


def test_removing_leaves_only_the_lock(shards: ShardFolder) -> None:
    shards.lock.touch()
    commit(shards, [0])
    shards.remove()
    assert list(shards.path.parent.iterdir()) == [shards.lock]
