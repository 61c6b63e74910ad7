"""What a lab shows, and where."""

import hashlib
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from fallline.errors import RunFolderError
from fallline.lab.forks import Forks
from fallline.lab.past import Past
from fallline.training.run_folder import RUN, SELECTION


def new_token() -> str:
    """A token that cannot be guessed: 128 random bits."""
    return secrets.token_urlsafe(16)


@dataclass
class Lab:
    """One lab: the runs and data that its page may open.

    Attributes:
        runs: folders whose runs are shown: a run folder itself, or one that holds run folders.
        data: a table for the playground, as `fallline train` takes it, or None.
        token: the secret in the address.
        hosts: names of this machine, besides those of the loopback.
        forks: the trainings that the lab has started.
        past: runs whose steps are looked at.
    """

    runs: list[Path] = field(default_factory=list)
    data: str | None = None
    token: str = field(default_factory=new_token)
    hosts: tuple[str, ...] = ()
    forks: Forks = field(default_factory=Forks)
    past: Past = field(default_factory=Past)

    def folders(self) -> dict[str, Path]:
        """The run folders by id, in the order of their names; what links out of the folders shown is left out."""
        found: dict[str, Path] = {}
        for place in [*self.runs, *self.forks.folders]:
            for path in [place] if _is_run(place) else [place, *_folders_in(place)]:
                before = path / SELECTION  # the training that chose the number of epochs
                both = [path] if before.is_symlink() else [path, before]
                found |= {run_id(run): run for run in both if _is_run(run)}
        return found

    def folder(self, name: str) -> Path:
        """The run folder of an id.

        Raises:
            RunFolderError: there is none.
        """
        found = self.folders().get(name)
        if found is None:
            raise RunFolderError(
                "there is no such run here, or its folder is gone; the list of runs has those there are"
            )
        return found


def run_id(folder: Path) -> str:
    """A run's id in addresses: the same as long as its folder stays where it is, and inert whatever its name."""
    return hashlib.blake2b(str(folder.absolute()).encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()


def _is_run(folder: Path) -> bool:
    try:
        return (folder / RUN).is_file()
    except OSError:  # a folder that may not be looked into
        return False


def _folders_in(place: Path) -> list[Path]:
    try:
        return sorted(path for path in place.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError:
        return []
