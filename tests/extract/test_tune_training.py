"""What happens inside a training.

Losses, histories, what is frozen, drawn, augmented, and when it stops.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_encoders
import torch
import tuning
from safetensors.torch import load_file

import extract.finetuning.trainer
from embeddings_store.errors import UnknownNameError, UsageError
from extract.encoders import load_encoder
from extract.finetuning.augmentation import AUGMENTATIONS, augmenter
from extract.finetuning.classifier import Classifier, FinetunedEncoder
from extract.finetuning.dataset import EpochOrder, Items, Memory, TrainingRows, collate
from extract.finetuning.settings import SCHEDULERS, TrainingError, TrainingSettings
from extract.finetuning.trainer import finetune

LABELS = np.array([0, 0, 1, 1] * 3 + [1, 1])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny models with random weights, by name."""
    folder = tmp_path_factory.mktemp("models")
    names = (
        "bert-base-uncased",
        "wav2vec2-base",
        "wavlm-base",
        "whisper-tiny",
        "ast",
        "videomae-base",
    )
    return {name: tiny_encoders.save(tuning.spec_named(name), folder) for name in names}


@pytest.fixture
def bert(models):
    return load_encoder(str(models["bert-base-uncased"]), device="cpu")


def rows(encoder, given, labels=LABELS, *, chosen=None, **options) -> TrainingRows:
    positions = np.arange(len(labels)) if chosen is None else np.array(chosen)
    return TrainingRows(
        encoder, lambda i: given[i], positions, labels[positions], Memory(10**8), **options
    )


def settings(**changes) -> TrainingSettings:
    return TrainingSettings(**{**tuning.SETTINGS, **changes})


def train(
    encoder,
    folder,
    *,
    given=None,
    labels=LABELS,
    valid=(0, 2, 12, 13),
    augment=None,
    advance=lambda n: None,
    **changes,
):
    """Train on all rows, choosing on some of them."""
    s = settings(**changes)
    given = given or tuning.items(encoder.spec.modality)
    fit = rows(encoder, given, labels, augment=augment, seed=s.seed)
    choose = rows(encoder, given, labels, chosen=valid) if valid else None
    return finetune(encoder, 2, s, fit, choose, folder, advance)


def weights(model) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def test_history_has_the_loss_of_every_step_and_the_accuracy_of_every_epoch(bert, tmp_path):
    steps = []
    outcome = train(bert, tmp_path, epochs=3, advance=steps.append)
    losses = outcome.history.dropna(subset=["loss"])
    assert losses["step"].tolist() == list(range(1, 13))
    assert losses["epoch"].tolist() == pytest.approx([0.25 * i for i in range(1, 13)])
    assert losses["learning_rate"].tolist() == pytest.approx(
        [1e-3 * (1 - i / 12) for i in range(12)]
    )
    scored = outcome.history.dropna(subset=["valid_accuracy"])
    assert scored["epoch"].tolist() == [1, 2, 3]
    assert scored["step"].tolist() == [4, 8, 12]
    assert scored["valid_loss"].notna().all()
    assert sum(steps) == 12


def test_the_logged_losses_and_the_final_weights_are_those_of_a_plain_loop(models, tmp_path):
    """Against fifteen lines of PyTorch.

    Order of rows, loss, AdamW, decay groups, clipping, schedule.
    """
    given, s = tuning.items("text"), settings(epochs=2, freeze="1", max_grad_norm=0.5)
    encoder = load_encoder(str(models["bert-base-uncased"]), device="cpu")
    model = Classifier(encoder, 2, seed=0)
    model.freeze("1")
    decayed = [
        p
        for n, p in model.named_parameters()
        if p.requires_grad and "bias" not in n and "LayerNorm" not in n
    ]
    others = [
        p
        for n, p in model.named_parameters()
        if p.requires_grad and ("bias" in n or "LayerNorm" in n)
    ]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}],
        lr=1e-3,
    )
    order, losses = EpochOrder(rows(encoder, given), 0, balanced=False), []
    for epoch in range(2):
        order.set_epoch(epoch)
        extract.finetuning.trainer._seed_everything(0, epoch, 0)
        torch.empty((), dtype=torch.int64).random_()  # What a DataLoader draws for its workers.
        drawn = list(order)
        for begin in range(0, len(drawn), 4):
            chosen = drawn[begin : begin + 4]
            for group in optimiser.param_groups:
                group["lr"] = 1e-3 * (1 - len(losses) / 8)
            loss = model.train()(
                Items([encoder.prepare(given[i]) for i in chosen]), torch.tensor(LABELS[chosen])
            )["loss"]
            loss.backward()
            torch.nn.utils.clip_grad_norm_([*decayed, *others], 0.5)
            optimiser.step()
            optimiser.zero_grad()
            losses.append(loss.item())
    again = load_encoder(str(models["bert-base-uncased"]), device="cpu")
    outcome = finetune(again, 2, s, rows(again, given), None, tmp_path, lambda n: None)
    np.testing.assert_allclose(outcome.history["loss"], losses, rtol=1e-5)
    for name, tensor in weights(model).items():
        # A step is 1e-3, and AdamW takes it where the gradient is nothing but rounding, as that of
        # keys' biases is.
        torch.testing.assert_close(
            outcome.classifier.state_dict()[name], tensor, rtol=1e-3, atol=5e-5
        )


