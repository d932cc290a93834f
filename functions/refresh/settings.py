"""Settings of the refresh function."""

import re
from collections.abc import Iterable
from typing import Annotated

import msgspec

from functions.common.settings import DatabaseSettings, NonEmpty, SettingsError

# Not settings: the policies and the lifecycle rules of the templates name them too.
REJECTED_PREFIX = "rejected/"
"""Keys of rejected rows begin with it, then go on with the key of their object."""

REPORTS_PREFIX = "reports/"
"""Keys of the report's pages begin with it."""

PLANS_PREFIX = "plans/"
"""Keys of plans begin with it."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class RefreshSettings(DatabaseSettings, frozen=True, kw_only=True, rename="upper"):
    """What the refresh function reads from its environment.

    Attributes
    ----------
    bucket : str
        The bucket that holds the dataset.
    prefix : str
        Keys of the dataset begin with it.
    countries : str
        The countries to publish, separated as `read_names` says.
    inline_bytes : int
        The most that one run counts; more is a backlog, which many functions count item by item.
    item_bytes : int
        The approximate size of a work item.
    max_rejected_share : float
        An object with a larger share of rejected rows is refused, so that its earlier counts stay.
    max_lost_share : float
        If a run takes away more than this share of a country's records, it reports the country.
    unknown_amount_is_used : bool
        Whether an unknown amount is published as 0, and may be the most used one.
    unknown_number_has_segment : bool
        Whether an unknown number is 0, and belongs to a segment.
    commit : str
        The commit that is deployed; empty where it is not known.
    """

    bucket: NonEmpty
    prefix: str = "vouchers/"
    countries: NonEmpty = "Peru"
    inline_bytes: Annotated[int, msgspec.Meta(ge=0)] = 10 * 2**30
    item_bytes: Annotated[int, msgspec.Meta(ge=1)] = 256 * 2**20
    max_rejected_share: Share = 0.5
    max_lost_share: Share = 0.5
    unknown_amount_is_used: bool = True
    unknown_number_has_segment: bool = True
    commit: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.published_countries:
            raise SettingsError(f"COUNTRIES {self.countries!r} names no country: write them like Peru,China")
        # The key of rejected rows contains that of their object.
        for first_key in (REJECTED_PREFIX + self.prefix, REPORTS_PREFIX, PLANS_PREFIX):
            if first_key.startswith(self.prefix):
                raise SettingsError(
                    f"PREFIX {self.prefix!r} includes {first_key!r}, where the function writes: choose another prefix"
                )

    @property
    def published_countries(self) -> list[str]:
        """The countries to publish, in the order given."""
        return read_names(self.countries)


def read_names(text: str) -> list[str]:
    """Split names at commas, or at semicolons if the text has one.

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
    """Join names so that `read_names` returns them again, whatever characters they have; empty without names."""
    return "".join('"' + name.replace('"', '""') + '";' for name in names)
