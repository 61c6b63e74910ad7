"""Makes `.venv` ready for `make`: run as `python3 scripts/setup.py core` or `… dev`.

This file must parse on Python 3.6, so that an old Python gets a sentence and no traceback; the work is
done by `environment.py`. An old Python is no obstacle where `.venv` is there already, or `uv`, which brings its own.
"""

import os
import shutil
import sys
from os.path import abspath, dirname, exists, join

ROOT = dirname(dirname(abspath(__file__)))
REQUIRED = (3, 11)
RESTARTED = "FALLLINE_SETUP_RESTARTED"


def main() -> None:
    """Hands over to `environment.py` under a Python that is new enough, or says how to get one."""
    if sys.version_info >= REQUIRED:  # a comparison with a name: linters would take the branch below for dead code
        sys.path.insert(0, join(ROOT, "scripts"))
        import environment

        sys.exit(environment.main(sys.argv[1:]))
    interpreter = join(ROOT, ".venv", "bin", "python")
    if exists(interpreter) and RESTARTED not in os.environ:
        os.environ[RESTARTED] = "1"  # should that Python be old, too, it must not restart itself for ever
        os.execv(interpreter, [interpreter, abspath(__file__), *sys.argv[1:]])
    uv = shutil.which("uv")
    if uv:
        os.execv(uv, [uv, "run", "--no-project", "--python", ">=3.11", abspath(__file__), *sys.argv[1:]])
    sys.exit(
        f"Fallline needs Python 3.11 or newer, and {sys.executable} is Python {sys.version.split()[0]}: "
        "install a newer one, or name it, as in `make PYTHON=python3.12 test`."
    )


if __name__ == "__main__":
    main()
