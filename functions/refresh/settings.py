"""Settings of the refresh function."""

import re
from collections.abc import Iterable
from typing import Annotated

import msgspec

from functions.common.settings import DatabaseSettings, NonEmpty, SettingsError


class RefreshSettings(DatabaseSettings, frozen=True, kw_only=True, rename="upper"):
    """What the refresh function reads from its environment.

    Attributes
    ----------
    bucket : str
        The bucket that holds the dataset.
    prefix : str
        Keys of the dataset begin with it.
    rejected_prefix : str
        Keys of rejected rows begin with it, then go on with the key of their object.
    reports_prefix : str
        Keys of the report's pages begin with it.
    countries : str
        The countries to publish, as `read_names` takes them apart.
    plan_prefix : str
        Keys of plans begin with it.
    inline_bytes : int
        What one run takes upon itself; what is more is a backlog, which many functions count item by item.
    item_bytes : int
        How large an item of a backlog is, more or less.
    """

    bucket: NonEmpty
    prefix: str = "vouchers/"
    rejected_prefix: str = "rejected/"
    reports_prefix: str = "reports/"
    countries: NonEmpty = "Peru"
    plan_prefix: str = "plans/"
    inline_bytes: Annotated[int, msgspec.Meta(ge=0)] = 10 * 2**30
    item_bytes: Annotated[int, msgspec.Meta(ge=1)] = 256 * 2**20

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, prefix, first_key, why in (
            # Rejected rows lie under the key of their object.
            (
                "REJECTED",
                self.rejected_prefix,
                self.rejected_prefix + self.prefix,
                "rejected rows would be counted again",
            ),
            ("PLAN", self.plan_prefix, self.plan_prefix, "every plan would start a refresh"),
            ("REPORTS", self.reports_prefix, self.reports_prefix, "each page would start the next refresh"),
        ):
            if first_key.startswith(self.prefix):
                raise SettingsError(
                    f"{name}_PREFIX {prefix!r} must lie outside the dataset, PREFIX {self.prefix!r}: {why}"
                )

    @property
    def published_countries(self) -> list[str]:
        """The countries to publish, in the order given."""
        return read_names(self.countries)


def read_names(text: str) -> list[str]:
    """Take names apart that are separated by commas, or by semicolons where there is one.

    A name in double quotes is taken as it is.

    Examples
    --------
    >>> read_names("Peru, China")
    ['Peru', 'China']
    >>> read_names("Bolivia, Plurinational State of; Peru")
    ['Bolivia, Plurinational State of', 'Peru']
    """
    separator = ";" if ";" in text else ","
    found = re.findall(rf'\s*(?:"((?:[^"]|"")+)"|([^{separator}]*))\s*(?:{separator}|$)', text)
    names = [quoted.replace('""', '"') or plain.strip() for quoted, plain in found]
    return [name for name in names if name]


def write_names(names: Iterable[str]) -> str:
    """Put names together so that `read_names` takes them apart again, whatever they hold."""
    return ";".join('"' + name.replace('"', '""') + '"' for name in names) + ";"
