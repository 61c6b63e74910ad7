"""The lab beside a training: a process of its own, which the training starts and takes with it when it ends."""

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from fallline.errors import FalllineError, told

PATIENCE = 15
"""Seconds that the lab has to end, and to stop the forks that it has started."""


class LabBeside:
    """The lab of one training. It ends with the block, or with this process, however that ends.

    Args:
        shown: the run folder, which may not be there yet, or the folder of runs that it will be in.

    Raises:
        FalllineError: the lab does not start; with its reason.
    """

    def __init__(self, shown: Path) -> None:
        from fallline.serving.sockets import require_packages

        require_packages("the lab", "lab")
        # A session of its own: Ctrl-C is for the training, and the page shows how it stops.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fallline", "lab", str(shown), "--beside"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.address = self._process.stdout.readline().strip() if self._process.stdout is not None else ""
        if not self.address:
            _, said = self._process.communicate()
            raise FalllineError(
                f"the lab did not start: {told(said.strip().removeprefix('error: ') or 'it said nothing')}"
            )

    @property
    def process_id(self) -> int:
        """Of its process."""
        return self._process.pid

    def wait(self) -> None:
        """Until it ends: by Ctrl-C, that is."""
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