def test_the_weights_that_are_kept_are_those_of_the_first_best_epoch(models, tmp_path, monkeypatch):
    """The accuracies are dictated: the second epoch is the first of two equally good ones."""
    of_epoch = {}

    class Spy(extract.finetuning.trainer._Conductor):
        def on_save(self, args, state, control, **kwargs):
            super().on_save(args, state, control, **kwargs)
            of_epoch[round(state.epoch)] = weights(kwargs["model"])
            kept = {p.name for p in tmp_path.glob("checkpoint-*")}
            assert len(kept) <= 2

    told = iter([0.25, 0.75, 0.5, 0.75, 0.5])
    monkeypatch.setattr(extract.finetuning.trainer, "_Conductor", Spy)
    monkeypatch.setattr(
        extract.finetuning.trainer, "_accuracy", lambda prediction: {"accuracy": next(told)}
    )
    outcome = train(
        load_encoder(str(models["bert-base-uncased"]), device="cpu"), tmp_path, epochs=5
    )
    assert outcome.best_epoch == 2
    for name, tensor in weights(outcome.classifier).items():
        assert torch.equal(tensor, of_epoch[2][name])
    assert not torch.equal(of_epoch[2]["head.weight"], of_epoch[4]["head.weight"])
    assert sorted(p.name for p in tmp_path.glob("checkpoint-*")) == [
        "checkpoint-20",
        "checkpoint-8",
    ]


def test_without_rows_to_choose_on_the_last_epoch_is_kept(bert, tmp_path):
    outcome = train(bert, tmp_path, valid=(), epochs=3)
    assert outcome.best_epoch == 3
    assert outcome.history["valid_accuracy"].isna().all()
    last = load_file(tmp_path / "checkpoint-12" / "model.safetensors")
    assert torch.equal(outcome.classifier.head.weight, last["head.weight"])


@pytest.mark.parametrize(
    ("name", "what", "untouched"),
    [
        ("wav2vec2-base", "auto", "feature_extractor."),
        ("wavlm-base", "auto", "feature_extractor."),
        ("bert-base-uncased", "auto", None),
        ("whisper-tiny", "auto", None),
        ("wav2vec2-base", "none", None),
        ("bert-base-uncased", "1", ("embeddings.", "encoder.layer.0.")),
        ("bert-base-uncased", "2", ("embeddings.", "encoder.layer.")),
        (
            "wav2vec2-base",
            "1",
            (
                "feature_extractor.",
                "feature_projection.",
                "encoder.pos_conv",
                "encoder.layer_norm",
                "encoder.layers.0.",
                "masked_spec_embed",
            ),
        ),
        ("whisper-tiny", "1", ("conv", "embed_positions", "layers.0.")),
        ("ast", "0", "embeddings."),
        ("videomae-base", "1", ("videomae.embeddings.", "videomae.encoder.layer.0.")),
    ],
)
def test_exactly_the_frozen_tensors_are_unchanged_after_training(
    models, tmp_path, name, what, untouched
):
    encoder = load_encoder(str(models[name]), device="cpu")
    before = weights(encoder.model)
    train(encoder, tmp_path, epochs=1, freeze=what)
    buffers = {key for key, _ in encoder.model.named_buffers()}
    # Never trained, frozen or not: a table of sines, an embedding that only SpecAugment uses, keys'
    # biases cancel in attention.
    never = (
        "embed_positions",
        "masked_spec_embed",
        "token_type_embeddings",
        "position_embeddings",
        "key.bias",
        "k_proj.bias",
    )
    for key, tensor in encoder.model.state_dict().items():
        frozen = bool(untouched) and key.removeprefix("videomae.").startswith(
            tuple(
                part.removeprefix("videomae.")
                for part in (untouched if isinstance(untouched, tuple) else (untouched,))
            )
        )
        if frozen:
            assert torch.equal(tensor, before[key]), key
        elif key not in buffers and not any(part in key for part in never):
            assert not torch.equal(tensor, before[key]), key


