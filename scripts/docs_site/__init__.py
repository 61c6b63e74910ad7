"""The documentation site: `docs/`, the tour, the reference and the commands as one tree of pages for Sphinx."""
