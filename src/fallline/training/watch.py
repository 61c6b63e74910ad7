"""Watching a score: how long it has not fallen."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass
class Watch:
    """How long a score has not fallen.

    Attributes:
        tol: a fall counts when it is more than tol·|best|.
        best: the lowest score so far.
        stale: epochs since then.
    """

    tol: float = 0.0
    best: float = math.inf
    stale: int = 0

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON can hold it, which knows no infinity."""
        return {**vars(self), "best": self.best if math.isfinite(self.best) else None}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Watch":
        """From `to_json`."""
        best = stored["best"]
        return cls(float(stored["tol"]), math.inf if best is None else float(best), int(stored["stale"]))

    def observe(self, score: float) -> bool:
        """Take in an epoch's score; whether it is a new best."""
        if score < self.best - self.tol * abs(self.best) if math.isfinite(self.best) else score < self.best:
            self.best, self.stale = score, 0
            return True
        self.stale += 1
        return False
