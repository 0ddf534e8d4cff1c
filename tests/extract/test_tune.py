"""Fine-tuning end to end over every row of the registry.

Stored scores, what is recorded as seen, what is refused.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_encoders
import tuning
from safetensors.torch import load_file

from embeddings_store.errors import FoldError, LabelError, LeakError, ModelLoadError, UsageError
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.rules import make_plan
from embeddings_store.load import load_fold
from embeddings_store.vectors.hdf5 import verify
from extract.encoders import REGISTRY, load_encoder
from extract.finetuning.checkpoints import is_complete, mark_complete
from extract.finetuning.model_files import load_model
from extract.finetuning.row_roles import training_setup
from extract.pipeline.finetuning_prepare import prepare_finetuning


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One tiny real model per row of the registry."""
    folder = tmp_path_factory.mktemp("models")
    for row in REGISTRY:
        tiny_encoders.save(row, folder)
    return folder


@pytest.fixture
def text(tmp_path, models, monkeypatch):
    """Make jobs over the transcripts with a tiny BERT."""
    tuning.give_inputs(monkeypatch, tuning.items("text"))
    rows = tuning.write_corpus(tmp_path / "c")
    return lambda **changes: tuning.job(rows, models / "bert-base-uncased", "text", **changes)


@pytest.mark.parametrize("row", REGISTRY, ids=lambda row: row.name)
def test_stored_scores_are_the_head_of_the_vector_that_the_kept_encoder_makes(
    tmp_path, models, monkeypatch, row
):
    given = tuning.items(row.modality, pictures=tiny_encoders.pictures_of(row))
    tuning.give_inputs(monkeypatch, given)
    rows = tuning.write_corpus(tmp_path / "c")
    before = load_encoder(str(models / row.name), device="cpu")
    prepared, file = tuning.run(
        tuning.job(rows, models / row.name, row.modality, keep_models=True, epochs=1)
    )
    assert verify(prepared.dump.path(prepared.dump.refs[0])) == []
    encoder = load_encoder(
        str(prepared.model_folder / "encoder"), pooling=before.pooling, device="cpu"
    )
    assert encoder.settings == before.settings
    again = np.concatenate([encoder.encode([item])[:, 0] for item in given])
    np.testing.assert_allclose(file.vectors, again, rtol=1e-5, atol=1e-5)
    head = {
        name: tensor.numpy()
        for name, tensor in load_file(prepared.model_folder / "head.safetensors").items()
    }
    np.testing.assert_allclose(
        file.scores, file.vectors @ head["weight"].T + head["bias"], rtol=1e-5, atol=1e-6
    )
    assert np.abs(file.vectors - before.encode(given)[:, 0]).max() > 1e-3, "it was trained"
    assert file.classes == tuning.CLASSES
    assert file.ok.all()


@pytest.mark.parametrize(
    "name", ["bert-base-uncased", "wavlm-base", "whisper-tiny", "ast", "videomae-base"]
)
def test_a_learnt_sum_of_layers_is_what_is_stored(tmp_path, models, monkeypatch, name):
    row = tuning.spec_named(name)
    given = tuning.items(row.modality)
    tuning.give_inputs(monkeypatch, given)
    rows = tuning.write_corpus(tmp_path / "c")
    prepared, file = tuning.run(
        tuning.job(rows, models / name, row.modality, keep_models=True, weighted_layers=True)
    )
    encoder = load_encoder(str(prepared.model_folder / "encoder"), layer="all", device="cpu")
    head = {
        key: tensor.numpy()
        for key, tensor in load_file(prepared.model_folder / "head.safetensors").items()
    }
    weights = np.exp(head["layer_weights"]) / np.exp(head["layer_weights"]).sum()
    assert np.ptp(weights) > 0, "they were trained"
    expected = np.einsum("nld,l->nd", encoder.encode(given), weights)
    np.testing.assert_allclose(file.vectors, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        file.scores, file.vectors @ head["weight"].T + head["bias"], rtol=1e-5, atol=1e-6
    )
    assert file.attributes["settings"]["layer"] == "weighted"


def seen(file) -> dict[str, str]:
    """What is recorded for each session, which must be one word."""
    words = {f"s{i}": set(file.seen[4 * i : 4 * i + 4].tolist()) for i in range(tuning.SESSIONS)}
    assert all(len(found) == 1 for found in words.values())
    return {session: found.pop() for session, found in words.items()}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["no", "select", "fit", "fit"]),
        ({"fold": "4"}, ["select", "fit", "fit", "no"]),
        ({"rule": "fixed-epochs"}, ["no", "fit", "fit", "fit"]),
        ({"rule": "test"}, ["select", "fit", "fit", "fit"]),
        ({"fold": "final"}, ["fit", "fit", "fit", "fit"]),
        ({"inner": 2, "inner_fold": 1}, ["no", "select", "no", "fit"]),
        ({"inner": 2, "inner_fold": 2}, ["no", "select", "fit", "no"]),
        ({"seen": "unknown"}, ["unknown", "select", "fit", "fit"]),
    ],
)
def test_what_the_encoder_has_seen_is_recorded(text, changes, expected):
    _, file = tuning.run(text(epochs=1, **changes))
    assert list(seen(file).values()) == expected


