"""The families of the file that a deployment ships, read without a database."""

import re

from functions.common.dimensions import Dimension, parse_dimension
from infra import ROOT

FAMILIES_FILE = ROOT / "infra" / "sql" / "customer_segments.sql"

_INSERT = re.compile(r"\.segment_families \(segment_name, dimension\) VALUES(.*?);", re.DOTALL)
_ROW = re.compile(r"\(\s*'([^']*)'\s*,\s*'([^']*)'\s*\)")


def shipped_families() -> dict[str, Dimension]:
    """Return the dimension of each family, by name.

    Raises
    ------
    DimensionError
        When one cannot be used.
    """
    rows = [row for found in _INSERT.findall(FAMILIES_FILE.read_text()) for row in _ROW.findall(found)]
    return {name: parse_dimension(dimension) for name, dimension in sorted(rows)}
