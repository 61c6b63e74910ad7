"""JAX, a jitted step: one call for each batch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.jax_common import JaxContender, State
from benchmarks.tasks import Task

Array = NDArray[Any]


class JaxStep(JaxContender):
    """The state is donated; order, position and losses stay on the device, so that a call hands nothing over."""

    name, label = "jax-step", "JAX, jit per step"

    def __init__(self, task: Task, threads: int) -> None:
        super().__init__(task, threads)
        batch, lax = self.work.batch, self.jax.lax

        def one(state: State, place: Any, losses: Any, x: Any, y: Any, order: Any) -> Any:
            rows = lax.dynamic_slice(order, (place * batch,), (batch,))
            state, value = self.step(state, x, y, rows)
            return state, place + 1, losses.at[place].set(value)

        self.program = self.jax.jit(one, donate_argnums=(0, 1, 2))

    def epochs(self, orders: Array) -> Array:
        found = [self._epoch(order) for order in orders]
        self.jax.block_until_ready(self.state)
        return np.stack([np.asarray(losses, dtype=np.float64) for losses in found])

    def _epoch(self, order: Array) -> Any:
        rows = self.np.asarray(order.astype(np.int32))
        state, program, x, y = self.state, self.program, self.x, self.y
        place, losses = self.np.asarray(np.int32(0)), self.np.zeros(self.work.steps, self.np.float32)
        for _ in range(self.work.steps):
            state, place, losses = program(state, place, losses, x, y, rows)
        self.state = state
        return losses
