"""Observers: what they see is what there is, and the training does not know of them."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn, optim
from fallline.errors import CompileError
from fallline.training import observers

RNG = np.random.default_rng(3)
X = RNG.normal(size=(70, 5)).astype(np.float32)
LABELS = RNG.integers(0, 3, size=70)


class Always(fl.Observer):
    """Looks after every chunk."""

    def look(self, training: Any) -> None:
        self._due = 0.0
        super().look(training)


def network(seed: int = 4) -> nn.Module:
    return nn.Sequential(
        nn.Linear(5, 16), nn.BatchNorm(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3),
        seed=seed,
    )  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": optim.SGD(lr=0.05, momentum=0.9)},
        {"optimizer": optim.AdamW(lr=0.01), "clip_norm": 0.5, "validation": 0.2, "schedule": "cosine"},
        {"optimizer": optim.NAdam(lr=0.01), "clip_value": 0.1, "sample_weight": RNG.random(70), "shards": 4},
        {"optimizer": optim.Adam(lr=0.01), "dtype": "float64", "until": "converged", "epochs": 9},
        {"optimizer": optim.RMSprop(lr=0.01), "engine": "reference"},
    ],
    ids=lambda options: type(options["optimizer"]).__name__,
)
def test_they_change_no_bit(options: dict[str, Any], tmp_path: Path) -> None:
    common = {"batch_size": 16, "epochs": 6, **options}
    alone = fl.fit(network(), X, LABELS, run_dir=tmp_path / "alone", **common)
    observer = Always(rows=32)
    seen = fl.fit(network(), X, LABELS, run_dir=tmp_path / "seen", callbacks=[observer], **common)
    assert len(observer.observations) > 3
    assert seen.steps["loss"] == alone.steps["loss"]
    assert seen.hashes[max(seen.hashes)] == alone.hashes[max(alone.hashes)]
    for name, value in alone.network.parameters().items():
        assert value.tobytes() == seen.network.parameters()[name].tobytes()
    start, same = ((tmp_path / name / "losses.f64").read_bytes() for name in ("alone", "seen"))
    assert start == same
    lines = (tmp_path / "seen" / "observations.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [each["step"] for each in observer.observations]
    assert not (tmp_path / "alone" / "observations.jsonl").exists()


def norm(array: Any) -> float:
    return float(np.sqrt(np.sum(np.asarray(array, dtype=np.float64) ** 2)))


def test_norms_are_those_of_the_explicit_loop() -> None:
    """Against loss_and_gradients and optimizer.update, called one after the other, and NumPy's norms."""
    layers = (nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
    observer = Always(rows=1000)
    rule = optim.Adam(lr=0.02)
    fl.fit(nn.Sequential(*layers, seed=2), X, LABELS, optimizer=rule, batch_size="all", epochs=6, callbacks=[observer])
    net = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3), seed=2)
    weights, seen = net.parameters(), {each["step"]: each for each in observer.observations}
    state = rule.init(weights)
    assert 1 in seen
    for step in range(6):
        net.load_parameters(weights)
        loss, gradients = fl.loss_and_gradients(net, X, LABELS)
        after, state = rule.update(weights, gradients, state)
        if step in seen:
            assert seen[step]["loss"] == pytest.approx(loss, rel=1e-5)
            assert seen[step]["learning_rate"] == pytest.approx(0.02)
            assert seen[step]["epoch"] == step
            for name, w in weights.items():
                told = seen[step]["parameters"][name]
                assert told["gradient"] == pytest.approx(norm(gradients[name]), rel=1e-4)
                assert told["weight"] == pytest.approx(norm(w), rel=1e-4, abs=1e-7)
                assert told["update"] == pytest.approx(norm(after[name] - w), rel=1e-3)
                assert told["ratio"] == pytest.approx(norm(after[name] - w) / norm(w), rel=1e-3)
            hidden = X @ weights["0.weight"] + weights["0.bias"]
            told = seen[step]["activations"]
            assert list(told) == ["0", "1", "2"]
            assert told["0"]["mean"] == pytest.approx(float(hidden.mean()), abs=1e-5)
            assert told["1"]["spread"] == pytest.approx(float(np.tanh(hidden).std()), rel=1e-4)
            assert (told["1"]["units"], told["1"]["op"]) == (6, "tanh")
        weights = after


def test_dead_units_are_counted() -> None:
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3), seed=1)
    weights = net.parameters()
    weights["0.bias"][:3] = -1e6  # three units that are 0 for every row
    net.load_parameters(weights)
    observer = Always()
    fl.fit(net, X, LABELS, epochs=1, callbacks=observer)
    for each in observer.observations:
        assert (each["activations"]["1"]["dead"], each["activations"]["1"]["units"]) == (3, 8)
        assert each["activations"]["0"]["dead"] == 0


def test_a_frozen_weight_has_no_update() -> None:
    rule = optim.SGD(lr=0.1, groups={"0.*": {"lr": 0}})
    observer = Always()
    fl.fit(nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3)), X, LABELS, optimizer=rule, epochs=1, callbacks=[observer])
    told = observer.observations[-1]["parameters"]
    assert told["0.weight"]["update"] == told["0.weight"]["ratio"] == 0.0
    assert told["0.weight"]["gradient"] > 0.0
    assert told["1.weight"]["update"] > 0.0


