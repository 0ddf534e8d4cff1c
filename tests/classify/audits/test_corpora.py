"""What belongs to known corpora is a caution with its number.

RAVDESS and MELD as they are, IEMOCAP's layout generated.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classify.leakage.case import AuditCase
from classify.leakage.checks import Audit, run_checks
from classify.leakage.finding import LEAK
from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.folds.plan import Fold, FoldPlan
from embeddings_store.folds.rules import make_plan
from extract.corpora import read_corpus
from extract.corpora.demo_release.words import sentence
from tests.classify.audits.planted import WORDS

TURNS_PER_SESSION = (1085, 1023, 1151, 1031, 1241)  # of the 5,531 with one of four labels
ALL_TURNS = 10_039
REPLAYED = (5 * 243 + 2) / 5531  # 22.0 %


def audit(manifest: Manifest, plan: FoldPlan | None = None) -> Audit:
    return run_checks(AuditCase(manifest, plan or make_plan(manifest)))


def random_split(manifest: Manifest) -> FoldPlan:
    roles = np.where(np.random.default_rng(0).random(len(manifest)) < 0.8, 1, 3).astype(np.uint8)
    return FoldPlan("random", "none", manifest.ids, (Fold(1, "random", roles),))


def test_ravdess_speaks_two_sentences(shared: Path) -> None:
    found = audit(read_corpus("ravdess", shared / "data" / "ravdess"))
    assert found.having(LEAK) == [] and found.having("caution") == ["transcripts"]
    sentences = found.findings["transcripts"]
    assert sentences.share == 1.0 and sentences.means.startswith("two fixed sentences")
    assert sentences.details["look_up_accuracy"] == pytest.approx(
        96 / 720
    )  # as good as the commonest class, and no better
    assert found.findings["speakers"].verdict == found.findings["groups"].verdict == "clean"


def test_meld_is_a_series(shared: Path) -> None:
    manifest = read_corpus("meld", shared / "data" / "meld")
    found = audit(manifest)
    assert found.having(LEAK) == [] and found.having("caution") == ["speakers", "transcripts"]
    table = manifest.table
    known = set(table.loc[table["split"] == "train", "speaker"])
    assert (
        found.findings["speakers"].share
        == table.loc[table["split"] == "test", "speaker"].isin(known).mean()
    )
    assert found.findings["speakers"].number.startswith(
        "95.8 % of 2,610 test rows are by 69 speakers who also train"
    )
    assert found.findings["transcripts"].number.startswith(
        "15.7 % of 2,610 test rows repeat a transcript"
    )
    assert found.findings["transcripts"].details["identical_4_words_or_more"] == pytest.approx(
        0.011, abs=0.0005
    )


def test_the_same_overlap_is_a_leak_where_dialogues_are_torn(shared: Path) -> None:
    manifest = read_corpus("meld", shared / "data" / "meld")
    found = audit(manifest, random_split(manifest))
    assert {"speakers", "groups"} <= set(found.having(LEAK))


def iemocap() -> Manifest:
    """All 10,039 turns in IEMOCAP's layout.

    22 % of the labelled ones are scripts that every session replays.
    """
    generator = np.random.default_rng(1)
    rows = []
    for session, labelled in enumerate(TURNS_PER_SESSION, start=1):
        turns = ALL_TURNS // 5 + (session <= ALL_TURNS % 5)
        for turn in range(turns):
            speaker = "FM"[turn % 2]
            kind = "script" if turn < 243 + (session <= 2) else "impro"
            dialogue = f"Ses{session:02d}F_{kind}{1 + turn % 5:02d}"
            line = np.random.default_rng(turn) if kind == "script" else generator
            label = (
                ["ang", "hap", "exc", "neu", "sad"][int(line.integers(5))]
                if turn < labelled
                else "fru"
            )
            rows.append(
                (
                    f"{dialogue}_{speaker}{turn:03d}",
                    label,
                    f"Ses{session:02d}",
                    f"Ses{session:02d}_{speaker}",
                    dialogue,
                    " ".join(line.choice(WORDS, 8)),
                )
            )
    mapping = {
        "ang": "anger",
        "hap": "happiness",
        "exc": "happiness",
        "neu": "neutral",
        "sad": "sadness",
    }
    columns = dict(
        zip(
            ("id", "label", "session", "speaker", "group", "text"),
            map(list, zip(*rows, strict=True)),
            strict=True,
        )
    )
    labels = LabelSet(
        "iemocap-4", ("anger", "happiness", "neutral", "sadness"), mapping, frozenset({"fru"})
    )
    return Manifest.from_columns(
        "iemocap", columns, labels=labels, protocol="leave-one-session-out"
    )


def test_iemocap_replays_its_scripts() -> None:
    manifest = iemocap()
    assert len(manifest) == ALL_TURNS and int((manifest.codes() >= 0).sum()) == sum(
        TURNS_PER_SESSION
    )
    found = audit(manifest)
    assert found.having(LEAK) == [] and found.having("caution") == ["transcripts"]
    scripts = found.findings["transcripts"]
    assert "replay the same scripts" in scripts.means
    assert scripts.details["identical"] == pytest.approx(REPLAYED, abs=0.0005)
    assert scripts.number.startswith("22.0 % of 5,531 test rows repeat a transcript")
    assert scripts.details["look_up_accuracy"] > scripts.details["constant_accuracy"] + 0.2
    torn = audit(manifest, random_split(manifest))
    assert {"groups", "speakers", "transcripts"} <= set(torn.having(LEAK))


def test_the_same_scripts_in_a_corpus_that_nobody_knows_are_a_leak() -> None:
    known = iemocap()
    unknown = replace(known, name="mine", labels=replace(known.labels, name="mine-4"))  # type: ignore[type-var]
    found = audit(unknown)
    assert (
        found.having(LEAK) == ["transcripts"]
        and "--accept transcripts" in found.findings["transcripts"].advice
    )


def test_the_demo_is_not_refused() -> None:
    generator, rows = np.random.default_rng(0), 600
    cues = [("anger", "happiness", "neutral", "sadness")[i % 4] for i in range(rows)]
    columns = {
        "id": [f"u{i}" for i in range(rows)],
        "label": cues,
        "session": [f"Ses{i // 120}" for i in range(rows)],
        "text": [sentence(cue, generator) for cue in cues],
    }
    found = audit(Manifest.from_columns("demo", columns, protocol="leave-one-session-out"))
    assert found.having(LEAK) == []
    assert "put together from few phrases" in found.findings["transcripts"].means


def test_fixed_sentences_that_tell_nothing_are_no_leak_in_any_corpus() -> None:
    rows = 240
    columns = {
        "id": [f"c{i}" for i in range(rows)],
        "label": [("sad", "happy", "angry")[i % 3] for i in range(rows)],
        "speaker": [f"s{i // 40}" for i in range(rows)],
        "text": [
            f"the {WORDS[i // 3 % 4]} stood behind the old wooden door all night"
            for i in range(rows)
        ],
    }
    found = audit(Manifest.from_columns("mine", columns, protocol="leave-one-speaker-out"))
    assert found.having(LEAK) == [] and "tell nothing" in found.findings["transcripts"].means
