"""Measurements whose pages are `docs/results/`: soak jobs (`soak_*.py`) and comparisons with peers (`bench_*.py`)."""
