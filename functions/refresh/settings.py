"""Settings of the refresh function."""

from functions.common.settings import DatabaseSettings, NonEmpty


class RefreshSettings(DatabaseSettings, frozen=True, kw_only=True, rename="upper"):
    """What the refresh function reads from its environment.

    Attributes
    ----------
    bucket : str
        The bucket that holds the dataset.
    prefix : str
        Keys of the dataset begin with it.
    countries : str
        The countries to publish, separated by commas.
    """

    bucket: NonEmpty
    prefix: str = "vouchers/"
    countries: NonEmpty = "Peru"

    @property
    def published_countries(self) -> list[str]:
        """The countries to publish, in the order given."""
        return [name.strip() for name in self.countries.split(",") if name.strip()]
