"""Good run folders: one that was stopped, the same one at its end, and another one of the same shape."""

from pathlib import Path
from typing import Any

import numpy as np

STOPPED, FINISHED, OTHER = "stopped run", "finished run", "other run"
EPOCHS, STEPS_STOPPED, REPLAYED = 4, 10, (5, 9)


def training_data() -> tuple[Any, Any]:
    """40 rows of 4 numbers, and their classes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 4)).astype(np.float32)
    return x, (x[:, 0] * x[:, 1] > 0).astype(np.int64)


def write_runs(good: Path) -> None:
    """Write them, and beside the finished one what its steps gave."""
    _run(good / FINISHED, 0)
    _run(good / STOPPED, 0, STEPS_STOPPED)
    _run(good / OTHER, 1)
    _write_expected(good / FINISHED)


def _run(folder: Path, seed: int, stop: int | None = None) -> None:
    """Buffers, Dropout, a schedule that learns from scores, an optimizer with running numbers.

    On the reference engine, so that no campaign waits for a compiler.
    """
    import fallline as fl
    from fallline import nn, optim

    class Stop(fl.Callback):
        def on_step_end(self, run: fl.Run, step: int) -> bool | None:
            if stop is not None and step + 1 == stop:
                run.stopped = "interrupted"
            return None

    network = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm(5), nn.Tanh(), nn.Dropout(0.2), nn.Linear(5, 2), seed=seed)
    fl.fit(
        network, *training_data(), epochs=EPOCHS, batch_size=8, seed=seed, validation=0.2, engine="reference",
        optimizer=optim.NAdam(0.05), schedule=optim.ReduceOnPlateau(patience=0, factor=0.5), metrics=("accuracy",),
        run_dir=folder, callbacks=[Stop()], checkpoint_every=1e-9, progress=False,
    )  # fmt: skip


def _write_expected(folder: Path) -> None:
    from fallline.nn.model_file import load_network
    from fallline.training.recording import Given
    from fallline.training.replay import replayer_of

    place = folder / "expected"
    replayer = replayer_of(folder, Given(*training_data()))
    place.mkdir()
    for step in REPLAYED:
        _save(place / f"{step}.npz", replayer.step(step).after.values)
    end = load_network(folder / "model.safetensors")
    _save(place / "end.npz", {**end.parameters(), **end.buffers()})


def _save(path: Path, arrays: dict[str, Any]) -> None:
    np.savez(path, **arrays)
