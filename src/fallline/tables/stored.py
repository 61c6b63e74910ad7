"""What a model file says of encoders and target, checked before anything is made of it.

A file may be damaged, or made by a stranger: whatever is wrong with it is said when it is opened, and not by
a Python error when it predicts.
"""

import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from fallline.data.dates import CYCLES, FORMATS
from fallline.data.encoders import TableEncoder
from fallline.data.text_encoder import MOST_GRAMS, MOST_SLOTS, SHAPE
from fallline.errors import ModelFileError

Check = Callable[[Any], bool]


def check_table(saved: Any) -> None:
    """Raise ModelFileError where encoders, target or notes are not as `TableModel.to_json` writes them."""
    _keys(saved, {"encoder": _is_dict, "target": _is_dict, "plan": _is_dict, "about": _is_dict}, "the model")
    optional: dict[str, Check] = {"images": _is_form} if "images" in saved["encoder"] else {}
    _keys(saved["encoder"], {"columns": _is_list, **optional}, "the encoder")
    names = [_check_column(column) for column in saved["encoder"]["columns"]]
    if not names or len(set(names)) < len(names):
        raise ModelFileError("its columns are none, or two have the same name")
    _check_target(saved["target"])


def check_widths(encoder: TableEncoder, outputs: int, saved_plan: Any) -> None:
    """Raise ModelFileError where the network's plan is of other columns or classes than the file's.

    Args:
        encoder: of the columns.
        outputs: what the target needs: one per class, or 1.
        saved_plan: the `NetworkPlan`.
    """
    if encoder.images is not None and encoder.images.points != encoder.dense_width:
        raise ModelFileError(
            f"its images have {encoder.images.points} points, but its columns are {encoder.dense_width}"
        )
    categories = [count for count, _ in saved_plan.embedded]
    texts = [(count, slots) for count, _, slots in saved_plan.bags]
    found = (
        encoder.dense_width,
        [count for _, count in encoder.embedded],
        [(count, slots) for _, count, slots in encoder.bags],
        outputs,
    )
    if found != (saved_plan.dense, categories, texts, saved_plan.outputs):
        wants = _widths(saved_plan.dense, categories, texts, saved_plan.outputs)
        raise ModelFileError(f"its network is planned for {wants}, but its columns make {_widths(*found)}")


def _widths(dense: int, categories: list[int], texts: list[tuple[int, int]], outputs: int) -> str:
    bags = f", n-grams and slots {texts}" if texts else ""
    return f"{dense} numbers, categories {categories}{bags} and {outputs} outputs"


def _check_column(saved: Any) -> str:
    what = "a column"
    _keys(saved, {"kind": lambda kind: kind in tuple(_COLUMNS), "name": _is_text}, what, others=True)
    what = f"the column {saved['name']!r}"
    _keys(saved, {"kind": _is_text, "name": _is_text, **_COLUMNS[saved["kind"]]}, what)
    if saved["kind"] == "date":
        _keys(saved["elapsed"], {"name": _is_text, **_COLUMNS["number"]}, f"a part of {what}")
    if saved["kind"] == "text":
        _check_text(saved, what)
    return str(saved["name"])


def _check_text(saved: Any, what: str) -> None:
    """Raise where n-grams, their counts and slots do not belong together."""
    hashes, counts, rows = saved["hashes"], saved["counts"], saved["rows"]
    if len(hashes) != len(counts):
        raise ModelFileError(f"{what} has {len(hashes)} n-grams, but counts of {len(counts)}")
    if counts and max(counts) > rows:
        raise ModelFileError(f"{what} has an n-gram in {max(counts)} rows, of {rows}")
    if bool(hashes) != bool(saved["slots"]):
        raise ModelFileError(f"{what} has {len(hashes)} n-grams, but {saved['slots']} slots for them")


def _check_target(saved: Any) -> None:
    _keys(saved, {"task": lambda task: task in ("classification", "regression")}, "the target", others=True)
    if saved["task"] == "classification":
        _keys(saved, {"task": _is_text, "name": _is_text, "classes": _are_classes}, "the target")
    else:
        numbers = {"mean": _is_number, "deviation": lambda value: _is_number(value) and value > 0}
        scale = {"log": _is_truth, "low": _is_bound, "high": _is_bound}
        _keys(saved, {"task": _is_text, "name": _is_text, **numbers, **scale}, "the target")
        if None not in (saved["low"], saved["high"]) and not saved["low"] <= saved["high"]:
            raise ModelFileError(f"the target's values end at {saved['high']}, below {saved['low']}, their beginning")


def _keys(saved: Any, checks: dict[str, Check], what: str, others: bool = False) -> None:
    """Every key is there and is what it should be; others only where allowed."""
    if not isinstance(saved, dict):
        raise ModelFileError(f"{what} is described by {saved!r:.40}, not by named values")
    for key, check in checks.items():
        if key not in saved:
            raise ModelFileError(f"{what} lacks {key!r}")
        if not check(saved[key]):
            raise ModelFileError(f"{what} has {key!r} {saved[key]!r:.40}, which cannot be")
    if not others and (unknown := [key for key in saved if key not in checks]):
        raise ModelFileError(f"{what} has {unknown[0]!r}, which this version does not know")


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_form(value: Any) -> bool:
    sizes = isinstance(value, list) and len(value) == 3 and all(type(size) is int and size >= 1 for size in value)
    return sizes and value[2] in (1, 3)


def _is_spread(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_bound(value: Any) -> bool:
    return value is None or _is_number(value)


def _are_labels(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value)) and len(set(value)) == len(value)


def _are_classes(value: Any) -> bool:
    kinds = str | int | float
    return isinstance(value, list) and len(value) >= 2 and all(isinstance(label, kinds) for label in value)


def _is_date_format(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value in FORMATS)


def _are_cycles(value: Any) -> bool:
    return isinstance(value, list) and value == [cycle for cycle in CYCLES if cycle in value]


def _is_count(most: int) -> Check:
    return lambda value: type(value) is int and 0 <= value <= most


def _are_hashes(value: Any) -> bool:
    whole = isinstance(value, list) and len(value) <= MOST_GRAMS and all(map(_is_count(2**32 - 1), value))
    return whole and all(a < b for a, b in pairwise(value))


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(count) is int and 0 < count < 2**53 for count in value)


def _are_statistics(value: Any) -> bool:
    def fits(pair: Any) -> bool:
        return isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair)) and pair[1] > 0

    return isinstance(value, dict) and all(part in SHAPE and fits(pair) for part, pair in value.items())


_COLUMNS: dict[str, dict[str, Check]] = {
    "number": {"mean": _is_number, "deviation": _is_spread, "indicator": _is_truth},
    "boolean": {"indicator": _is_truth},
    "pixel": {},
    "category": {"labels": _are_labels, "missing": _is_truth, "other": _is_truth, "embedded": _is_truth},
    "date": {"format": _is_date_format, "elapsed": _is_dict, "cycles": _are_cycles, "indicator": _is_truth},
    "text": {
        "hashes": _are_hashes,
        "counts": _are_counts,
        "rows": _is_count(2**53),
        "slots": _is_count(MOST_SLOTS),
        "shape": _are_statistics,
        "indicator": _is_truth,
    },
}
