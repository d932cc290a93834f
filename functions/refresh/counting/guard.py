"""The guard: refuse an object with too many rejected rows, so that its earlier counts stay."""

import shlex

from functions.refresh.counting.cleaning import ObjectError
from functions.refresh.counting.rejected import show_value
from functions.refresh.counting.usage import Usage

_MAX_REASONS = 5


def check_rejected_share(key: str, usage: Usage, limit: float) -> None:
    """Check that an object does not have too many rejected rows.

    Parameters
    ----------
    key : str
        The object's key, for the command that the message ends in.
    usage : Usage
        The usage of the whole object.
    limit : float
        The share of its rows that may be rejected.

    Raises
    ------
    ObjectError
        When more are rejected; the message has the reasons, an example, and what to do.
    """
    rejected = sum(usage.rows_rejected.values())
    if rejected <= limit * usage.rows_read:
        return
    reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in usage.rows_rejected.most_common(_MAX_REASONS))
    raise ObjectError(
        f"{rejected:,} of {usage.rows_read:,} rows are rejected, which is more than MaxRejectedShare {limit:g}:"
        f" {reasons}{_example(usage)}; its earlier counts, if any, stay. If the object is right, count it with"
        f" make refresh ACCEPT={shlex.quote(key)}"
    )


def _example(usage: Usage) -> str:
    """Describe the first rejected row that is kept; empty for an object that was counted in parts, which keeps none."""
    rows = usage.rejected.table
    if rows is None:
        return ""
    row, reason = rows["row"][0].as_py(), rows["reason"][0].as_py()
    name = max((name for name in usage.dimensions.columns if reason.startswith(f"{name}_")), key=len)
    return f"; in row {row:,} {name} is {show_value(rows[name][0])}"
