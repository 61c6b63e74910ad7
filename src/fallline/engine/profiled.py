"""Steps of training whose kernels note how long they took."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.engine.compiler.program import ProgramText
from fallline.engine.crew import Crew
from fallline.engine.epochs import Epochs
from fallline.ir.graph import Graph

Array = NDArray[Any]


class ProfiledEpochs(Epochs):
    """`Epochs` whose program reads the processor's clock before and after each kernel.

    Reading it takes some 10 ns. The bits are those of the program without it.

    Attributes:
        seconds: that the last call of `run` spent in native code.
    """

    def __init__(self, graph: Graph, **given: Any) -> None:
        super().__init__(graph, profile=True, **given)
        self._crew = Crew(self._crew.most, fixed=True)  # the table of ticks has a row for each thread
        self.seconds = 0.0
        self._begin()

    @property
    def text(self) -> ProgramText:
        """The program of whole batches, to whose kernels the ticks belong."""
        return self._main.compiled.text

    def ticks(self) -> Array:
        """The ticks of whole batches since the last call: (threads, kernels + 1), the last column being waiting."""
        table = np.array(self._main.profile)
        self._begin()
        return table

    def _drive(self, threads: int) -> None:
        started = time.perf_counter()
        super()._drive(threads)
        self.seconds = time.perf_counter() - started

    def _begin(self) -> None:
        for instance in {id(instance): instance for instance in (self._main, self._last)}.values():
            instance.profile_threads(self.threads_used)
