"""Fine-tuning under a protocol or a label set by name.

What is trained on, what is recorded, what is refused afterwards.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import tiny_encoders
import tuning

from embeddings_store.corpus.label_sets import LABEL_SETS
from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import StoreMismatchError, UsageError
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.setup import Request, set_up
from embeddings_store.load import load_fold
from extract.commands.extract_features import main
from extract.commands.extract_jobs import finetune_jobs
from extract.commands.extract_options import build_parser
from extract.corpora import emodb, meld, ravdess
from extract.finetuning.row_roles import FoldChoice

RAW = [
    "hap",
    "ang",
    "neu",
    "sad",
    "exc",
    "fru",
    "neu",
    "sad",
    "hap",
    "fru",
    "neu",
    "ang",
    "sad",
    "hap",
    "exc",
    "neu",
]


@pytest.fixture
def text(tmp_path, monkeypatch):
    tuning.give_inputs(monkeypatch, tuning.items("text", 32))
    model = tiny_encoders.save(tuning.spec_named("distilbert-base-uncased"), tmp_path / "m")
    rows = tuning.write_corpus(
        tmp_path / "c", 32, label=RAW * 2, group=[f"g{i // 4}" for i in range(32)]
    )
    return lambda **changes: tuning.job(
        rows, model, "text", corpus_name="iemocap-mini", epochs=1, **changes
    )


def test_a_view_trains_on_its_own_rows_and_serves_no_other_view(text):
    job = text(label_set="iemocap-4-no-exc")
    prepared, file = tuning.run(job)
    seen = dict(zip(file.ids.tolist(), file.seen.tolist(), strict=True))
    assert all(seen[f"u{i:02d}"] == "no" for i, raw in enumerate(RAW * 2) if raw in {"exc", "fru"})
    assert (file.attributes["label_set"], file.classes) == (
        "iemocap-4-no-exc",
        ("anger", "happiness", "neutral", "sadness"),
    )
    manifest = Manifest.load(job.target.folder / "iemocap-mini")
    assert manifest.labels is not None
    assert "exc" in manifest.labels.classes, "the store keeps the corpus as it was read"
    views = {"text": prepared.dump.refs[0]}
    for name, refused in (("iemocap-4-no-exc", False), ("iemocap-4", True)):
        setup = set_up(manifest, Request(label_set=name))
        if refused:
            with pytest.raises(
                StoreMismatchError, match="on the label set 'iemocap-4-no-exc', not on 'iemocap-4'"
            ):
                load_fold(
                    FoldRequest(job.target.folder, "iemocap-mini", views, setup.plan, 1), setup.view
                )
        else:
            assert (
                len(
                    load_fold(
                        FoldRequest(job.target.folder, "iemocap-mini", views, setup.plan, 1),
                        setup.view,
                    ).test
                )
                == 6
            )


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("ravdess-speech", ravdess.EMOTIONS),
        ("ravdess-song", ravdess.SUNG),
        ("emodb-7", emodb.EMOTIONS.values()),
        ("meld-7", meld.EMOTIONS),
    ],
)
def test_named_sets_are_those_of_the_readers(name, classes):
    """Else an encoder trained without a name would not serve the protocol that names the set."""
    assert LABEL_SETS[name].labels.digest == LabelSet("any", tuple(classes)).digest


def test_a_protocol_sets_plan_and_rule_and_is_named_in_the_file(text):
    job = text(protocol="group-stratified-kfold:4", label_set="iemocap-4")
    _, file = tuning.run(job)
    assert (file.attributes["protocol"], file.attributes["plan"]) == (
        "group-stratified-kfold:4",
    ) * 2
    assert file.attributes["label_set"] == "iemocap-4"
    with pytest.raises(
        UsageError, match="--label-set iemocap-6 contradicts --protocol iemocap-paper"
    ):
        tuning.run(replace(job, request=Request("iemocap-paper", label_set="iemocap-6")))
    with pytest.raises(UsageError, match="it is of no protocol; leave out --protocol"):
        tuning.run(replace(job, fold=FoldChoice("final")))
    with pytest.raises(
        UsageError, match="--rule fixed-epochs contradicts --protocol group-stratified-kfold:4"
    ):
        tuning.run(text(protocol="group-stratified-kfold:4", rule="fixed-epochs"))


@pytest.mark.parametrize(
    ("protocol", "rule"),
    [
        ("iemocap-paper", "valid-session"),
        ("iemocap-paper-fixed", "fixed-epochs"),
        ("iemocap-emobox", "fixed-epochs"),
        ("mosi-official", "valid-session"),
    ],
)
def test_a_protocol_brings_its_selection_rule(protocol, rule):
    arguments = build_parser().parse_args(
        [
            "--corpus",
            "iemocap",
            "--root",
            "x",
            "--modality",
            "text",
            "--fold",
            "1",
            "--protocol",
            protocol,
        ]
    )
    assert finetune_jobs(arguments, "text")[0].settings.rule == rule


def test_protocols_are_listed_without_a_corpus_and_with_one(tmp_path, capsys):
    rows = tuning.write_corpus(tmp_path / "c")
    assert main(["--list-protocols"]) == 0
    assert "iemocap-superb" in capsys.readouterr().out
    assert main(["--list-protocols", "--corpus", "manifest", "--root", str(rows)]) == 0
    out = capsys.readouterr().out
    assert "group-stratified-kfold:K" in out
    assert "iemocap-paper" not in out


@pytest.mark.parametrize(
    "option", ["--protocol=iemocap-paper", "--label-set=iemocap-6", "--protocol-files=x"]
)
def test_frozen_vectors_serve_every_protocol_so_none_is_named(tmp_path, capsys, option):
    rows = tuning.write_corpus(tmp_path / "c")
    assert (
        main(
            ["--corpus", "manifest", "--root", str(rows), "--modality", "text", "--frozen", option]
        )
        == 2
    )
    assert "belongs to fine-tuning and does nothing with --frozen" in capsys.readouterr().err
