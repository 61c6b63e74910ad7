"""report.html: one file that shows a training, opens without a network, and prints."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fallline.nn.model_file import write_whole
from fallline.report.markup import Section, text
from fallline.report.svg import FONT, picture_style

STYLES = Path(__file__).with_name("report.css")


def write_page(path: Any, *, title: str, header: str, sections: Sequence[Section], footer: str = "") -> None:
    """Write a page as one HTML file: nothing is fetched, no script runs, it is light or dark as the reader's screen.

    Args:
        path: the file.
        title: of the window.
        header: markup of what stands first.
        sections: the parts, in reading order; those without content are left out.
        footer: a last sentence.

    Raises:
        ModelFileError: the file cannot be written; nothing is left behind.
    """
    drawn = [(section, html) for section in sections if (html := section.html())]
    listed = [(section.key, section.nav) for section, _ in drawn if section.nav]
    page = _PAGE.format(
        title=text(title),
        style=f":root {{ --font: {FONT} }}\n{STYLES.read_text(encoding='utf-8')}{picture_style()}",
        header=header,
        nav=_nav(listed),
        body="\n".join(html for _, html in drawn),
        footer=text(footer),
    )
    write_whole(Path(path), page.encode())


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
base-uri 'none'; form-action 'none'">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<main>
<header>
{header}
</header>
{nav}
<div id="content">
{body}
</div>
<footer>{footer}</footer>
</main>
</body>
</html>
"""


def _nav(listed: Sequence[tuple[str, str]]) -> str:
    if len(listed) < 2:
        return ""
    links = "".join(f'<li><a href="#{key}">{text(name)}</a></li>' for key, name in listed)
    return f'<nav aria-label="Sections"><ul>{links}</ul></nav>'
