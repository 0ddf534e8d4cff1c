"""Choosing vectors: never a guess, and every refusal lists what there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import StoreError, StoreNotFoundError, UnknownNameError, UsageError
from embeddings_store.vectors.catalogue import catalogue, choose_views, corpora, entries_by_seed

if TYPE_CHECKING:
    from conftest import Bench

OTHER = "ba9876543210"


def choose(bench: Bench, **how: object) -> dict[str, list[str]]:
    views = choose_views(catalogue(bench.store, "mini"), **how)  # type: ignore[arg-type]
    return {modality: [f"{r.folder}/{r.seed}" for r in refs] for modality, refs in views.items()}


def put_layers(
    bench: Bench, *layers: int, last: int = 3, modality: str = "audio", **how: object
) -> None:
    for layer in layers:
        name = "enc" if layer == last else f"enc.L{layer}"
        bench.put(
            modality,
            name=name,
            fingerprint=f"{layer:012x}",
            layer=layer,
            about={"settings": {"layer": layer, "pooling": "mean"}},
            **how,
        )


def test_the_only_encoder_of_each_modality_is_taken(bench: Bench) -> None:
    bench.put("text")
    bench.put("audio")
    assert choose(bench) == {
        "audio": ["enc-audio@0123456789ab/0"],
        "text": ["enc-text@0123456789ab/0"],
    }
    assert list(choose(bench, modalities=["text", "audio"])) == ["text", "audio"]
    assert list(choose(bench, modalities=["text"])) == ["text"]


def test_folds_of_one_encoder_are_one_choice(bench: Bench) -> None:
    bench.put("text", fold="1")
    bench.put("text", fold="2")
    assert choose(bench) == {"text": ["enc-text@0123456789ab/0"]}


def test_two_fingerprints_are_listed_with_what_differs(bench: Bench) -> None:
    bench.put("text", about={"settings": {"pooling": "mean", "max_tokens": 128}})
    bench.put("text", fingerprint=OTHER, about={"settings": {"pooling": "cls", "max_tokens": 128}})
    with pytest.raises(
        UsageError, match="several text vectors would do, and this program does not guess"
    ) as caught:
        choose(bench)
    assert "--encoder text=enc-text@0123456789ab  (seed 0, pooling=mean)" in str(caught.value)
    assert f"--encoder text=enc-text@{OTHER}  (seed 0, pooling=cls)" in str(caught.value)
    assert "max_tokens" not in str(caught.value)
    for wanted in (f"enc-text@{OTHER}", "enc-text@ba", "@ba9"):
        assert choose(bench, encoders={"text": wanted}) == {"text": [f"enc-text@{OTHER}/0"]}


def test_two_encoders_are_told_apart_by_name(bench: Bench) -> None:
    bench.put("text", name="bert")
    bench.put("text", name="roberta", fingerprint=OTHER)
    with pytest.raises(UsageError, match="several text vectors"):
        choose(bench)
    assert choose(bench, encoders={"text": "bert"}) == {"text": ["bert@0123456789ab/0"]}


def test_seeds_are_chosen_by_seed(bench: Bench) -> None:
    bench.put("text", seed=1)
    bench.put("text", seed=2)
    with pytest.raises(
        UsageError,
        match=r"They differ in the seed: --encoder-seed takes one or several \(1, 2\), or all",
    ):
        choose(bench)
    assert choose(bench, seed=2) == {"text": ["enc-text@0123456789ab/2"]}
    with pytest.raises(UsageError, match="no text vectors with seed 3"):
        choose(bench, seed=3)


def test_inner_folds_lie_beside_their_fold_and_are_no_choice(bench: Bench) -> None:
    bench.put("text", fold="1")
    bench.put("text", fold="1.inner-1", fingerprint=OTHER)
    assert choose(bench) == {"text": ["enc-text@0123456789ab/0"]}


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ("2", ["enc.L2@000000000002/0"]),
        ("10", ["enc.L10@00000000000a/0"]),
        ("last", ["enc@00000000000c/0"]),
        ("12", ["enc@00000000000c/0"]),
    ],
)
def test_layers_are_chosen_by_number(bench: Bench, layer: str, expected: list[str]) -> None:
    put_layers(bench, 10, 2, 12, last=12)
    assert choose(bench, layer=layer)["audio"] == expected
    assert choose(bench, layer=layer, encoders={"audio": "enc"})["audio"] == expected


def test_all_layers_may_be_candidates_for_validation(bench: Bench) -> None:
    put_layers(bench, 10, 2, 12, last=12)
    bench.put("text")
    chosen = choose(bench, layer="choose")
    assert [name.split("@")[0] for name in chosen["audio"]] == ["enc.L2", "enc.L10", "enc"]
    assert len(chosen["text"]) == 1
    with pytest.raises(
        UsageError,
        match="They differ in the layer alone: --layer N takes one, --layer choose lets",
    ):
        choose(bench)


def test_validation_chooses_between_layers_and_nothing_else(bench: Bench) -> None:
    put_layers(bench, 2, 3)
    bench.put(
        "audio",
        name="enc",
        fingerprint=OTHER,
        layer=3,
        about={"settings": {"layer": 3, "pooling": "cls"}},
    )
    with pytest.raises(UsageError, match="several audio vectors"):
        choose(bench, layer="choose")


def test_a_layer_is_no_question_where_there_are_none(bench: Bench) -> None:
    bench.put("text")
    put_layers(bench, 2, 3)
    assert choose(bench, layer="2") == {
        "text": ["enc-text@0123456789ab/0"],
        "audio": ["enc.L2@000000000002/0"],
    }


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            {"modalities": ["adio"]},
            "unknown modality 'adio'; did you mean 'audio'. Known: audio, text",
        ),
        ({"encoders": {"txt": "bert"}}, "unknown modality 'txt'; did you mean 'text'"),
        (
            {"modalities": ["audio"], "encoders": {"text": "enc-text"}},
            "is named for text, which is not among the modalities audio",
        ),
        (
            {"modalities": ["text"], "encoders": {"text": "enc-txt"}},
            r"no text vectors match 'enc-txt'; did you mean 'enc-text'\? "
            r"The store has:\n  enc-text@",
        ),
        (
            {"modalities": ["text"], "encoders": {"text": "enc-text@ff"}},
            "no text vectors match 'enc-text@ff'",
        ),
        ({"layer": "7"}, "unknown layer of audio '7'.*Known: 2, 3, last, choose, valid"),
        ({"layer": "lst"}, "unknown layer of audio 'lst'; did you mean 'last'"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(
    bench: Bench, how: dict[str, object], message: str
) -> None:
    bench.put("text", fold="1")
    bench.put("text", fold="2")
    put_layers(bench, 2, 3)
    with pytest.raises(UsageError, match=message) as caught:
        choose(bench, **how)
    assert str(caught.value).count("enc-text@0123456789ab (seed 0)") <= 1


# The catalogue


def test_the_catalogue_says_what_each_file_holds(bench: Bench) -> None:
    bench.put(
        "text",
        missing=(1, 2),
        classes=("x", "y"),
        fold="3",
        about={"settings": {"pooling": "mean"}},
    )
    [entry] = catalogue(bench.store, "mini")
    assert (entry.corpus, entry.fold, entry.rows, entry.ok, entry.dim, entry.has_scores) == (
        "mini",
        "3",
        12,
        10,
        4,
        True,
    )
    assert entry.settings == {"pooling": "mean"}
    assert entry.path == bench.path(entry.ref, "3")


def test_leftovers_and_rows_on_their_way_are_not_listed(bench: Bench) -> None:
    path = bench.path(bench.put())
    (path.parent / ".fold-1.h5.host-1.tmp").touch()
    running = bench.store / "mini" / ".running" / "x@y" / "part-000000.npz"
    running.parent.mkdir(parents=True)
    running.touch()
    assert [entry.path for entry in catalogue(bench.store, "mini")] == [path]


def test_a_damaged_file_is_told_or_collected(bench: Bench) -> None:
    bench.put("text")
    bench.path(bench.put("audio")).write_bytes(b"torn")
    with pytest.raises(StoreError, match="is cut short or damaged"):
        catalogue(bench.store, "mini")
    damaged: list[str] = []
    assert [entry.ref.modality for entry in catalogue(bench.store, "mini", damaged)] == ["text"]
    assert len(damaged) == 1
    assert "is cut short or damaged" in damaged[0]


def test_corpora_are_named(
    bench: Bench, make_manifest: Callable[..., Manifest], tmp_path: Path
) -> None:
    make_manifest("maxi").enter(bench.store)
    assert corpora(bench.store) == ["maxi", "mini"]
    with pytest.raises(
        UnknownNameError, match=r"unknown corpus 'mni'; did you mean 'mini'. Known: maxi, mini"
    ):
        catalogue(bench.store, "mni")
    with pytest.raises(
        StoreNotFoundError,
        match="no vectors of corpus 'maxi' yet; run extract-features --corpus maxi",
    ):
        catalogue(bench.store, "maxi")
    with pytest.raises(StoreNotFoundError, match="no corpus in this store"):
        corpora(tmp_path / "none")


def test_frozen_vectors_stand_beside_every_seed_of_the_others(bench: Bench) -> None:
    bench.put("text")
    for seed in (0, 1):
        bench.put("audio", fold="1", seed=seed)
        bench.put("audio", fold="1.inner-1", seed=seed, fingerprint=OTHER)
    entries = catalogue(bench.store, "mini")
    for asked in ((), (0, 1)):
        found = {s: choose_views(e) for s, e in entries_by_seed(entries, asked).items()}
        assert {
            seed: {m: [r.seed for r in refs] for m, refs in views.items()}
            for seed, views in found.items()
        } == {0: {"audio": [0], "text": [0]}, 1: {"audio": [1], "text": [0]}}
    bench.put("video", fold="1", seed=1)
    with pytest.raises(UsageError, match="no video vectors of seed 0; the store has the seeds 1"):
        entries_by_seed(catalogue(bench.store, "mini"))
    assert list(entries_by_seed(catalogue(bench.store, "mini"), (1,))) == [1]