def test_more_frozen_layers_than_there_are_is_refused(bert, tmp_path):
    with pytest.raises(UsageError, match="has 2 layers"):
        train(bert, tmp_path, freeze="3")


def test_frozen_convolutions_are_not_gone_back_through(models):
    encoder = load_encoder(str(models["wav2vec2-base"]), device="cpu")
    model = Classifier(encoder, 2).train()
    model.freeze("auto")
    reached = []
    encoder.model.feature_extractor.register_forward_hook(
        lambda module, given, made: reached.append(made.requires_grad)
    )
    model(
        Items([encoder.prepare(clip) for clip in tuning.items("audio")[:2]]), torch.tensor([0, 1])
    )
    assert reached == [False]


def test_label_smoothing_and_class_weights_are_the_formula(bert):
    items = [bert.prepare(text) for text in tuning.items("text")[:5]]
    labels, w, eps = torch.tensor([0, 1, 1, 1, 0]), [0.5, 2.0], 0.2
    model = Classifier(bert, 2, label_smoothing=eps, class_weights=w).eval()
    made = model(Items(items), labels)
    logp = made["logits"].log_softmax(1).detach().numpy()
    y = labels.numpy()
    plain = np.array([-w[c] * logp[i, c] for i, c in enumerate(y)]) * (1 - eps)
    smooth = np.array([-sum(w[c] * logp[i, c] for c in range(2)) for i in range(5)]) * eps / 2
    assert made["loss"].item() == pytest.approx(
        (plain.sum() + smooth.sum()) / sum(w[c] for c in y), rel=1e-5
    )
    assert extract.finetuning.trainer.inverse_frequency(np.array([0, 1, 1, 1]), 2) == pytest.approx(
        [2.0, 2 / 3]
    )


def test_the_loss_that_is_trained_on_is_smoothed_once_and_weighed(models, tmp_path):
    given = tuning.items("text")
    for changes in ({"label_smoothing": 0.3}, {"class_weights": True}, {}):
        encoder = load_encoder(str(models["bert-base-uncased"]), device="cpu")
        encoder.model.config.hidden_dropout_prob = 0.0
        for module in encoder.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        smoothing = changes.get("label_smoothing", 0.0)
        w = (
            torch.tensor(extract.finetuning.trainer.inverse_frequency(LABELS, 2))
            if "class_weights" in changes
            else None
        )
        model = Classifier(encoder, 2, seed=0).eval()
        with torch.no_grad():
            logits = model(Items([encoder.prepare(text) for text in given[:14]]))["logits"]
        expected = torch.nn.functional.cross_entropy(
            logits, torch.tensor(LABELS), weight=w, label_smoothing=smoothing
        ).item()
        outcome = train(
            encoder, tmp_path / str(changes), given=given, epochs=1, batch_size=14, **changes
        )
        assert outcome.history["loss"].iloc[0] == pytest.approx(expected, rel=1e-5)


def test_balanced_sampling_is_balanced_and_a_function_of_the_epoch(bert):
    labels = np.array([0] * 10 + [1] * 190)
    data = TrainingRows(bert, None, np.arange(200), labels, Memory(0))
    order = EpochOrder(data, 0, balanced=True)
    share, drawn = [], {}
    for epoch in (*range(20), 0):
        order.set_epoch(epoch)
        chosen = list(order)
        assert len(chosen) == 200
        share.append(np.mean(labels[chosen] == 0))
        assert drawn.setdefault(epoch, chosen) == chosen
    assert abs(np.mean(share) - 0.5) < 0.02
    assert drawn[0] != drawn[1]
    plain = EpochOrder(data, 0, balanced=False)
    assert sorted(plain) == list(range(200))


