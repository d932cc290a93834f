"""The families of the file that a deployment ships, read without a database."""

import re

from functions.common.dimensions import Dimension, parse_dimension
from functions.refresh.ledger import schema

_INSERT = re.compile(r"\.segment_families \(segment_name, dimension\) VALUES(.*?);", re.DOTALL)
_ROW = re.compile(r"\(\s*'([^']*)'\s*,\s*'([^']*)'\s*\)")


def shipped_families() -> dict[str, Dimension]:
    """Return the dimension of each family, by name.

    Raises
    ------
    DimensionError
        When one cannot be used.
    """
    rows = [row for found in _INSERT.findall(schema.FAMILIES_FILE.read_text()) for row in _ROW.findall(found)]
    return {name: parse_dimension(dimension) for name, dimension in sorted(rows)}
