"""Words for what the commands print."""

from collections.abc import Mapping


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> count_of(1, "object"), count_of(2_000, "object")
    ('1 object', '2,000 objects')
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"


def losses_in_words(losses: Mapping[str, int]) -> str:
    """Return the objects that lost most rows, in brackets behind the rows that all lost.

    Examples
    --------
    >>> losses_in_words({"a.parquet": 2_000, "b.parquet": 3}), losses_in_words({})
    (' (a.parquet 2,000, b.parquet 3)', '')
    """
    return f" ({', '.join(f'{key} {rows:,}' for key, rows in losses.items())})" if losses else ""
