"""Words for what the commands print."""


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> count_of(1, "object"), count_of(2_000, "object")
    ('1 object', '2,000 objects')
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"