def test_every_row_is_drawn_once_per_epoch_and_each_epoch_in_another_order(
    bert, tmp_path, monkeypatch
):
    drawn = []
    real = TrainingRows.__getitem__
    monkeypatch.setattr(
        TrainingRows, "__getitem__", lambda self, index: drawn.append(index) or real(self, index)
    )
    train(bert, tmp_path, epochs=2, valid=())
    assert sorted(drawn[:14]) == sorted(drawn[14:]) == list(range(14))
    assert drawn[:14] != drawn[14:]


@pytest.mark.parametrize(
    ("modality", "name"), [(m, n) for m, names in AUGMENTATIONS.items() for n in names]
)
def test_augmentation_depends_on_seed_epoch_and_row_alone(modality, name):
    class Bare:
        prepare = staticmethod(lambda item: item)

    # Enough words that none staying as they are is a matter of a broken augmentation.
    given = [" ".join(["a b c d e f g"] * 5)] * 16 if modality == "text" else tuning.items(modality)
    clean = [np.copy(g) if isinstance(g, np.ndarray) else g for g in given]

    def made(seed: int, epoch: int, order: list[int]) -> dict[int, object]:
        data = TrainingRows(
            Bare(),
            lambda i: given[i],
            np.arange(16),
            np.zeros(16, dtype=int),
            Memory(10**8),
            augment=augmenter(modality, [name]),
            seed=seed,
        )
        data.set_epoch(epoch)
        return {i: data[i].item for i in order}

    one, other = made(0, 3, list(range(16))), made(0, 3, list(range(16))[::-1])
    assert all(np.array_equal(one[i], other[i]) for i in one)
    for changed in (made(1, 3, list(one)), made(0, 4, list(one))):
        assert any(not np.array_equal(one[i], changed[i]) for i in one)
    assert any(not np.array_equal(one[i], given[i]) for i in one)
    assert all(np.array_equal(g, c) for g, c in zip(given, clean, strict=True)), (
        "the clean input is untouched"
    )
    if modality != "text":
        assert all(one[i].shape == given[i].shape and one[i].dtype == given[i].dtype for i in one)


def test_augmentation_changes_training_and_never_what_is_dumped(models, tmp_path):
    given = tuning.items("audio")
    made = {}
    for names in ((), ("noise", "gain")):
        encoder = load_encoder(str(models["wav2vec2-base"]), device="cpu")
        outcome = train(
            encoder,
            tmp_path / str(len(names)),
            given=given,
            epochs=1,
            augment=augmenter("audio", names),
        )
        tuned = FinetunedEncoder(outcome.classifier)
        made[names] = tuned.encode(given)
        np.testing.assert_array_equal(made[names], tuned.encode(given))
        clean = (
            torch.stack([outcome.classifier.vectors([encoder.prepare(clip)])[0] for clip in given])
            .detach()
            .numpy()
        )
        np.testing.assert_allclose(made[names][:, 0], clean, rtol=1e-4, atol=1e-5)
    assert np.abs(made[()] - made["noise", "gain"]).max() > 1e-4


def test_an_unknown_augmentation_is_refused():
    with pytest.raises(UnknownNameError, match="word-dropout"):
        augmenter("text", ["word-dropuot"])


