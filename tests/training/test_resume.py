"""A training that is stopped anywhere and resumed ends with the bits of one that was never stopped."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import fallline as fl
from fallline import nn, optim
from fallline.nn.model_file import read_tensors, write_tensors
from fallline.training.checkpoint import read_checkpoint

Array = NDArray[Any]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(101, 6)).astype(np.float32)
LABELS = (X[:, 0] * X[:, 1] + 0.3 * RNG.normal(size=101) > 0).astype(int)
NUMBERS = X[:, :1] - X[:, 1:2] ** 2
WEIGHT = RNG.uniform(0.1, 2.0, 101)


class Shared(nn.Module):
    """One shared weight, applied five times."""

    def __init__(self) -> None:
        self.inner = nn.Linear(6, 6)
        self.out = nn.Linear(6, 2)

    def __call__(self, x: Any) -> Any:
        for _ in range(5):
            x = fl.tanh(self.inner(x))
        return self.out(x)


def perceptron(outputs: int = 2) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, outputs), seed=3)


def with_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2), seed=4)


def own_loss(outputs: Any, targets: Any) -> Any:
    error = outputs - targets
    return fl.mean(fl.log(1.0 + error * error), axis=1)


class StopAfter(fl.Callback):
    """Ends the training after some steps, as an interruption does."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_step_end(self, run: fl.Run, step: int) -> None:
        if len(run.steps["loss"]) == self.steps:
            run.stopped = "interrupted"


CASES: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
    "momentum": (perceptron, {"optimizer": optim.SGD(0.1, momentum=0.9)}),
    "weights": (perceptron, {"optimizer": "adamw", "sample_weight": WEIGHT, "class_weight": {0: 0.5, 1: 2.0}}),
    "norm, dropout": (with_norm, {"optimizer": "adam", "validation": 0.2, "metrics": ("accuracy",), "patience": 2}),
    "plateau": (
        perceptron,
        {
            "validation": (X, 1 - LABELS),
            "schedule": optim.ReduceOnPlateau(patience=0, factor=0.5),
            "restore_best": False,
        },
    ),
    "shared": (Shared, {"optimizer": optim.NAdam(0.01), "shards": 3, "clip_norm": 0.5, "schedule": "cosine"}),
    "converged": (perceptron, {"until": "converged", "tol": 0.05, "patience": 2, "epochs": 8, "dtype": "float64"}),
    "all rows": (perceptron, {"batch_size": "all", "metrics": ("train_loss", "train_accuracy")}),
    "reference": (perceptron, {"engine": "reference", "optimizer": "radam"}),
}


def trained(case: str, **more: Any) -> tuple[fl.Run, nn.Module]:
    make, options = CASES[case]
    net = make()
    return fl.fit(net, X, LABELS, **{"batch_size": 16, "epochs": 5, "seed": 7, **options}, **more), net


def again(case: str) -> dict[str, Any]:
    """What a resumed run of a case must be given again."""
    _, options = CASES[case]
    given_again = {"sample_weight": options.get("sample_weight")}
    return given_again | ({"validation": options["validation"]} if case == "plateau" else {})


def numbers(run: fl.Run) -> dict[str, Any]:
    return {name: values for name, values in run.history.items() if name != "seconds"}


def assert_same_run(found: fl.Run, expected: fl.Run) -> None:
    assert numbers(found) == numbers(expected)
    assert found.steps == expected.steps
    assert (found.stopped, found.epochs, found.best_epoch) == (expected.stopped, expected.epochs, expected.best_epoch)
    last = len(expected.steps["loss"])
    assert found.hashes[last] == expected.hashes[last]
    for one, other in (
        (found.network.parameters(), expected.network.parameters()),
        (found.network.buffers(), expected.network.buffers()),
    ):
        assert {name: value.tobytes() for name, value in one.items()} == {n: v.tobytes() for n, v in other.items()}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("steps", [1, 7, 10])
