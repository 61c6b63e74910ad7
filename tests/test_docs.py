"""The documentation is true: its Python and its commands run.

In README.md and docs/ (docs/results/ aside, which records what was measured), in the order of the page and in one
temporary folder per page:

- every ```python block runs; the blocks of a page share their names; a block that begins with >>> is a doctest;
- every command line `$ fallline …` in a ```console or ```sh block runs and exits with 0 (in ```sh also without `$`);
  other commands (make, pip, pipx, git …) are left out: they change the machine;
- a block below the comment <!-- no-run: reason --> is left out, and there must be a reason.
"""

import doctest
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"

RESULTS = ROOT / "docs" / "results"
PAGES = [ROOT / "README.md", *(page for page in sorted((ROOT / "docs").rglob("*.md")) if RESULTS not in page.parents)]

FENCE = re.compile(r"^(?P<indent>\s*)(?P<fence>`{3,}|~{3,})\s*(?P<language>[\w+-]*)")
NO_RUN = re.compile(r"<!--\s*no-run\b:?\s*(?P<reason>.*?)\s*-->")
SHELLS = ("console", "sh", "bash", "shell")
CLI = "import sys; from fallline.cli.main import run; sys.exit(run())"
PATIENCE = 120  # seconds for one command


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the line its text begins on, and why it is not to be run."""

    language: str
    text: str
    line: int
    no_run: str | None = None


def blocks(markdown: str) -> Iterator[Block]:
    lines = iter(enumerate(markdown.splitlines(), start=1))
    comment = None
    for _, line in lines:
        if opening := FENCE.match(line):
            fence, indent = opening["fence"], len(opening["indent"])
            body, begins = [], 0
            for number, inner in lines:
                begins = begins or number
                if re.fullmatch(rf"\s*{fence[0]}{{{len(fence)},}}\s*", inner):
                    break
                body.append(inner[indent:] if not inner[:indent].strip() else inner)
            yield Block(opening["language"], "\n".join(body) + "\n", begins, comment)
            comment = None
        elif found := NO_RUN.fullmatch(line.strip()):
            comment = found["reason"]
        elif line.strip():
            comment = None


def commands(block: Block) -> list[str]:
    """The lines of a shell block that call fallline, continued lines joined."""
    prompt = r"\$ " if block.language == "console" else r"(?:\$ )?"
    joined = re.sub(r"\\\n\s*(?:> )?", "", block.text)
    return [found[1] for line in joined.splitlines() if (found := re.match(prompt + r"(fallline\b.*)", line.strip()))]


def command_folder(folder: Path) -> Path:
    """A folder with a command `fallline` in it that runs this checkout's CLI with this Python."""
    folder.mkdir()
    script = folder / "fallline"
    script.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{CLI}' \"$@\"\n")
    script.chmod(0o755)
    return folder


def run_command(command: str, folder: Path, path: Path) -> str | None:
    """Runs a line of a page as a shell would; what is wrong with it, or nothing."""
    environment = os.environ | {
        "PATH": f"{path}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(SOURCE),
    }
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, stdin=subprocess.DEVNULL, timeout=PATIENCE,
        capture_output=True, text=True,
    )  # fmt: skip
    return None if done.returncode == 0 else f"`{command}` exits with {done.returncode}:\n{done.stdout}{done.stderr}"


def run_python(block: Block, page: str, names: dict[str, object]) -> str | None:
    """Runs a Python block in `names`; what is wrong with it, or nothing. Plain code raises as it is."""
    if not block.text.lstrip().startswith(">>>"):
        # Blank lines in front: a traceback then names the line of the page.
        exec(compile("\n" * (block.line - 1) + block.text, page, "exec"), names)
        return None
    test = doctest.DocTestParser().get_doctest(block.text, names, page, page, block.line - 1)
    test.globs = names  # the parser copied them; later blocks need what this one defines
    return run_doctest(test)


def run_doctest(test: doctest.DocTest) -> str | None:
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    failed = runner.run(test, out=said.append, clear_globs=False).failed
    return "".join(said) if failed else None


