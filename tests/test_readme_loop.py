"""The README's first Python block is the loop in separate lines; `fl.fit` gives its very bits."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn, optim

README = Path(__file__).resolve().parent.parent / "README.md"
RULES = {
    "SGD": "optim.SGD(lr=0.1)",
    "momentum": "optim.SGD(lr=0.1, momentum=0.9)",
    "Adam": "optim.Adam(lr=0.01)",
}


def first_block() -> str:
    found = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    if found is None:
        pytest.fail("the README has no Python block")
    return found.group(1)


def changed(block: str, old: str, new: str) -> str:
    """The block with one expression replaced, which must be there exactly once."""
    if block.count(old) != 1:
        pytest.fail(f"expected {old!r} once in the README's first block")
    return block.replace(old, new)


@pytest.mark.parametrize("batch_size", [1, 32, "all"])
@pytest.mark.parametrize("rule", RULES)
def test_the_loop_and_fit_give_the_same_bits(rule: str, batch_size: int | str) -> None:
    block = changed(first_block(), "optimizer = optim.SGD(lr=0.1)", f"optimizer = {RULES[rule]}")
    rows = 200 if batch_size == "all" else batch_size
    block = changed(block, "batch_size, epochs = 32, 5", f"batch_size, epochs = {rows}, 2")
    block = changed(block, "size=(1000, 2)", "size=(200, 2)")
    names: dict[str, Any] = {}
    exec(compile(block, str(README), "exec"), names)
    twin = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2), seed=0)
    optimizer = eval(RULES[rule], {"optim": optim})
    fl.fit(twin, names["x"], names["y"], optimizer=optimizer, batch_size=batch_size, epochs=2, seed=0)
    for name, value in twin.parameters().items():
        assert value.tobytes() == names["weights"][name].tobytes()
    assert not any(np.array_equal(value, twin.parameters()[name]) for name, value in fresh().items() if value.any())


def fresh() -> dict[str, Any]:
    return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2), seed=0).parameters()


def test_forward_loss_backpropagation_and_update_stand_on_lines_of_their_own() -> None:
    lines = first_block().splitlines()
    steps = ("# forward", "# loss", "# backpropagation", "# update")
    places = [next(i for i, line in enumerate(lines) if step in line) for step in steps]
    assert places == sorted(set(places))
