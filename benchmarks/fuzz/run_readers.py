"""What a user would call on a run's folder of which one file is damaged.

The mutant lies in the current folder under the file's own name. Each reader copies the good run, puts the mutant in
its place, and removes the copy again.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz.readers import Refused, Wrong
from benchmarks.fuzz.run_samples import FINISHED, REPLAYED, STEPS_STOPPED, STOPPED, training_data

GONE, SWAPPED = b"@gone", b"@swapped with "
"""What a mutant may say in place of a content: the file is removed, or exchanged with another of the folder."""


def resume(path: Path, good: Path) -> None:
    """`fl.resume`: the bits of the run that was never damaged, or nothing is changed."""
    _resume(path, good, same=True)


def resume_sealed(path: Path, good: Path) -> None:
    """`fl.resume` of what has the right hash: it may be another training, but a whole one."""
    _resume(path, good, same=False)


def _resume(path: Path, good: Path, same: bool) -> None:
    import fallline as fl

    with damaged(path, good, STOPPED) as folder:
        before = _contents(folder)
        try:
            run = fl.resume(folder, *training_data(), progress=False)
        except fl.FalllineError:
            if _contents(folder) != before:
                raise Wrong("the run was refused after some of its files had been changed") from None
            raise
        if same:
            _require_same_end(run, folder, good)
        _require_last(run.start.step)


def replay(path: Path, good: Path) -> None:
    """`fl.replay` of a step in the middle, and of the last one before it was stopped."""
    import fallline as fl

    with damaged(path, good, STOPPED) as folder:
        before = _contents(folder)
        try:
            for step in REPLAYED:
                found = fl.replay(folder, step, *training_data())
                expected = good / FINISHED / "expected" / f"{step}.npz"
                with np.load(expected) as kept:
                    for name, array in found.after.values.items():
                        if array.tobytes() != kept[name].tobytes():
                            raise Wrong(f"step {step} was replayed with another {name}")
                found[f"gradient of {next(iter(found.gradients))}"]
        finally:
            if _contents(folder) != before:
                raise Wrong("replaying changed a file")


def stored(path: Path, good: Path) -> None:
    """`StoredRun`: all that it tells."""
    from fallline.training.run_reader import StoredRun

    with damaged(path, good, STOPPED) as folder:
        found = StoredRun(folder)
        found.steps(), list(found.whole()), found.history(), found.hashes(), found.made_by
        _require_last(next(found.whole()).step)
        found.graphs, found.network().predict(training_data()[0]), found.model_extra
        for checkpoint in found.whole():
            losses = found.losses_until(checkpoint)
            if len(losses) != checkpoint.step:
                raise Wrong(f"{checkpoint.step} steps have {len(losses)} losses")


@contextmanager
def damaged(path: Path, good: Path, name: str) -> Iterator[Path]:
    """A copy of a good run with the mutant in the place of the file of its name."""
    folder = Path("damaged run")
    try:
        shutil.copytree(good / name, folder, ignore=shutil.ignore_patterns("expected"))
        last = max((folder / "checkpoints").glob("step-*"))  # in place of another run's last one
        place = next(folder.rglob(path.name), last)
        content = path.read_bytes()
        if content == GONE:
            place.unlink()
        elif content.startswith(SWAPPED):
            others = [each for each in sorted(folder.rglob("*")) if each.is_file() and each != place]
            other = others[sum(content[len(SWAPPED) :]) % len(others)]
            mine = place.read_bytes()
            place.write_bytes(other.read_bytes())
            other.write_bytes(mine)
        else:
            place.write_bytes(content)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _require_last(step: int) -> None:
    """Whether the last checkpoint was used; another one is as good, and counts as a refusal of the mutant."""
    if step != STEPS_STOPPED:
        raise Refused("a checkpoint before it is used")


def _require_same_end(run: Any, folder: Path, good: Path) -> None:
    from fallline.nn.model_file import load_network

    expected = json.loads((good / FINISHED / "run.json").read_text())
    with np.load(good / FINISHED / "expected" / "end.npz") as kept:
        arrays = {**run.network.parameters(), **run.network.buffers()}
        for name in kept.files:
            if arrays[name].tobytes() != kept[name].tobytes():
                raise Wrong(f"the resumed run ended with another {name}")
    losses = np.fromfile(good / FINISHED / "losses.f64")
    if any(one != other and one == one for one, other in zip(run.steps["loss"], losses, strict=True)):
        raise Wrong("the resumed run tells of other losses")
    if (run.stopped, run.epochs) != (expected["stopped"], expected["epochs"]):
        raise Wrong(f"the resumed run was stopped by {run.stopped!r} after {run.epochs} epochs")
    x = training_data()[0]
    model = load_network(good / FINISHED / "model.safetensors")
    if load_network(folder / "model.safetensors").predict(x).tobytes() != model.predict(x).tobytes():
        raise Wrong("the resumed run's model predicts otherwise")
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    told = [json.loads(line) for line in (good / FINISHED / "history.jsonl").read_text().splitlines()]
    if [line["loss"] for line in lines] != [line["loss"] for line in told]:
        raise Wrong("history.jsonl tells of other losses")
    if left := [name for name in _contents(folder) if Path(name).name.startswith(".")]:
        raise Wrong(f"it left {left}")


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}