def test_dropout_is_for_training_only(bert):
    model = Classifier(bert, 2, dropout=0.9)
    items = [bert.prepare(text) for text in tuning.items("text")[:3]]
    assert not torch.equal(model.train()(Items(items))["logits"], model(Items(items))["logits"])
    tuned = FinetunedEncoder(model)
    one, two = (tuned.encode(tuning.items("text")) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(
        tuned.scores(one[:3, 0]), model(Items(items))["logits"].detach(), rtol=1e-4, atol=1e-5
    )


def test_early_stopping_counts_epochs_without_a_better_one(bert, tmp_path, monkeypatch):
    told = iter([0.5, 0.6, 0.6, 0.4, 0.9])
    monkeypatch.setattr(
        extract.finetuning.trainer, "_accuracy", lambda prediction: {"accuracy": next(told)}
    )
    outcome = train(bert, tmp_path, epochs=9, early_stopping=2)
    assert outcome.best_epoch == 2
    assert outcome.history["epoch"].max() == 4


def without_dropout(folder: Path):
    encoder = load_encoder(str(folder), device="cpu")
    for module in encoder.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return encoder


def test_accumulated_batches_take_the_steps_of_the_large_batch(models, tmp_path):
    made = {}
    for batch, accumulate in ((6, 1), (3, 2), (2, 3)):
        outcome = train(
            without_dropout(models["bert-base-uncased"]),
            tmp_path / str(batch),
            labels=LABELS[:12],
            valid=(),
            batch_size=batch,
            gradient_accumulation=accumulate,
        )
        made[batch] = outcome
        assert outcome.history["step"].tolist() == [1, 2, 3, 4]
    for batch in (3, 2):
        np.testing.assert_allclose(made[batch].history["loss"], made[6].history["loss"], rtol=1e-3)
        torch.testing.assert_close(
            made[batch].classifier.head.weight, made[6].classifier.head.weight, rtol=1e-3, atol=1e-5
        )


@pytest.mark.parametrize(
    ("count", "batch", "accumulate"), [(14, 4, 3), (14, 4, 1), (9, 2, 4), (3, 8, 2)]
)
def test_the_number_of_steps_is_known_beforehand(bert, tmp_path, count, batch, accumulate):
    s = settings(epochs=2, batch_size=batch, gradient_accumulation=accumulate)
    outcome = train(
        bert,
        tmp_path,
        labels=LABELS[:count],
        valid=(),
        batch_size=batch,
        gradient_accumulation=accumulate,
    )
    assert outcome.history["step"].max() == s.steps(count)
    assert outcome.best_epoch == 2


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_schedule_and_warmup(bert, tmp_path, scheduler):
    outcome = train(bert, tmp_path, valid=(), epochs=5, scheduler=scheduler, warmup_ratio=0.26)
    rates = outcome.history["learning_rate"].to_numpy() / 1e-3
    warm = 0 if scheduler == "constant" else math.ceil(0.26 * 20)
    np.testing.assert_allclose(rates[:warm], np.arange(warm) / 6, atol=1e-9)
    if "constant" in scheduler:
        np.testing.assert_allclose(rates[warm:], 1.0)
    else:
        assert rates[warm] == pytest.approx(1.0)
        assert (np.diff(rates[warm:]) < 0).all()


def test_a_loss_that_is_no_number_stops_training_with_advice(bert, tmp_path, monkeypatch):
    real = Classifier.forward

    def broken(self, items, labels=None):
        made = real(self, items, labels)
        return {**made, "loss": made["loss"] * float("nan")} if self.training else made

    monkeypatch.setattr(Classifier, "forward", broken)
    with pytest.raises(TrainingError, match=r"loss of step 1 is nan; lower --learning-rate"):
        train(bert, tmp_path)


def test_too_little_memory_says_what_needs_less(bert, tmp_path, monkeypatch):
    def full(self, items, labels=None):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Classifier, "forward", full)
    with pytest.raises(TrainingError, match="--batch-size 2 --gradient-accumulation 2"):
        train(bert, tmp_path)


@pytest.mark.parametrize("name", ["wav2vec2-base", "wavlm-base"])
def test_clips_shorter_than_a_mask_can_be_trained_on(models, tmp_path, name):
    """SpecAugment masks ten frames at a time, and Transformers refuses a batch that has fewer."""
    encoder = load_encoder(str(models[name]), device="cpu")
    assert encoder.model.config.mask_time_prob > 0
    given = [
        np.random.default_rng(i).standard_normal(600 + 90 * i).astype(np.float32) for i in range(14)
    ]
    train(encoder, tmp_path, given=given, epochs=1, batch_size=2)
    assert encoder.model.config.apply_spec_augment


def test_what_the_checkpoint_lacks_comes_from_the_seed(models, tmp_path):
    """SpecAugment's mask is not in every checkpoint.

    Drawn at loading it would make two equal runs differ.
    """
    from safetensors.torch import save_file

    folder = tmp_path / "m"
    folder.mkdir()
    for path in models["wav2vec2-base"].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    tensors = {
        k: t
        for k, t in load_file(folder / "model.safetensors").items()
        if "masked_spec_embed" not in k
    }
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    made = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(made))
        encoder = load_encoder(str(folder), device="cpu")
        assert encoder.loading_report["missing"] == ("masked_spec_embed",)
        made.append(Classifier(encoder, 2, seed=seed).backbone.masked_spec_embed.detach().clone())
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


