"""What a training leaves behind: its history, why it stopped, its settings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fallline.nn.losses import Loss
from fallline.nn.module import Module
from fallline.optim import Optimizer

if TYPE_CHECKING:
    from fallline.report.figure import Figure

History = dict[str, list[float]]


@dataclass
class Run:
    """One training.

    Attributes:
        network: the trained network.
        loss: the loss it was trained with.
        optimizer: the update rule it was trained by.
        history: one number per epoch: "loss" (the mean over the epoch's rows of the loss seen in training),
            "learning_rate" (at its end), "seconds"; with validation "validation_loss"; each metric.
            "train_loss" is the loss of the whole training set in prediction mode at the last epoch
            (of each epoch with metrics=("train_loss",)).
        steps: one number per step: "loss", the batch's loss before its update.
        stopped: "epochs", "converged", "patience", "nan", "interrupted" or "callback".
        problem: what went wrong and what to do, where `stopped` is "nan"; else empty.
        best_epoch: the epoch (from 0) with the lowest validation loss, or None without validation.
        epochs: how many epochs were finished.
        scores: one number per epoch, what early stopping and the schedule judge by: the validation loss, or the loss.
        hashes: step → a hash of all weights and buffers after so many steps: now and then, and at the end.
        seconds: wall time of the training.
        engine: which engine computed it.
        config: every setting, as JSON can hold it.
        state: the optimizer's state at the end.
        folder: the run folder, or None.
        signal: the number of the signal that interrupted it, or None.
        recording, start: what its steps follow from and where they began, for `fl.replay`.
    """

    network: Module
    loss: Loss
    optimizer: Optimizer
    history: History = field(default_factory=lambda: {"loss": []})
    steps: History = field(default_factory=lambda: {"loss": []})
    stopped: str = ""
    problem: str = ""
    best_epoch: int | None = None
    epochs: int = 0
    scores: list[float] = field(default_factory=list)
    hashes: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0
    engine: str = "reference"
    config: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    signal: int | None = None
    recording: Any = field(default=None, repr=False)
    start: Any = field(default=None, repr=False)
    _gradient_norm: float | Callable[[], float] = field(default=float("nan"), repr=False)

    @property
    def gradient_norm(self) -> float:
        """‖dL/dw‖ of the whole training set at the final weights (global 2-norm); measured when first asked for."""
        if callable(self._gradient_norm):
            self._gradient_norm = self._gradient_norm()
        return self._gradient_norm

    def measure_gradient_norm(self, measure: Callable[[], float]) -> None:
        """How to find `gradient_norm`, should somebody ask."""
        self._gradient_norm = measure

    def record(self, name: str, value: float) -> None:
        """Append a number to the history."""
        self.history.setdefault(name, []).append(value)

    def plot(self) -> "Figure":
        """Losses, metrics, learning rate and the loss of each step as a `Figure`, which Jupyter shows.

        `run.plot().save("training.svg")` writes it to a file; `.png` needs `fallline[png]`.

        Raises:
            ArgumentError: there is no epoch to draw.
        """
        from fallline.report.run_figure import run_figure  # a convenience that points upwards

        return run_figure(self)

    def _repr_html_(self) -> str:
        from fallline.report.display import run_table  # a convenience that points upwards

        return run_table(self)

    def __repr__(self) -> str:
        last = {name: f"{values[-1]:.6g}" for name, values in self.history.items() if values and name != "seconds"}
        shown = ", ".join(f"{name}={value}" for name, value in last.items())
        return f"<Run: {self.epochs} epochs, stopped by {self.stopped!r}, {shown}>"