def test_what_an_encoder_was_fitted_on_before_stays_so(text, tmp_path):
    (tmp_path / "seen.csv").write_text(
        "id,seen\n" + "".join(f"u{i:02d},{'fit' if i < 8 else 'no'}\n" for i in range(16))
    )
    _, file = tuning.run(text(epochs=1, seen=str(tmp_path / "seen.csv")))
    assert list(seen(file).values()) == ["fit", "fit", "fit", "fit"]


def test_the_gate_scores_the_honest_rules_and_refuses_the_one_that_chose_on_test(text):
    for rule, refused in (("valid-session", False), ("fixed-epochs", False), ("test", True)):
        job = text(epochs=1, rule=rule)
        prepared, _ = tuning.run(job)
        manifest = job.source.read()
        plan = training_setup(manifest, job.request, rule).plan
        views = {"text": prepared.dump.refs[0]}
        if refused:
            with pytest.raises(LeakError, match="chosen by its accuracy"):
                load_fold(FoldRequest(job.target.folder, manifest.name, views, plan, 1))
        else:
            fold = load_fold(FoldRequest(job.target.folder, manifest.name, views, plan, 1))
            assert len(fold.test) == 4
            assert fold.test.scores["text"].shape == (4, 2)
            assert fold.train.fitted.all()
        with pytest.raises(Exception, match="fold 2"):
            load_fold(FoldRequest(job.target.folder, manifest.name, views, plan, 2))


