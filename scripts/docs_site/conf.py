"""Sphinx's settings for the site."""

from importlib.metadata import version as version_of
from importlib.resources import files

ICON = str(files("fallline.lab") / "static" / "icon.svg")

project = "Fallline"
author = "the authors of Fallline"
copyright = f"{author}; Apache 2.0"
version = release = version_of("fallline")

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
smartquotes = False  # --resume is no dash
highlight_language = "text"
add_module_names = False
maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "Fallline"
html_static_path = ["static", ICON]
html_css_files = ["site.css"]
html_favicon = ICON
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # it would fetch pages, which a browser does not allow from a file
html_theme_options = {"light_logo": "icon.svg", "dark_logo": "icon.svg", "navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