def test_they_keep_to_their_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock by which each look takes 3 s and each chunk of steps 1 s."""
    now, looks = [1000.0], [0]
    monkeypatch.setattr(observers.time, "perf_counter", lambda: now[0])
    real_view, real_chunk = observers._View.__call__, fl.training.loop.Training._chunk

    def view(self: Any, training: Any) -> Any:
        now[0] += 3.0
        looks[0] += 1
        return real_view(self, training)

    def chunk(self: Any, *arguments: Any) -> None:
        now[0] += 1.0
        real_chunk(self, *arguments)

    monkeypatch.setattr(observers._View, "__call__", view)
    monkeypatch.setattr(fl.training.loop.Training, "_chunk", chunk)
    observer = fl.Observer(budget=0.02)
    fl.fit(network(), X, LABELS, batch_size="all", validation=0.2, epochs=400, callbacks=[observer])
    assert len(observer.observations) == 3  # every 150 s
    assert looks[0] == 4  # the first one prepares
    assert [each["sampling"]["next_after"] for each in observer.observations] == [150.0] * 3
    assert observer.observations[0]["sampling"]["seconds"] == 3.0


def test_one_observer_may_see_several_trainings() -> None:
    """Each with a program of its own, though the first training's memory may be the second's."""
    observer = fl.Observer()
    for width in (3, 7, 5):
        net = nn.Sequential(nn.Linear(5, width), nn.ReLU(), nn.Linear(width, 3))
        fl.fit(net, X, LABELS, epochs=1, callbacks=[observer])
        assert observer.observations[-1]["activations"]["1"]["units"] == width
        assert observer.observations[-1]["step"] == 1


def test_a_pause_is_no_time_of_a_step(tmp_path: Path) -> None:
    import threading
    import time

    from fallline.training.control import ask, is_paused

    folder = tmp_path / "run"

    def resume_later() -> None:
        while not is_paused(folder):
            time.sleep(0.01)
        time.sleep(0.6)
        ask(folder, "resume")

    def pause(run: fl.Run, epoch: int) -> None:
        if epoch == 3:
            ask(folder, "pause")
            threading.Thread(target=resume_later).start()

    observer = Always()
    fl.fit(network(), X, LABELS, batch_size="all", epochs=6, run_dir=folder, callbacks=[observer, pause])
    times = [each["step_seconds"] for each in observer.observations[1:]]
    assert len(times) == 5
    assert max(times) < 0.5


def test_what_the_sampling_was_is_told() -> None:
    observer = fl.Observer(rows=20)
    fl.fit(network(), X, LABELS, epochs=2, callbacks=[observer])
    sampling = observer.observations[0]["sampling"]
    assert (sampling["rows"], sampling["of"], sampling["budget"]) == (20, 70, 0.02)
    assert sampling["next_after"] >= max(observers.SHORTEST, sampling["seconds"] / 0.02)


def test_one_that_fails_does_not_end_the_training(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none(*arguments: Any, **named: Any) -> Any:
        raise CompileError("no such machine")

    monkeypatch.setattr(observers, "make_program", none)
    observer = fl.Observer()
    run = fl.fit(network(), X, LABELS, epochs=3, callbacks=[observer])
    assert (run.epochs, observer.observations) == (3, [])
    assert caplog.messages == ["Training goes on, but is not observed any more: no such machine"]


def test_numbers_that_are_not_finite_are_null_in_the_file(tmp_path: Path) -> None:
    observer = Always()
    net = nn.Sequential(nn.Linear(5, 3, bias=False))
    net.load_parameters({"0.weight": np.zeros((5, 3), dtype=np.float32)})
    fl.fit(net, X * 0, LABELS, epochs=2, run_dir=tmp_path / "run", callbacks=[observer])
    assert math.isnan(observer.observations[0]["parameters"]["0.weight"]["ratio"])
    first = (tmp_path / "run" / "observations.jsonl").read_text().splitlines()[0]
    assert json.loads(first)["parameters"]["0.weight"]["ratio"] is None


def test_a_resumed_run_forgets_what_was_seen_behind_its_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    fl.fit(
        network(), X, LABELS, epochs=9, run_dir=folder,
        callbacks=[Always(), lambda run, epoch: True if epoch == 3 else None],
    )  # fmt: skip
    for name in ("run.json", "model.safetensors"):
        assert (folder / name).exists()
    file = folder / "observations.jsonl"
    seen = file.read_text()
    file.write_text(seen + '{"step": 99}\n["no"]\n{"step": 1')
    told = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**told, "stopped": "running"}))
    fl.resume(folder, X, LABELS)
    assert file.read_text() == seen


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"rows": 0}, "rows must be"), ({"budget": 0.0}, "budget must be"), ({"budget": math.nan}, "budget must be")],
)
def test_what_an_observer_cannot_be(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(fl.ArgumentError, match=sentence):
        fl.Observer(**options)
