"""Numbers as people say them: the same on the terminal and in the report."""

import math


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: 1 row, 344 rows, 1,234 rows."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(numbers: float) -> str:
    """Bytes as people say them."""
    for unit in ("bytes", "kB", "MB"):
        if numbers < 1000:
            return f"{numbers:.0f} {unit}" if unit == "bytes" else f"{numbers:.3g} {unit}"
        numbers /= 1000
    return f"{numbers:.3g} GB"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def percent(share: float) -> str:
    """A share of 1 in per cent: 83.2 %."""
    return f"{100 * share:.1f} %"


def metric_value(name: str, value: float) -> str:
    """A score with the digits that mean something."""
    if name in ("accuracy", "balanced_accuracy"):
        return percent(value)
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"


METRIC_NAMES = {"roc_auc": "ROC AUC", "rmse": "RMSE", "mae": "MAE", "r2": "R²"}
"""Metrics whose names are not words."""


def metric_name(name: str) -> str:
    """A metric as people write it: log loss, ROC AUC, R²."""
    return METRIC_NAMES.get(name, name.replace("_", " "))


def plain(value: float, digits: int = 4) -> str:
    """A number from the data, short: 0.25, 1500, 12,345, −2, 3.2e+09."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if 1e4 <= abs(value) < 1e9:
        shown = f"{value:,.0f}"
    else:
        shown = f"{value:.0f}" if value == int(value) and abs(value) < 1e4 else f"{value:.{digits}g}"
    return shown.replace("-", "−")