def test_a_resumed_run_ends_with_the_same_bits(case: str, steps: int, tmp_path: Path) -> None:
    """Seven steps are an epoch of most cases."""
    if case == "all rows":
        steps = min(steps, 3)
    expected, _ = trained(case)
    stopped, _ = trained(case, run_dir=tmp_path / "r", callbacks=[StopAfter(steps)])
    assert len(stopped.steps["loss"]) == steps
    found = fl.resume(tmp_path / "r", X, LABELS, threads=2, **again(case))
    assert_same_run(found, expected)
    stored = fl.load(tmp_path / "r" / "model.safetensors")
    assert stored.predict(X).tobytes() == expected.network.predict(X).tobytes()
    lines = [json.loads(line) for line in (tmp_path / "r" / "history.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == expected.history["loss"]
    assert np.fromfile(tmp_path / "r" / "losses.f64").tolist() == expected.steps["loss"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stops=st.lists(st.integers(1, 34), min_size=1, max_size=4, unique=True).map(sorted),
    threads=st.integers(1, 3),
    every=st.sampled_from([1e-9, 30.0]),
)
def test_stopped_many_times(
    stops: list[int], threads: int, every: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected, _ = trained("norm, dropout")
    folder = tmp_path_factory.mktemp("runs") / "r"
    run, _ = trained("norm, dropout", run_dir=folder, callbacks=[StopAfter(stops[0])], checkpoint_every=every)
    for stop in stops[1:]:
        run = fl.resume(folder, X, LABELS, callbacks=[StopAfter(stop)], threads=threads)
    run = fl.resume(folder, X, LABELS, threads=threads)
    assert_same_run(run, expected)


def test_into_the_network_itself_and_with_an_own_loss(tmp_path: Path) -> None:
    options: dict[str, Any] = {"loss": own_loss, "epochs": 4, "optimizer": "adam"}
    expected = perceptron(1)
    fl.fit(expected, X, NUMBERS, **options)
    fl.fit(perceptron(1), X, NUMBERS, **options, run_dir=tmp_path / "r", callbacks=[StopAfter(5)])
    net = perceptron(1)
    run = fl.resume(tmp_path / "r", X, NUMBERS, net=net, loss=own_loss)
    assert run.network is net
    assert net.predict(X).tobytes() == expected.predict(X).tobytes()


def test_without_the_code_that_made_it(tmp_path: Path) -> None:
    """The stored graph is trained: neither the class of the network nor the own loss is needed."""
    options: dict[str, Any] = {"loss": own_loss, "epochs": 4, "batch_size": 16}
    expected = nn.Sequential(Shared(), nn.Linear(2, 1))
    fl.fit(expected, X, NUMBERS, **options)
    fl.fit(
        nn.Sequential(Shared(), nn.Linear(2, 1)),
        X,
        NUMBERS,
        **options,
        run_dir=tmp_path / "r",
        callbacks=[StopAfter(9)],
    )
    assert fl.resume(tmp_path / "r", X, NUMBERS).network.predict(X).tobytes() == expected.predict(X).tobytes()


def test_a_finished_run_is_returned_as_it_was(tmp_path: Path) -> None:
    expected, _ = trained("momentum", run_dir=tmp_path / "r")
    before = (tmp_path / "r" / "model.safetensors").read_bytes()
    found = fl.resume(tmp_path / "r", X, LABELS)
    assert_same_run(found, expected)
    assert (tmp_path / "r" / "model.safetensors").read_bytes() == before


def test_a_run_that_went_bad_stays_bad(tmp_path: Path) -> None:
    options: dict[str, Any] = {"loss": "mse", "optimizer": optim.SGD(0.9, momentum=0.9), "epochs": 400, "batch_size": 9}
    expected = fl.fit(perceptron(1), X * 9, NUMBERS, **options)
    assert expected.stopped == "nan"
    bad = len(expected.steps["loss"])
    stopped = fl.fit(
        perceptron(1), X * 9, NUMBERS, **options, run_dir=tmp_path / "r", callbacks=[StopAfter(max(bad - 1, 1))]
    )
    assert stopped.stopped == "interrupted"
    found = fl.resume(tmp_path / "r", X * 9, NUMBERS)
    assert (found.stopped, found.problem) == ("nan", expected.problem)
    assert found.network.predict(X).tobytes() == expected.network.predict(X).tobytes()


def test_damaged_checkpoints_are_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    expected, _ = trained("momentum")
    trained("momentum", run_dir=tmp_path / "r", callbacks=[StopAfter(20)], checkpoint_every=1e-9)
    files = sorted((tmp_path / "r" / "checkpoints").glob("step-*"))
    assert [int(file.stem[5:]) for file in files] == [18, 19, 20]
    files[2].write_bytes(files[2].read_bytes()[:-9])
    arrays, metadata = read_tensors(files[1])
    arrays["0.bias"][0] += 1.0
    write_tensors(files[1], arrays, metadata)
    with caplog.at_level(logging.WARNING, "fallline"):
        found = fl.resume(tmp_path / "r", X, LABELS)
    assert "is not a whole safetensors file" in caplog.text
    assert (
        "its content does not have the hash that it was written with; the checkpoint before it is used" in caplog.text
    )
    assert_same_run(found, expected)
    for file in (tmp_path / "r" / "checkpoints").iterdir():
        file.write_bytes(b"")
    assert_same_run(fl.resume(tmp_path / "r", X, LABELS), expected)  # from the start


class Counts(fl.Callback):
    def __init__(self) -> None:
        self.epochs = 0

    def on_epoch_end(self, run: fl.Run, epoch: int) -> None:
        self.epochs += 1

    def state(self) -> Any:
        return {"epochs": self.epochs}

    def load_state(self, state: Any) -> None:
        self.epochs = state["epochs"]


def test_callbacks_go_on_from_their_state(tmp_path: Path) -> None:
    trained("momentum", run_dir=tmp_path / "r", callbacks=[Counts(), StopAfter(16)])
    with pytest.raises(fl.ArgumentError) as error:
        fl.resume(tmp_path / "r", X, LABELS)
    assert str(error.value) == (
        "resume: the run had a callback Counts with a state to go on from: give callbacks=[Counts(…)]"
    )
    counts = Counts()
    fl.resume(tmp_path / "r", X, LABELS, callbacks=[counts])
    assert counts.epochs == 5


def test_a_branch_leaves_the_run_as_it_is(tmp_path: Path) -> None:
    expected, _ = trained("norm, dropout", run_dir=tmp_path / "r")
    before = {path: path.read_bytes() for path in (tmp_path / "r").rglob("*") if path.is_file()}
    same = fl.resume(tmp_path / "r", X, LABELS, branch=tmp_path / "same", step=9)
    assert_same_run(same, expected)
    slower = fl.resume(tmp_path / "r", X, LABELS, branch=tmp_path / "slower", step=9, optimizer=optim.Adam(1e-5))
    assert slower.steps["loss"][:10] == expected.steps["loss"][:10]
    assert slower.steps["loss"][10] != expected.steps["loss"][10]
    about = json.loads((tmp_path / "slower" / "run.json").read_text())
    assert about["branched_from"]["step"] == 9
    assert about["config"]["optimizer"]["lr"] == 1e-5
    longer = fl.resume(tmp_path / "r", X, LABELS, branch=tmp_path / "longer", epochs=6, patience=9)
    assert longer.epochs == 6
    assert longer.history["loss"][: expected.epochs] == expected.history["loss"]
    assert {path: path.read_bytes() for path in before} == before
    resumed = fl.resume(tmp_path / "slower", X, LABELS)  # a branch is a run like any other
    assert resumed.steps == slower.steps


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda: {"x": X + 1}, "these are not the data of the run"),
        (lambda: {"x": X[:50], "y": LABELS[:50]}, "(101 rows then, 50 now); give the same x and y"),
        (lambda: {"y": 1 - LABELS}, "(101 rows, with other content)"),
        (lambda: {"net": with_norm()}, "the network is not that of the run"),
        (lambda: {"net": perceptron(), "loss": "hinge"}, "the loss is not that of the run"),
        (lambda: {"epochs": 9}, "a resumed run goes on as it was; for another epochs branch a new run off it"),
        (lambda: {"branch": "b", "batch_size": 9}, "a branch cannot change 'batch_size'"),
        (lambda: {"branch": "b", "optimizer": "adam"}, "so its optimizer must be one, too"),
        (lambda: {"branch": "b", "step": 99}, "has 35 steps; found step=99"),
        (lambda: {"threads": 0}, "resume: threads must be a whole number of at least 1, found 0"),
    ],
)
def test_what_is_refused(change: Callable[[], dict[str, Any]], sentence: str, tmp_path: Path) -> None:
    trained("momentum", run_dir=tmp_path / "r", callbacks=[StopAfter(9)])
    given_now: dict[str, Any] = {"x": X, "y": LABELS, **change()}
    before = {path: path.read_bytes() for path in (tmp_path / "r").rglob("*") if path.is_file()}
    with pytest.raises(fl.ArgumentError) as error:
        fl.resume(tmp_path / "r", given_now.pop("x"), given_now.pop("y"), **given_now)
    assert sentence in str(error.value)
    assert {path: path.read_bytes() for path in (tmp_path / "r").rglob("*") if path.is_file()} == before


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(fl.RunFolderError, match=r"resume: there is no run in '.*': it has no run.json"):
        fl.resume(tmp_path, X, LABELS)
    trained("momentum", run_dir=tmp_path / "r")
    about = json.loads((tmp_path / "r" / "run.json").read_text())
    (tmp_path / "r" / "run.json").write_text(json.dumps({**about, "contract": 99}))
    with pytest.raises(fl.RunFolderError, match="under exactness contract 99, this version keeps contract 1"):
        fl.resume(tmp_path / "r", X, LABELS)
    (tmp_path / "r" / "run.json").write_text(json.dumps({**about, "config": {**about["config"], "program": "x"}}))
    with pytest.raises(fl.RunFolderError, match=r"does not belong to the run.json beside it"):
        fl.resume(tmp_path / "r", X, LABELS)
    (tmp_path / "r" / "run.json").write_text("{")
    with pytest.raises(fl.RunFolderError, match="is damaged"):
        fl.resume(tmp_path / "r", X, LABELS)


def test_a_checkpoint_predicts(tmp_path: Path) -> None:
    run, net = trained("momentum", run_dir=tmp_path / "r")
    file = next((tmp_path / "r" / "checkpoints").glob("step-*"))
    assert fl.load(file).predict(X).tobytes() == net.predict(X).tobytes()
    assert read_checkpoint(file).step == len(run.steps["loss"])
    with pytest.raises(fl.ModelFileError, match="is a model file, not a checkpoint"):
        read_checkpoint(tmp_path / "r" / "model.safetensors")
