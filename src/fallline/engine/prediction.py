"""How long a program's step will take, from what its kernels do and what this machine can do.

    kernel   max(instructions / limit of arithmetic, bytes / limit of memory, rows / limit of fetching rows) / REACHED
    step     Σ over kernels + a meeting of all threads after each stage + the choice of the batch's rows

Threads divide a kernel's units among them; the one with most decides. Busy neighbours are not foreseen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fallline.engine.calibration import Limits
from fallline.engine.compiler.code import BYTES
from fallline.engine.compiler.program import Kernel
from fallline.ir.kernel import LANES
from fallline.ir.types import DType

REACHED = 0.8
"""What kernels reach of the limits, usually."""
CALL_SECONDS = 2e-8
"""Of one kernel: its call, and what surrounds its loops."""
EXCHANGE_SECONDS = 1.5e-6
"""After a meeting of threads: each reads from the others' caches what they have written."""
ROW_SECONDS = 1.5e-8
"""Of finding the number of one row in an epoch's order."""


@dataclass(frozen=True)
class Prediction:
    """The time of one step.

    Attributes:
        kernels: seconds of each kernel, in the program's order.
        meetings: seconds of all meetings, and of what follows from them.
        order: seconds of finding out which rows the batch has.
    """

    kernels: tuple[float, ...]
    meetings: float
    order: float

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return sum(self.kernels) + self.meetings + self.order


def predict(
    kernels: Sequence[Kernel], limits: Limits, *, batch: int, program_bytes: int, data_bytes: int
) -> Prediction:
    """The time of one step of a program.

    Args:
        kernels: of the program, in its order.
        limits: of as many threads as will run it.
        batch: rows of the step.
        program_bytes: of its arena and its state.
        data_bytes: of the data set that its batches are taken from.
    """
    seconds = (least_seconds(kernel, limits, program_bytes, data_bytes) / REACHED for kernel in kernels)
    meeting = limits.barrier + EXCHANGE_SECONDS if limits.threads > 1 else 0.0
    together = (meetings(kernels) + 1) * meeting
    return Prediction(tuple(CALL_SECONDS + each for each in seconds), together, batch * ROW_SECONDS / limits.threads)


def least_seconds(kernel: Kernel, limits: Limits, program_bytes: int, data_bytes: int) -> float:
    """What a kernel takes at the limits.

    Args:
        kernel: its work.
        limits: of the threads that run it.
        program_bytes: of all that the program works on: they decide from which cache it reads.
        data_bytes: of the data set, which decide from where rows come.
    """
    arithmetic = kernel.instructions * 2 * LANES / limits.flops
    memory = kernel.bytes / limits.bandwidth(program_bytes)
    rows = kernel.rows / limits.row_rate(data_bytes)
    largest_share = -(-kernel.units // limits.threads) / kernel.units * limits.threads
    return largest_share * max(arithmetic, memory, rows)


def limit_seconds(kernel: Kernel, limits: Limits, data_bytes: int, dtype: DType) -> float:
    """What a kernel would take if it reached a limit: of arithmetic, of memory or of fetching rows.

    Only what is known exactly counts: multiply-adds, bytes and rows, not what functions such as exp take. The memory
    is as fast as it is for so few bytes: the kernel may find them in the nearest cache.

    Args:
        kernel: its work.
        limits: of the threads that run it.
        data_bytes: of the data set.
        dtype: of the network's arithmetic.
    """
    arithmetic = 2 * kernel.multiply_adds * BYTES[dtype] / BYTES[DType.FLOAT32] / limits.flops
    memory = kernel.bytes / limits.bandwidth(kernel.bytes)
    return max(arithmetic, memory, kernel.rows / limits.row_rate(data_bytes))


def meetings(kernels: Sequence[Kernel]) -> int:
    """How often all threads wait for one another between the first kernel and the last."""
    return sum(one.stage != other.stage for one, other in zip(kernels, kernels[1:], strict=False))
