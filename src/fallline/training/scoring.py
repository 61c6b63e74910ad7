"""What is measured after an epoch, and whether it is a reason to stop."""

from typing import Any

from numpy.typing import NDArray

from fallline.optim.schedules import Schedule
from fallline.training.evaluate import mean_loss
from fallline.training.graphs import Graphs
from fallline.training.past import Values
from fallline.training.run import Run
from fallline.training.settings import Settings
from fallline.training.step import Rows, StepProgram
from fallline.training.watch import Watch

Array = NDArray[Any]
CONVERGED_PATIENCE = 10


class Scoring:
    """Measures epochs, and keeps the best weights.

    Args:
        settings: what to measure and when to stop.
        run: whose history it writes.
        rows, validation: the data.
        graphs: of which the forward ones are used.
        engine: which computes them.
    """

    def __init__(
        self, settings: Settings, run: Run, rows: Rows, validation: Rows | None, graphs: Graphs, engine: str
    ) -> None:
        self.settings, self.run, self.rows, self.validation = settings, run, rows, validation
        self.early, self.convergence = Watch(), Watch(tol=settings.tol)
        self.best: Values | None = None
        self.forward = self.judge = StepProgram.of(graphs.forward, settings.dtype, engine=engine)
        if rows.weight is not None and (validation is None or validation.weight is None):
            self.judge = StepProgram.of(graphs.judge, settings.dtype, engine=engine)

    @property
    def looks(self) -> bool:
        """Whether something is measured, or learnt, after each single epoch."""
        s = self.settings
        measured = s.train_metrics or s.train_loss_each_epoch or s.until == "converged"
        learns = type(s.schedule).observe is not Schedule.observe
        return bool(self.validation is not None or measured or learns)

    def measure(self, loss: float, values: Values) -> float:
        """Record an epoch's loss, and what else is to be measured at the weights after it.

        Returns:
            The score, which is better when it is lower: the validation loss, or the loss without validation.
        """
        s, run, score = self.settings, self.run, loss
        run.record("loss", loss)
        if self.validation is not None:
            score, outputs = mean_loss(self.judge, self.validation, values)
            run.record("validation_loss", score)
            for metric in s.metrics:
                run.record(f"validation_{metric.name}", metric(outputs, self.validation.y))
        if s.until == "converged" or s.train_loss_each_epoch or s.train_metrics:
            self._measure_training(values)
        return score

    def _measure_training(self, values: Values) -> None:
        s, run = self.settings, self.run
        loss, outputs = mean_loss(self.forward, self.rows, values)
        if s.train_loss_each_epoch:
            run.record("train_loss", loss)
        for metric in s.train_metrics:
            run.record(f"train_{metric.name}", metric(outputs, self.rows.y))
        if s.until == "converged":
            self.convergence.observe(loss)

    def note(self, score: float, values: Values) -> None:
        """Keep the weights if the score of the epoch that is over is the best so far."""
        if self.validation is not None and self.early.observe(score):
            self.run.best_epoch, self.best = self.run.epochs - 1, values

    @property
    def reason(self) -> str:
        """Why to stop now: "converged", "patience", or nothing."""
        s = self.settings
        if s.until == "converged":
            return "converged" if self.convergence.stale >= (s.patience or CONVERGED_PATIENCE) else ""
        waited = s.patience is not None and self.validation is not None and self.early.stale >= s.patience
        return "patience" if waited else ""

    @property
    def keeps_best(self) -> bool:
        """Whether the run ends with the best weights, and there are such."""
        return self.settings.restore_best and self.best is not None and self.settings.until != "converged"

    def to_json(self) -> dict[str, Any]:
        """What it has seen, as JSON can hold it; `restore` takes it back, with the best weights."""
        return {"early": self.early.to_json(), "convergence": self.convergence.to_json()}

    def restore(self, stored: dict[str, Any], best: Values | None) -> None:
        """Go on from what was seen before."""
        self.early, self.convergence = Watch.from_json(stored["early"]), Watch.from_json(stored["convergence"])
        self.best = best
