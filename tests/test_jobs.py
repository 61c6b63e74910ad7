"""`make soak` and `make bench`: jobs are found, run, and their pages say where the numbers come from."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
GOOD = '"""Counting to three."""\nNAME = "count"\nPEERS = ("json", "no_such_library")\ndef run():\n    return "1 2 3"\n'
BAD = '"""Fails."""\n\nNAME = "bad"\n\n\ndef run():\n    raise ValueError("the loss rose")\n'


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import jobs

    return jobs


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """An importable, empty package of jobs of the test's own name, so that no test sees another's modules."""
    folder = tmp_path / f"jobs_{abs(hash(request.node.name))}"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_a_job_is_found_and_its_page_says_everything(jobs: Any, package: Path, tmp_path: Path) -> None:
    (package / "soak_count.py").write_text(GOOD)
    (package / "bench_other.py").write_text(BAD)
    found = jobs.discover("soak", package.name)
    assert list(found) == ["count"]
    assert jobs.run_all(list(found.values()), "make soak JOB={job}", tmp_path / "results") == 0
    page = (tmp_path / "results" / "count.md").read_text(encoding="utf-8")
    assert page.startswith("# Counting to three\n\n1 2 3\n")
    for fact in ("date", "commit", "processor", "cores", "memory", "system", "software", "command", "duration"):
        assert f"\n| {fact} | " in page
    assert " UTC |" in page
    assert f"Python {sys.version.split()[0]}" in page
    assert "numpy 2." in page
    assert "| command | `make soak JOB=count` |" in page
    assert "no_such_library (not installed, left out)" in page


def test_a_failing_job_keeps_the_old_page_and_stops_no_other(
    jobs: Any, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (package / "soak_bad.py").write_text(BAD)
    (package / "soak_count.py").write_text(GOOD)
    (tmp_path / "bad.md").write_text("of last week")
    assert jobs.run_all(list(jobs.discover("soak", package.name).values()), "make soak JOB={job}", tmp_path) == 1
    assert (tmp_path / "bad.md").read_text() == "of last week"
    assert (tmp_path / "count.md").exists()
    said = capsys.readouterr().err
    assert "ValueError: the loss rose" in said
    assert "bad: failed, for the reason above; no page was written." in said


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"soak_a.py": "NAME = 'a'\n"}, "declares no run; see benchmarks/README.md"),
        ({"soak_a.py": "def run(): ...\n"}, "declares no NAME"),
        ({"soak_a.py": GOOD, "soak_b.py": GOOD}, "Two soak jobs are called 'count'"),
    ],
)
def test_a_badly_declared_job_is_refused(jobs: Any, package: Path, files: dict[str, str], says: str) -> None:
    for name, text in files.items():
        (package / name).write_text(text)
    with pytest.raises(jobs.JobError, match=says):
        jobs.discover("soak", package.name)


def test_jobs_are_chosen_by_name(jobs: Any) -> None:
    known = {name: jobs.Job(name, name, (), lambda: "text") for name in ("a", "b", "c")}
    assert [job.name for job in jobs.chosen(known, ["c", "a"])] == ["c", "a"]
    assert [job.name for job in jobs.chosen(known, [])] == ["a", "b", "c"]
    with pytest.raises(jobs.JobError, match=r"There is no job called 'd'; there is: a, b, c\."):
        jobs.chosen(known, ["a", "d"])


@pytest.mark.parametrize("result", ["", "  \n", None])
def test_a_job_without_a_page_fails(jobs: Any, tmp_path: Path, result: object) -> None:
    job = jobs.Job("empty", "Empty", (), lambda: result)
    with pytest.raises(jobs.JobError, match="in place of the text of its page"):
        jobs.measure(job, {}, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_page_tells_the_commit_and_whether_the_tree_was_clean(jobs: Any, tmp_path: Path) -> None:
    machine: ModuleType = sys.modules["benchmarks.machine"]
    author = {f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def git(*arguments: str) -> str:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        command = ["git", "-c", "commit.gpgsign=false", "-c", f"core.hooksPath={tmp_path / 'none'}", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=clean | author, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "--quiet")
    assert machine.commit(tmp_path) == "none (not a git checkout, or nothing committed yet)"
    (tmp_path / "code.py").write_text("x = 1\n")
    git("add", "code.py")
    git("commit", "--quiet", "--message", "First")
    clean = f"`{git('rev-parse', '--short=12', 'HEAD')}`"
    assert machine.commit(tmp_path) == clean
    results = tmp_path / "docs" / "results"
    results.mkdir(parents=True)
    (results / "count.md").write_text("1 2 3")
    assert machine.commit(tmp_path) == clean, "pages written before are no change of the code"
    (tmp_path / "code.py").write_text("x = 2\n")
    assert machine.commit(tmp_path) == f"{clean}, with uncommitted changes"


def test_a_page_brings_its_pictures(jobs: Any, tmp_path: Path) -> None:
    job = jobs.Job("drawn", "Drawn", (), lambda: jobs.Page("![a picture](drawn.svg)", {"drawn.svg": "<svg/>"}))
    assert jobs.measure(job, {}, tmp_path) == tmp_path / "drawn.md"
    assert "![a picture](drawn.svg)" in (tmp_path / "drawn.md").read_text()
    assert (tmp_path / "drawn.svg").read_text() == "<svg/>"


def test_the_page_names_the_command_of_the_python_it_ran_with(jobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(ROOT / ".venv"))
    assert jobs.command_of("bench").format(job="speed") == "make bench JOB=speed"
    monkeypatch.setattr(sys, "prefix", "/elsewhere")
    assert jobs.command_of("bench").format(job="speed") == "python -m benchmarks speed"
    assert jobs.command_of("soak").format(job="mnist") == "python scripts/soak.py mnist"


def test_pages_can_be_written_elsewhere(
    jobs: Any, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package / "soak_count.py").write_text(GOOD)
    found = jobs.discover("soak", package.name)
    monkeypatch.setattr(jobs, "discover", lambda kind: found)
    monkeypatch.setenv("FALLLINE_RESULTS", str(tmp_path / "trial"))
    assert jobs.main("soak", ["count"]) == 0
    assert [page.name for page in (tmp_path / "trial").iterdir()] == ["count.md"]
