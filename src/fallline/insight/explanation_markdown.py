"""An explanation as Markdown: the same sections as its text, with tables."""

from collections.abc import Sequence

from fallline.insight.explanation import Explanation
from fallline.insight.explanation_text import epoch, factor_words, formulas, headline, verdict, who
from fallline.insight.number_columns import exactly, plain, short
from fallline.insight.update_terms import Update


def markdown(found: Explanation) -> str:
    """The whole explanation."""
    sections = [_head(found), _gradient(found), _chain(found), _rows(found), _update(found.update)]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def _head(found: Explanation) -> list[str]:
    when = "" if found.step is None else f" at step {found.step:,}, epoch {epoch(found)}"
    first, *further = headline(found)
    return [f"# `{found.weight}`{when}", "", *(f"{_cell(line.strip())}." for line in (first, *further))]


def _gradient(found: Explanation) -> list[str]:
    rows = [[*who(part), short(part.factor), short(part.delta), short(part.share)] for part in found.parts]
    if found.sum.hidden:
        rows.append([f"{found.sum.hidden:,} others", "", "", "", short(found.sum.others)])
    rows += [
        ["rounding", "", "", "", short(found.sum.rest)],
        ["**stored**", f"dL/dw, {found.dtype}", "", "", f"**{exactly(found.gradient)}**"],
        ["checked", "dL/dw, float64", "", "", exactly(found.check.gradient)],
        ["measured", "slope of L", "", "", exactly(found.check.difference)],
    ]
    heads = ["", "of", "activation", "× delta", "= share"]
    told = " ".join(line.strip() for line in verdict(found))
    return [
        "## Backpropagation",
        "",
        "dL/dw = Σ activation × delta",
        "",
        *_table(heads, rows, 2),
        "",
        f"{told[:1].upper()}{told[1:]}.",
    ]


def _chain(found: Explanation) -> list[str]:
    if not found.chain:
        return []
    rows = []
    for opening in found.chain:
        rows.append([f"dL/d {opening.name}", f"by {opening.through}", "", "", f"**{short(opening.value)}**"])
        for term in opening.terms:
            words = factor_words(opening, term)
            rows.append(["", words, short(term.factor), short(term.delta), short(term.share)])
        if opening.others[1]:
            rows.append(["", f"{opening.others[1]:,} others", "", "", short(opening.others[0])])
    notes = [f"{opening.note[:1].upper()}{opening.note[1:]}." for opening in found.chain if opening.note]
    first = found.chain[0]
    row = "" if first.row is None else f" of row {first.row}"
    heads = ["", "", "factor", "× delta behind", "= share"]
    return [
        "## The chain rule",
        "",
        f"The delta{row}, one layer at a time.",
        "",
        *_table(heads, rows, 2),
        "",
        *map(_cell, notes),
    ]


def _rows(found: Explanation) -> list[str]:
    up, down = found.rows_up(), found.rows_down()
    if not (up or down):
        return []
    told = [("down", share) for share in down] + [("up", share) for share in up]
    rows = [
        [
            word,
            f"row {share.row}",
            share.place,
            ", ".join(f"{k} {v}" for k, v in share.cells.items()),
            short(share.share),
        ]
        for word, share in told
    ]
    return [
        "## Rows",
        "",
        "Which push the weight down, and which up.",
        "",
        *_table(["", "", "place", "data", "share"], rows, 4),
    ]


def _update(step: Update | None) -> list[str]:
    if step is None:
        return []
    lines = ["## Gradient descent", "", f"`{step.rule}` ({step.paper})", ""]
    if step.frozen:
        return [*lines, f"The weight is frozen (η = 0): it stays {plain(step.before)}."]
    given = "   ".join(f"{name} = {plain(value)}" for name, value in step.scalars.items())
    told = [*([given] if given else []), *(line.removeprefix("  ") for line in formulas(step))]
    return [
        *lines,
        "```text",
        *told,
        "```",
        "",
        f"w: {exactly(step.before)} → {exactly(step.after)}, a step of {short(step.change)}.",
    ]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """A table whose first columns are set to the left."""
    rule = [":--" if k < left else "--:" for k in range(len(heads))]
    return [f"| {' | '.join(map(_cell, row))} |" for row in (heads, rule, *rows)]


def _cell(text: str) -> str:
    """A text that starts no column, emphasis of its own or tag."""
    for sign in ("\\", "|", "<", "`", "_"):
        text = text.replace(sign, "\\" + sign if sign != "<" else "&lt;")
    return " ".join(text.split())
