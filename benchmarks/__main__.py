"""`python -m benchmarks [names]`: the comparisons with other libraries."""

import sys

from benchmarks.jobs import main

sys.exit(main("bench", sys.argv[1:]))
