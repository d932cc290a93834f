"""Settings of the lookup API."""

from typing import Annotated

import msgspec

from functions.common.settings import DatabaseSettings

Seconds = Annotated[float, msgspec.Meta(ge=0)]


class LookupSettings(DatabaseSettings, frozen=True, kw_only=True, rename="upper"):
    """What the lookup API reads from its environment.

    Attributes
    ----------
    publication_check_seconds : float
        How long an answer may lag behind a new publication: how long the database is not asked again.
    publication_stale_seconds : float
        How long to go on answering from memory while the database is unreachable.
    commit : str
        The commit that is deployed; empty where it is not known.
    """

    publication_check_seconds: Seconds = 1
    publication_stale_seconds: Seconds = 3600
    commit: str = ""