def test_rows_without_a_label_or_an_input_are_dumped_as_far_as_they_can_be(
    tmp_path, models, monkeypatch
):
    tuning.give_inputs(monkeypatch, tuning.items("text"))
    labels = [("", tuning.CLASSES[i // 2 % 2])[i != 9] for i in range(16)]
    texts = [("", f"text {i}")[i != 10] for i in range(16)]
    rows = tuning.write_corpus(tmp_path / "c", label=labels, text=texts)
    _, file = tuning.run(tuning.job(rows, models / "bert-base-uncased", "text", epochs=1))
    assert file.seen[[8, 9, 10, 11]].tolist() == ["fit", "no", "no", "fit"]
    assert file.status[[9, 10]].tolist() == ["ok", "missing"]
    assert np.isnan(file.scores[10]).all()


def test_clips_that_cannot_be_read_are_left_out_of_training_and_listed(text, monkeypatch):
    tuning.give_inputs(monkeypatch, tuning.items("text"), broken=(5, 8))
    said = []
    prepared, file = tuning.run(text(epochs=1), tuning.quiet(said.append))
    assert file.status[[5, 8]].tolist() == ["failed", "failed"]
    assert file.reason[8] == "u8.wav is torn"
    assert int(file.ok.sum()) == 14
    assert [s for s in said if "2 rows cannot be read" in s and "u05" in s]
    told = file.attributes["provenance"]["training"]
    assert (told["fit_rows"], told["choose_rows"]) == (7, 3)
    assert len(tuning.history(prepared).dropna(subset=["loss"])) == 2


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ((8, 9, 12, 13), "that can be read: no row to train on of class 'happy'"),
        ((4, 5, 6, 7), "choose the epoch can be read"),
    ],
)
def test_too_many_broken_clips_end_in_a_message(text, monkeypatch, broken, message):
    tuning.give_inputs(monkeypatch, tuning.items("text"), broken=broken)
    with pytest.raises(FoldError, match=message):
        tuning.run(text())


def test_seeds_stand_side_by_side_and_repeat(text, tmp_path):
    files = {}
    for seed, store in ((0, "e"), (1, "e"), (0, "again")):
        prepared, file = tuning.run(text(seed=seed, store=tmp_path / store))
        files[store, seed] = file
        assert prepared.dump.path(prepared.dump.refs[0]).parent.name == f"seed-{seed}"
    np.testing.assert_array_equal(files["e", 0].vectors, files["again", 0].vectors)
    np.testing.assert_array_equal(files["e", 0].scores, files["again", 0].scores)
    assert files["e", 0].encoder.fingerprint == files["e", 1].encoder.fingerprint
    assert np.abs(files["e", 0].scores - files["e", 1].scores).max() > 1e-3


def test_every_setting_but_the_seed_and_the_size_of_validation_changes_the_fingerprint(text):
    other = {
        "epochs": 3,
        "batch_size": 2,
        "learning_rate": 1e-4,
        "weight_decay": 0.0,
        "scheduler": "cosine",
        "warmup_ratio": 0.1,
        "gradient_accumulation": 2,
        "max_grad_norm": 2.0,
        "rule": "test",
        "freeze": "1",
        "label_smoothing": 0.1,
        "class_weights": True,
        "balanced_sampling": True,
        "dropout": 0.1,
        "early_stopping": 1,
        "augment": ("word-dropout",),
        "precision": "float32",
        "weighted_layers": True,
        "shuffle_labels": 1,
        "max_tokens": 9,
        "folds": "speaker-kfold:4",
    }
    prints = {
        name: prepare_finetuning(text(**{name: value})).dump.refs[0].fingerprint
        for name, value in other.items()
    }
    same = [
        prepare_finetuning(text(**change)).dump.refs[0].fingerprint
        for change in (
            {},
            {"seed": 3},
            {"eval_batch_size": 7},
            {"memory_gb": 0.0},
            {"keep_models": True},
        )
    ]
    assert len(set(same)) == 1
    assert len({*prints.values(), *same}) == len(prints) + 1


def test_what_it_takes_to_repeat_the_run_is_in_the_file(text):
    prepared, file = tuning.run(text(dropout=0.25))
    told, made = file.attributes, file.attributes["provenance"]
    assert told["settings"]["train_dropout"] == 0.25
    assert told["settings"]["train_learning_rate"] == 1e-3
    assert {told["selection_rule"], told["plan"]} == {"valid-session", "leave-one-session-out"}
    assert told["best_epoch"] in {1, 2}
    assert len(told["weights_digest"]) == 64
    assert made["training"] == {
        **made["training"],
        "fit_rows": 8,
        "choose_rows": 4,
        "steps": 4,
        "precision": "float32",
        "processes": 1,
        "device": "cpu",
        "resumed_from": [],
    }
    assert "AdamW" in made["training"]["optimizer"]
    assert made["encoder_source"] == "bert-base-uncased"
    assert str(prepared.job.target.folder.parent) not in json.dumps(dict(told), default=str)


def test_shuffled_labels_are_recorded_and_give_chance(tmp_path, models, monkeypatch):
    given = tuning.items("text", 64)
    tuning.give_inputs(monkeypatch, given)
    rows = tuning.write_corpus(tmp_path / "c", 64)
    accuracy = {}
    for shuffle in (None, 1):
        job = tuning.job(
            rows,
            models / "bert-base-uncased",
            "text",
            shuffle_labels=shuffle,
            epochs=4,
            learning_rate=3e-3,
        )
        prepared, file = tuning.run(job)
        plan = training_setup(job.source.read(), job.request, "valid-session").plan
        fold = load_fold(
            FoldRequest(
                job.target.folder,
                "rows",
                {"text": prepared.dump.refs[0]},
                plan,
                1,
                shuffle_seed=shuffle,
            )
        )
        accuracy[shuffle] = float((fold.test.scores["text"].argmax(1) == fold.test.y).mean())
        assert file.attributes["labels_shuffled"] == (-1 if shuffle is None else shuffle)
    assert accuracy[None] >= 0.9
    assert 0.2 <= accuracy[1] <= 0.8


def test_final_keeps_its_model_and_others_only_on_request(text):
    for changes, kept in (
        ({"fold": "final"}, True),
        ({}, False),
        ({"keep_models": True, "seed": 1}, True),
    ):
        prepared, _ = tuning.run(text(epochs=1, **changes))
        assert is_complete(prepared.model_folder) == kept
        assert prepared.model_folder.parent.exists() == kept
        assert tuning.leftovers(prepared.job.target.folder) == []
    told = json.loads((prepared.model_folder / "complete.json").read_text())
    assert told["classes"] == list(tuning.CLASSES)
    assert told["record"]["fit_rows"] == 8


def test_a_kept_model_stays_when_the_command_comes_again_without_asking_for_it(text):
    prepared, _ = tuning.run(text(epochs=1, keep_models=True))
    tuning.run(text(epochs=1))
    assert is_complete(prepared.model_folder)


def test_nothing_is_done_twice_unless_asked(text):
    steps = []
    told = tuning.quiet(training=steps.append)
    first, file = tuning.run(text(epochs=1), told)
    assert sum(steps) == first.steps == 2
    tuning.run(text(epochs=1), told)
    assert sum(steps) == 2
    _, again = tuning.run(text(epochs=1, overwrite=True), told)
    assert sum(steps) == 4
    np.testing.assert_array_equal(again.vectors, file.vectors)


def test_a_model_that_is_not_what_was_written_is_refused(text):
    prepared, _ = tuning.run(text(epochs=1, keep_models=True))
    folder = prepared.model_folder
    encoder = load_encoder(str(folder / "encoder"), device="cpu")
    assert load_model(folder, encoder, 2).best_epoch == 1
    with pytest.raises(ModelLoadError, match="other classes"):
        load_model(folder, encoder, 3)
    weights = folder / "encoder" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ModelLoadError, match="not a finished model"):
        load_model(folder, encoder, 2)
    tensors = load_file(weights)
    from safetensors.torch import save_file

    save_file(
        {name: t for name, t in tensors.items() if not name.startswith("encoder.layer.1")},
        weights,
        {"format": "pt"},
    )
    mark_complete(folder)
    with pytest.raises(ModelLoadError, match="missing"):
        load_encoder(str(folder / "encoder"), device="cpu")


