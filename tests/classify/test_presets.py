"""Presets state settings; what the user gives counts before them, and keys follow from both."""

from __future__ import annotations

import argparse

import pytest

from classify.commands.grid_options import build_parser, config_from
from classify.grid.config import GridConfig
from classify.grid.presets import PRESETS, with_preset
from classify.models.classifiers import competitors, resolve
from embeddings_store.errors import UnknownNameError


def read(*argv: str) -> GridConfig:
    arguments: argparse.Namespace = build_parser().parse_args(list(argv))
    return config_from(arguments)


def test_the_paper_s_preset_states_every_setting_of_the_recorded_tables() -> None:
    """A setting that comes later shows here: what stood for it when they were recorded?"""
    stated = PRESETS["paper"].settings
    assert set(stated) == set(competitors())
    for classifier, settings in stated.items():
        assert resolve(classifier, settings) == settings


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_holds_settings_that_there_are(name: str) -> None:
    for classifier, settings in PRESETS[name].settings.items():
        assert set(settings) <= set(resolve(classifier, settings))


def test_options_count_before_the_preset() -> None:
    config = read("--preset", "paper", "--svm-c", "5", "--classifiers", "svm", "nn")
    assert config.settings["svm"]["c"] == 5
    assert config.settings["nn"] == PRESETS["paper"].settings["nn"]
    assert "xgboost" not in config.settings
    assert read("--svm-c", "5").settings == {"svm": {"c": 5.0}}


def test_no_other_preset_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read("--preset", "papers")
    assert "paper" in capsys.readouterr().err
    with pytest.raises(UnknownNameError):
        with_preset("papers", {}, ("svm",))
