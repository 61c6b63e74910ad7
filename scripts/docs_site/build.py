"""From gathered pages to a site, by Sphinx."""

from pathlib import Path

from sphinx.cmd.build import build_main

CONFIGURATION = Path(__file__).resolve().parent


def make(source: Path, site: Path) -> int:
    """Make the site of the pages in `source`; 0 when there was nothing to warn of."""
    kept = source.with_name("doctrees")
    options = ["-b", "html", "-q", "-W", "--keep-going", "-E", "-c", str(CONFIGURATION), "-d", str(kept)]
    return build_main([*options, str(source), str(site)])
