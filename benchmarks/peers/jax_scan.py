"""JAX, a whole epoch in one call: `lax.scan` over the batches."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.jax_common import JaxContender, State
from benchmarks.tasks import Task

Array = NDArray[Any]


class JaxScan(JaxContender):
    """One jitted program an epoch, its state donated; the losses are read after the last epoch."""

    name, label = "jax-scan", "JAX, lax.scan"

    def __init__(self, task: Task, threads: int) -> None:
        super().__init__(task, threads)

        def epoch(state: State, x: Any, y: Any, batches: Any) -> Any:
            return self.jax.lax.scan(lambda s, rows: self.step(s, x, y, rows), state, batches)

        self.program = self.jax.jit(epoch, donate_argnums=0)

    def epochs(self, orders: Array) -> Array:
        losses = []
        for order in orders:
            batches = order.astype(np.int32).reshape(-1, self.work.batch)
            self.state, values = self.program(self.state, self.x, self.y, batches)
            losses.append(values)
        self.jax.block_until_ready(self.state)
        return np.stack([np.asarray(values, dtype=np.float64) for values in losses])
