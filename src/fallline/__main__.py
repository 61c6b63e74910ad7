"""`python -m fallline`: the command line."""

from fallline.cli.main import run

run()