def test_a_corpus_without_labels_or_such_a_fold_is_refused_before_anything_is_loaded(
    tmp_path, models, monkeypatch
):
    monkeypatch.setattr("extract.pipeline.finetuning_prepare.load_for_training", None)
    model = models / "bert-base-uncased"
    rows = tuning.write_corpus(tmp_path / "c", label=[""] * 16)
    with pytest.raises(LabelError, match="no labels to train on; add --frozen"):
        prepare_finetuning(tuning.job(rows, model, "text"))
    rows = tuning.write_corpus(tmp_path / "d")
    with pytest.raises(FoldError, match="has folds 1, 2, 3, 4, not 5"):
        prepare_finetuning(tuning.job(rows, model, "text", fold="5"))
    with pytest.raises(UsageError, match="4 in 'speaker'"):
        prepare_finetuning(tuning.job(rows, model, "text", inner=9, inner_fold=1))
    with pytest.raises(UsageError, match="early-stopping"):
        prepare_finetuning(tuning.job(rows, model, "text", fold="final", early_stopping=1))
    labels = ["sad" if i >= 4 else "happy" for i in range(16)]
    with pytest.raises(FoldError, match="class 'happy'"):
        prepare_finetuning(
            tuning.job(tuning.write_corpus(tmp_path / "g", label=labels), model, "text")
        )
    rows = tuning.write_corpus(tmp_path / "f", split=["train"] * 12 + ["test"] * 4)
    with pytest.raises(FoldError, match="--rule fixed-epochs"):
        prepare_finetuning(tuning.job(rows, model, "text"))


def test_inner_folds_keep_dialogues_whole(tmp_path, models):
    rows = tuning.write_corpus(tmp_path / "c", 32, group=[f"dialogue {i // 4}" for i in range(32)])
    for parts, column in ((2, "session"), (4, "group")):
        left_out = []
        for part in range(1, parts + 1):
            prepared = prepare_finetuning(
                tuning.job(rows, models / "bert-base-uncased", "text", inner=parts, inner_fold=part)
            )
            manifest = prepared.dump.manifest
            values = manifest.column(column)
            fit = set(prepared.roles.fit.tolist())
            out = [i for i in range(16, 32) if i not in fit]
            assert not {values[i] for i in fit} & {values[i] for i in out}
            left_out += out
        assert sorted(left_out) == list(range(16, 32))


def test_inner_folds_of_one_speaker_keep_sentences_whole(tmp_path, models):
    said = [f"sentence {i // 4}" for i in range(32)]
    alone = {"speaker": ["Ann"] * 32, "session": [""] * 32, "text": said}
    rows = tuning.write_corpus(tmp_path / "c", 32, **alone)
    left_out = []
    for part in (1, 2):
        options = {"folds": "sentence-kfold:4", "inner": 2, "inner_fold": part}
        prepared = prepare_finetuning(
            tuning.job(rows, models / "bert-base-uncased", "text", **options)
        )
        plan = make_plan(prepared.dump.manifest, "sentence-kfold:4")
        training = np.flatnonzero(plan.fold(1).mask("train"))
        out = sorted(set(training.tolist()) - set(prepared.roles.fit.tolist()))
        assert out and not {said[i] for i in out} & {said[i] for i in prepared.roles.fit}
        left_out += out
    assert sorted(left_out) == training.tolist()


def test_an_ordinary_split_trains_on_train_and_chooses_on_its_validation_rows(
    tmp_path, models, monkeypatch
):
    tuning.give_inputs(monkeypatch, tuning.items("text"))
    rows = tuning.write_corpus(tmp_path / "c", split=["train"] * 8 + ["dev"] * 4 + ["test"] * 4)
    for rule, expected in (
        ("valid-session", ["fit", "fit", "select", "no"]),
        ("fixed-epochs", ["fit", "fit", "no", "no"]),
        ("test", ["fit", "fit", "no", "select"]),
    ):
        _, file = tuning.run(
            tuning.job(rows, models / "bert-base-uncased", "text", epochs=1, rule=rule)
        )
        assert list(seen(file).values()) == expected
