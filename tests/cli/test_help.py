"""What the help names is what there is."""

import re

import pytest

from fallline import optim
from fallline.cli.main import main
from fallline.data.samples import sample_names
from fallline.nn.activations import ACTIVATIONS
from fallline.optim import schedules


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([command, "--help"]) == 0
    return re.sub(r"\s+", " ", capsys.readouterr().out)


def named(text: str) -> set[str]:
    return {word.strip(" .…") for part in text.split(",") for word in part.split(" or ")} - {""}


def test_the_optimizers_are_those_of_the_registry(capsys: pytest.CaptureFixture[str]) -> None:
    listed = re.search(r"--optimizer TEXT (.*?) --lr", help_of("train", capsys))
    assert listed is not None
    assert named(listed.group(1)) == set(optim.RULES)


def test_the_activations_are_those_of_the_registry(capsys: pytest.CaptureFixture[str]) -> None:
    listed = re.search(r"--activation TEXT (.*?) --dropout", help_of("train", capsys))
    assert listed is not None
    assert named(listed.group(1)) == set(ACTIVATIONS)


def test_the_schedules_named_as_examples_exist(capsys: pytest.CaptureFixture[str]) -> None:
    listed = re.search(r"--schedule TEXT How the learning rate changes: (.*?) --batch", help_of("train", capsys))
    assert listed is not None
    assert named(listed.group(1)) <= set(schedules.SCHEDULES)


def test_the_bundled_sets_are_all_named(capsys: pytest.CaptureFixture[str]) -> None:
    listed = re.search(r"bundled set: (.*?)\. Options", help_of("train", capsys))
    assert listed is not None
    assert named(listed.group(1)) == set(sample_names())
