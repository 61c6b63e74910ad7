"""`make docs`: the documentation site, in build/site. Any warning ends it; nothing is fetched."""

import shutil
import sys
import tempfile
from pathlib import Path

from docs_site import build

SITE = Path(__file__).resolve().parent.parent / "build" / "site"


def main(arguments: list[str]) -> int:
    """`docs.py [FOLDER]`: make the site anew, or into a folder of your own, and say where it is."""
    site = Path(arguments[0]).resolve() if arguments else SITE
    try:
        from docs_site import stage  # it loads the whole library: an interruption should find us here

        if not arguments:
            shutil.rmtree(site, ignore_errors=True)  # pages that are no more
        with tempfile.TemporaryDirectory(prefix="fallline-docs-") as folder:
            source = Path(folder) / "docs"
            stage.gather(source)
            code = build.make(source, site)
    except KeyboardInterrupt:
        print("Interrupted; the site is not whole.", file=sys.stderr)
        return 130
    if code == 0:
        print(f"The site is in {site}; open {site / 'index.html'}")
    else:
        print("The site is not what it should be: see above.", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
