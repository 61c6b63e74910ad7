"""An explanation as text for a terminal: the gradient, the chain rule, the check, the update."""

from fallline.insight.explanation import Explanation, RowShare
from fallline.insight.number_columns import aligned, exactly, plain, short, table
from fallline.insight.opening import Opening, Term
from fallline.insight.update_terms import Update

CELLS_SHOWN = 4


def text(found: Explanation) -> str:
    """The whole explanation."""
    sections = [headline(found), gradient(found), chain(found), rows(found), update(found)]
    return "\n\n".join("\n".join(section) for section in sections if section)


def headline(found: Explanation) -> list[str]:
    """Which weight, when, and what it does."""
    where = "of a network as it is" if found.step is None else f"before step {found.step:,} (epoch {epoch(found)})"
    lines = [
        f"{found.weight} = {plain(found.before)}   {where}; batch of {found.batch:,} rows, loss {plain(found.loss)}"
    ]
    shown = [*found.where[:3], *([f"and {len(found.where) - 3} more"] if len(found.where) > 3 else [])]
    lines.append(f"  it enters the network at  {'; '.join(shown)}")
    if found.verified_at is not None:
        run = found.run or "the run"
        lines.append(
            f"  computed again from {run}: after step {found.verified_at:,} the weights have the recorded hash"
        )
    return lines


def epoch(found: Explanation) -> str:
    """The epoch, counted from 1 as people do."""
    return "?" if found.epoch is None else f"{found.epoch + 1:,}"


def gradient(found: Explanation) -> list[str]:
    """dL/dw as the sum of its shares, beside the same by other ways."""
    parts, check = found.parts, found.check
    ends = [found.sum.others, found.sum.rest, found.gradient, check.gradient, check.difference]
    numbers = aligned([*(part.share for part in parts), *ends])
    shares, (others, rounding, stored, wide, measured) = numbers[: len(parts)], numbers[len(parts) :]
    activations = aligned([part.factor for part in parts])
    deltas = aligned([part.delta for part in parts])
    header = ["", "", "activation", "×  delta", "=  share"]
    lines = [header]
    for part, activation, delta, share in zip(parts, activations, deltas, shares, strict=True):
        lines.append([*who(part), activation, delta, share])
    if found.sum.hidden:
        lines.append([f"{found.sum.hidden:,} others", "", "", "", others])
    lines.append(["rounding", "", "", "", _tiny(found.sum.rest, rounding)])
    lines.append(["stored", f"dL/dw, {found.dtype}", "", "", stored])
    lines.append(["checked", "dL/dw, float64", "", "", wide])
    lines.append(["measured", "slope of L", "", "", measured])
    told = table(lines, [False, False, True, True, True])
    rule = "  " + "─" * (max(map(len, told)) - 2)
    told.insert(len(told) - 3, rule)
    return ["Backpropagation   dL/dw = Σ activation × delta", *told, *verdict(found)]


def _tiny(value: float, written: str) -> str:
    """A number that would show no digit beside the others, by its own digits."""
    return (
        written if any(digit in written for digit in "123456789") or value == 0.0 else f"{value:+.1e}".replace("-", "−")
    )


def verdict(found: Explanation) -> list[str]:
    """What the comparison says."""
    check = found.check
    if check.kink is not None:
        left, right = check.kink
        return [f"  the loss has a kink here: its slope is {short(left)} to the left and {short(right)} to the right"]
    if not check.agrees:
        return [f"  backpropagation and the measured slope differ: they agree to {check.digits:.1f} digits only"]
    return [
        "  shares, others and rounding add up to the stored number to the last bit;",
        f"  it agrees with float64 to {check.engine_digits:.1f} digits, and that with the measured slope to "
        f"{check.digits:.1f}",
    ]


def who(part: Term) -> tuple[str, str]:
    """(row, activation) of a part, by name."""
    name = part.factor_name if part.factor_name not in ("1", "") else ""
    row = part.delta_name if part.row is None else f"row {part.row}"
    return row, name


