"""`python scripts/soak.py [names]`: the long runs. What they found is written to `docs/results/`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.jobs import main  # after the line above: the folder is not installed

if __name__ == "__main__":
    sys.exit(main("soak", sys.argv[1:]))
