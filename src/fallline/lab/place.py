"""What a lab shows, and where."""

from dataclasses import dataclass, field
from pathlib import Path

from fallline.lab.guard import new_token


@dataclass
class Lab:
    """One lab: the runs and data that its page may open.

    Attributes:
        runs: folders whose runs are shown: a run folder itself, or one that holds run folders.
        data: a table for the playground, as `fallline train` takes it, or None.
        token: the secret in the address.
        hosts: names of this machine, besides those of the loopback.
    """

    runs: list[Path] = field(default_factory=list)
    data: str | None = None
    token: str = field(default_factory=new_token)
    hosts: tuple[str, ...] = ()
