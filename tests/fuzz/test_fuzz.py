"""Damaged, foreign and hostile files of every kind: read, or refused in a sentence. `make soak JOB=fuzz` does more."""

import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and watches by Linux's means")
if sys.platform.startswith("linux"):
    from benchmarks.fuzz import campaign as campaigns
    from benchmarks.fuzz import worker
    from benchmarks.fuzz.campaign import Tally, campaign, shares, verdicts
    from benchmarks.fuzz.kinds import KINDS
    from benchmarks.fuzz.samples import make_samples

MUTANTS, SEED = 400, 20


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    make_samples(folder)
    return folder


@pytest.fixture(scope="module")
def tallies(good: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, "Tally"]:
    place = tmp_path_factory.mktemp("place")
    return {tally.kind: tally for tally in campaign(shares(MUTANTS, good), SEED, good, place)}


@pytest.mark.parametrize("kind", KINDS)
def test_mutants_are_read_or_refused_with_a_sentence(kind: str, tallies: dict[str, "Tally"]) -> None:
    if kind not in tallies:
        pytest.skip("pyarrow is not installed")
    tally = tallies[kind]
    assert not tally.defects, "\n\n".join(f"{kind} {each.number}: {each.how}\n{each.detail}" for each in tally.defects)
    assert tally.mutants >= MUTANTS // 40
    assert tally.outcomes.total() - tally.outcomes["accepted"] > tally.mutants // 5


def test_good_files_are_accepted_by_all_their_readers(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise every mutant would be refused, for another reason than that it is one."""
    from fallline.report import table_report

    monkeypatch.setattr(table_report, "pictures", lambda result: {})
    monkeypatch.chdir(tmp_path)
    for name, kind in KINDS.items():
        for file in kind.files:
            own = tmp_path / (Path(file).name if "idx" in file or "/" in file else f"good{file[file.index('.') :]}")
            if not (good / file).is_file() or "labels" in file or name == "another run's file":
                continue
            own.write_bytes((good / file).read_bytes())
            tables = own.name.startswith("good.") and name not in ("npz", "npy")
            every = tables or name in ("network", "run", "object code") or "run/" in file
            for reader in kind.readers if every else kind.readers[:1]:
                if "x.npz" not in file:
                    reader(Path(own.name), good)
            own.unlink()


def test_a_mutant_is_the_same_again_and_unlike_its_file(good: Path) -> None:
    for kind in KINDS:
        if kind == "another run's file":  # which is whole
            continue
        made = [worker.mutant(kind, number, 7, good) for number in range(12)]
        again = [worker.mutant(kind, number, 7, good) for number in range(12)]
        assert [each.content for each in made] == [each.content for each in again]
        originals = [(good / file).read_bytes() for file in KINDS[kind].files if (good / file).is_file()]
        assert sum(each.content in originals for each in made) <= 4


def test_a_death_is_a_defect_and_the_campaign_goes_on(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies at the second mutant: an environment without memory for it."""
    real = campaigns._start
    started: list[int] = []

    def start(task: dict[str, object]) -> object:
        process = real(task)
        if not started:
            process.kill()
        started.append(1)
        return process

    monkeypatch.setattr(campaigns, "_start", start)
    found = list(verdicts("object code", 3, 0, good, tmp_path))
    assert [each.number for each in found] == [0, 1, 2]
    assert found[0].outcome == "DEFECT"
    assert found[0].detail.startswith("the process died with -9")
    assert [each.outcome for each in found[1:]] == ["command line"] * 2


def wrong(how: str) -> Callable[[Path, Path], None]:
    """A reader that does what none may do."""

    def reader(path: Path, good: Path) -> None:
        if how == "traceback":
            raise KeyError("x")
        if how == "no sentence":
            from fallline.errors import DataError

            raise DataError("")
        if how == "leaves":
            Path("left").touch()
        if how == "changes":
            path.write_bytes(b"other")
        if how == "loops":
            while True:
                random.random()

    return reader


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("traceback", "KeyError: 'x'"),
        ("no sentence", "no sentence"),
        ("leaves", "it left ['left']"),
        ("changes", "the file was changed or removed"),
        ("loops", "it took more than 0.1 s"),
    ],
)
def test_the_judge_sees(how: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    (tmp_path / "work").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(worker, "CPU_SECONDS", 0.1)
    before = signal.signal(signal.SIGPROF, worker._too_long)
    try:
        with (tmp_path / "noise").open("w+b", buffering=0) as noise:
            mutant = worker.Mutant("a.csv", b"a,b\n1,2\n", wrong(how), "by hand")
            verdict = worker.judge(3, mutant, tmp_path, noise)
    finally:
        signal.signal(signal.SIGPROF, before)
    assert (verdict.number, verdict.outcome) == (3, "DEFECT")
    assert says in verdict.detail