def run_page(markdown: str, page: str, folder: Path, path: Path) -> int:
    """Runs a page's blocks in order; how many pieces ran. Fails at the first that does not do what it says."""
    names: dict[str, object] = {"__name__": "__main__"}
    ran = 0
    for block in blocks(markdown):
        if block.no_run is not None:
            assert block.no_run, f"{page}:{block.line}: no-run needs a reason: <!-- no-run: reason -->"
            continue
        if block.language == "python":
            ran += 1
            wrong = run_python(block, page, names)
            assert wrong is None, f"{page}:{block.line}: {wrong}"
        elif block.language in SHELLS:
            for command in commands(block):
                ran += 1
                wrong = run_command(command, folder, path)
                assert wrong is None, f"{page}:{block.line}: {wrong}"
    return ran


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def has_something_to_run(page: Path) -> bool:
    return page.exists() and any(
        block.no_run == "" or (block.language == "python" and block.no_run is None) or commands(block)
        for block in blocks(page.read_text(encoding="utf-8"))
    )


@pytest.mark.parametrize("page", [page for page in PAGES if has_something_to_run(page)], ids=name_of)
def test_the_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    run_page(page.read_text(encoding="utf-8"), name_of(page), folder, command_folder(tmp_path / "bin"))


def modules_with_examples() -> list[str]:
    files = [path for path in sorted((SOURCE / "fallline").rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")]
    return [".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__") for path in files]


@pytest.mark.parametrize("module_name", modules_with_examples())
def test_the_examples_in_docstrings_are_right(
    module_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(module_name)
    tests = [test for test in doctest.DocTestFinder(exclude_empty=True).find(module) if test.examples]
    assert tests, f"{module_name} shows >>> where doctest does not find it"
    assert [wrong for test in tests if (wrong := run_doctest(test))] == []


# The checker itself, on pages with planted faults.

GOOD = """# A page

```python
x = 2
```

Text between.

```python
assert x == 2
y = x + 1
```

```python
>>> y
3
>>> z = y * 2
```

1. A list:

   ~~~python
   assert z == 6
   ~~~

<!-- no-run: needs a camera -->

```python
raise SystemExit
```

```console
$ make test
$ pip install fallline
fallline: this is output
```
"""


def test_a_page_runs_in_order_and_shares_its_names(tmp_path: Path) -> None:
    assert run_page(GOOD, "page", tmp_path, tmp_path) == 4


@pytest.mark.parametrize(
    ("markdown", "error", "says"),
    [
        ("```python\n1 / 0\n```\n", ZeroDivisionError, "division"),
        ("```python\n>>> 1 + 1\n3\n```\n", AssertionError, r"page:2: [\s\S]*Expected:\s+3"),
        ("<!-- no-run: reason -->\n\nA word.\n\n```python\n1 / 0\n```\n", ZeroDivisionError, "division"),
        ("<!-- no-run -->\n```python\nx = 1\n```\n", AssertionError, "no-run needs a reason"),
        (
            "```console\n$ fallline --no-such-option\n```\n",
            AssertionError,
            "--no-such-option` exits with 7:\n +said so",
        ),
        ("```sh\nfallline \\\n  train\n```\n", AssertionError, "`fallline train` exits with 7"),
    ],
)
def test_a_planted_fault_fails(markdown: str, error: type[Exception], says: str, tmp_path: Path) -> None:
    script = tmp_path / "fallline"
    script.write_text("#!/bin/sh\necho said so\nexit 7\n")
    script.chmod(0o755)
    with pytest.raises(error, match=says):
        run_page(markdown, "page", tmp_path, tmp_path)


def test_a_traceback_names_the_line_of_the_page(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run_page("# Title\n\n```python\nx = 0\n1 / x\n```\n", "docs/page.md", tmp_path, tmp_path)
    last = caught.traceback[-1]
    assert (str(last.path).endswith("docs/page.md"), last.lineno + 1) == (True, 5)