def chain(found: Explanation) -> list[str]:
    """The first part's delta, opened backwards."""
    if not found.chain:
        return []
    first = found.chain[0]
    row = "" if first.row is None else f" of row {first.row}"
    lines = [f"The chain rule   the delta{row}, opened one layer at a time, down to the loss"]
    cells: list[list[str]] = []
    for opening in found.chain:
        cells += _opening(opening)
    lines += table(cells, [False, False, True, True, True])
    return [*lines, *(f"  {opening.note}" for opening in found.chain if opening.note)]


def _opening(opening: Opening) -> list[list[str]]:
    cells = [[f"dL/d {opening.name}", "", "", "", short(opening.value)]]
    if not opening.terms:
        return [*cells, [f"  by {opening.through}", "no way on: its derivative is 0 here", "", "", ""]]
    shares = aligned([term.share for term in opening.terms] + [opening.others[0]])
    for number, (term, share) in enumerate(zip(opening.terms, shares, strict=False)):
        by = f"  by {opening.through}" if number == 0 else ""
        if opening.is_loss and term.factor == 1.0:
            cells.append([by, term.delta_name.removeprefix("the loss ").partition("[")[0], "", "", share])
        else:
            cells.append([by, factor_words(opening, term), short(term.factor), f"× {short(term.delta)}", share])
    if opening.others[1]:
        cells.append(["", f"{opening.others[1]:,} others", "", "", shares[-1]])
    return cells


def factor_words(opening: Opening, term: Term) -> str:
    """What a delta is multiplied with on its way through a part."""
    if term.factor_name not in ("", "1"):
        return term.factor_name
    if opening.op and opening.at is not None:
        return f"{opening.op}′({plain(opening.at)})"
    other = f" row {term.row}" if term.row is not None and term.row != opening.row else ""
    return f"derivative{other}" if term.factor != 1.0 or other else "as it is"


def rows(found: Explanation) -> list[str]:
    """Which rows push the weight up, and which down."""
    up, down = found.rows_up(), found.rows_down()
    if not (up or down) or found.batch == 1:
        return []
    lines = ["Rows   a positive share pushes the weight down, a negative one up"]
    told = [("down", share) for share in down] + [("up", share) for share in up]
    numbers = aligned([share.share for _, share in told])
    cells = [_row_cells(word, share, number) for (word, share), number in zip(told, numbers, strict=True)]
    return [*lines, *table(cells, [False, False, True, False])]


def _row_cells(word: str, share: RowShare, number: str) -> list[str]:
    shown = ", ".join(f"{name} {value}" for name, value in list(share.cells.items())[:CELLS_SHOWN])
    more = ", …" if len(share.cells) > CELLS_SHOWN else ""
    place = f"{share.place}: {shown}{more}" if share.place else ""
    return [word, f"row {share.row}", number, place]


def update(found: Explanation) -> list[str]:
    """Gradient descent, term by term."""
    step = found.update
    if step is None:
        return []
    lines = [f"Gradient descent   {step.rule}"]
    if step.frozen:
        return [*lines, f"  the weight is frozen (η = 0): it stays {plain(step.before)}"]
    if step.scalars:
        lines.append("  " + "   ".join(f"{name} = {plain(value)}" for name, value in step.scalars.items()))
    lines += formulas(step)
    lines.append(f"  w  {exactly(step.before)} → {exactly(step.after)}, a step of {short(step.change)}")
    return lines


def formulas(step: Update) -> list[str]:
    """Each line of the rule, and below it the same in numbers."""
    lines = []
    for line in step.lines:
        lines.append(f"  {line.name} ← {line.formula}" + (f"    ({line.meaning})" if line.name != "w′" else ""))
        pad = " " * len(line.name)
        if line.numbers != plain(line.value):
            lines.append(f"  {pad} = {line.numbers}")
        lines.append(f"  {pad} = {plain(line.value)}")
    return lines