@pytest.mark.parametrize(
    "name",
    ["bert-base-uncased", "wav2vec2-base", "wavlm-base", "whisper-tiny", "ast", "videomae-base"],
)
def test_training_in_bf16_leaves_weights_and_vectors_in_float32(models, tmp_path, name):
    encoder = load_encoder(str(models[name]), device="cpu")
    given = tuning.items(encoder.spec.modality)
    outcome = train(encoder, tmp_path, given=given, precision="bf16")
    assert outcome.record["precision"] == "bf16"
    assert {t.dtype for t in outcome.classifier.parameters()} == {torch.float32}
    tuned = FinetunedEncoder(outcome.classifier)
    vectors = tuned.encode(given)
    assert vectors.dtype == np.float32
    alone = np.concatenate([tuned.encode([item]) for item in given])
    np.testing.assert_allclose(vectors, alone, rtol=1e-4, atol=1e-5)
    logits = outcome.classifier(Items([encoder.prepare(item) for item in given]))["logits"]
    assert logits.dtype == torch.float32
    np.testing.assert_allclose(tuned.scores(vectors[:, 0]), logits.detach(), rtol=1e-4, atol=1e-5)


def test_bf16_is_refused_where_the_device_cannot():
    with pytest.raises(UsageError, match="--precision bf16"):
        extract.finetuning.trainer.uses_bf16("bf16", torch.device("mps"))
    assert not extract.finetuning.trainer.uses_bf16("auto", torch.device("cpu"))
    assert extract.finetuning.trainer.uses_bf16("bf16", torch.device("cpu"))


def test_the_environment_of_accelerate_launch_does_not_decide_the_precision(
    bert, tmp_path, monkeypatch
):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    seen = []
    real = Classifier.forward

    def spy(self, items, labels=None):
        seen.append(torch.is_autocast_enabled("cpu"))
        return real(self, items, labels)

    monkeypatch.setattr(Classifier, "forward", spy)
    assert train(bert, tmp_path, epochs=1).record["precision"] == "float32"
    assert seen
    assert not any(seen)


def test_transformers_is_as_loud_after_training_as_before(bert, tmp_path, capfd):
    from transformers.utils import logging

    before = logging.get_verbosity()
    train(bert, tmp_path, epochs=1)
    assert logging.get_verbosity() == before
    assert capfd.readouterr() == ("", "")


def test_inputs_are_read_once_as_far_as_memory_goes(bert):
    given, count = tuning.items("text"), []

    def load(i: int) -> str:
        count.append(i)
        return given[i]

    for room, expected in ((10**6, 14), (0, 42)):
        count.clear()
        data = TrainingRows(bert, load, np.arange(14), LABELS, Memory(room))
        assert data.read(lambda n: None) == {}
        for _ in range(2):
            collate([data[i] for i in range(14)])
        assert len(count) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "--epochs 0"),
        ({"learning_rate": -1.0}, "--learning-rate"),
        ({"label_smoothing": 1.0}, "--label-smoothing"),
        ({"freeze": "all"}, "auto, none"),
        ({"rule": "valid-sesion"}, "did you mean 'valid-session'"),
        ({"scheduler": "cosin"}, "cosine"),
        ({"precision": "fp16"}, "bf16"),
        ({"rule": "fixed-epochs", "early_stopping": 2}, "rows to look at"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_settings_that_cannot_be_trained_with_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        settings(**changes)


def test_the_defaults_are_the_papers():
    found = pd.DataFrame(
        {m: vars_of(TrainingSettings.for_modality(m)) for m in ("text", "audio", "video")}
    ).T
    assert found["learning_rate"].tolist() == [2e-5, 3e-5, 5e-5]
    assert found["epochs"].tolist() == [20, 15, 10]
    assert found["batch_size"].tolist() == [32, 8, 8]
    assert found["eval_batch_size"].tolist() == [32, 4, 8]
    assert found["weight_decay"].tolist() == [0.01] * 3


def vars_of(s: TrainingSettings) -> dict[str, object]:
    return {name: getattr(s, name) for name in TrainingSettings.__dataclass_fields__}
