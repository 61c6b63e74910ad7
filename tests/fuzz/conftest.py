"""The mutators are those of `make soak JOB=fuzz`: found from the checkout, like the benchmarks."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
