"""`make docs`: the documentation site, in build/site. Any warning ends it; nothing is fetched."""

import sys
from pathlib import Path

from sphinx.cmd.build import build_main

from docs_site import stage

ROOT = Path(__file__).resolve().parent.parent


def build(source: Path, site: Path) -> int:
    """Gather the pages in `source` and make the site in `site`; Sphinx's exit code."""
    stage.gather(source)
    kept = source.parent / "doctrees"
    options = ["-b", "html", "-q", "-W", "--keep-going", "-E", "-c", str(stage.CONFIGURATION), "-d", str(kept)]
    return build_main([*options, str(source), str(site)])


def main(arguments: list[str]) -> int:
    """`docs.py [FOLDER]`: build the site, in build/site by default, and say where it is."""
    site = Path(arguments[0]).resolve() if arguments else ROOT / "build" / "site"
    code = build(site.parent / "docs", site)
    print(f"The site is in {site}; open {site / 'index.html'}" if code == 0 else "The site was not made: see above.")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
