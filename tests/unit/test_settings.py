"""Settings: typed, and every fault named at once."""

from argparse import ArgumentTypeError

import msgspec
import pytest

from chalicelib.settings import LookupSettings
from functions.common.fields import FieldsError, read_fields
from functions.common.settings import DatabaseSettings, SettingsError, load_settings
from functions.refresh.settings import RefreshSettings
from infra import ROOT
from infra.arguments import country_names

GOOD = {
    "AWS_REGION": "us-east-1",
    "BUCKET": "b",
    "COUNTRIES": "Peru, China,",
    "DATABASE_HOST": "db.example",
    "DATABASE_PORT": "6543",
    "DATABASE_NAME": "vouchers",
    "DATABASE_USER": "refresh",
    "DATABASE_SIGN_IN": "iam",
    "PATH": "/bin",
}


def test_settings_are_typed_and_defaults_apply() -> None:
    settings = load_settings(RefreshSettings, GOOD)
    assert settings.database_port == 6543
    assert settings.prefix == "vouchers/"
    assert settings.database_tls == "verify"
    assert settings.published_countries == ["Peru", "China"]


def test_the_lookup_asks_for_another_publication_every_five_seconds_and_does_without_for_an_hour() -> None:
    settings = load_settings(LookupSettings, GOOD)
    assert (settings.publication_check_seconds, settings.publication_stale_seconds) == (1, 3600)
    settings = load_settings(LookupSettings, {**GOOD, "PUBLICATION_CHECK_SECONDS": "0"})
    assert settings.publication_check_seconds == 0
    with pytest.raises(SettingsError, match="PUBLICATION_STALE_SECONDS: "):
        load_settings(LookupSettings, {**GOOD, "PUBLICATION_STALE_SECONDS": "-0.5"})


@pytest.mark.parametrize("names", [",", ";", " ; "])
def test_countries_that_name_none_are_refused(names: str) -> None:
    with pytest.raises(SettingsError, match=r"COUNTRIES .* names no country"):
        load_settings(RefreshSettings, {**GOOD, "COUNTRIES": names})
    with pytest.raises(ArgumentTypeError, match="names no country"):
        country_names(names)
    assert country_names("") == ""


def test_every_missing_or_wrong_variable_is_named() -> None:
    bad = {**GOOD, "DATABASE_PORT": "http", "DATABASE_SIGN_IN": "kerberos", "DATABASE_USER": ""}
    del bad["DATABASE_HOST"]
    with pytest.raises(SettingsError) as error:
        load_settings(DatabaseSettings, bad)
    for name in ("DATABASE_HOST: is missing", "DATABASE_PORT: ", "DATABASE_SIGN_IN: ", "DATABASE_USER: "):
        assert name in str(error.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"DATABASE_SIGN_IN": "secret"}, "DATABASE_SECRET is missing"),
        ({"DATABASE_SIGN_IN": "password"}, "DATABASE_PASSWORD is missing"),
        ({"PREFIX": ""}, "PREFIX '' includes 'rejected/', where the function writes"),
        ({"PREFIX": "re"}, "PREFIX 're' includes 'rejected/re', where the function writes"),
        ({"PREFIX": "reports/"}, "PREFIX 'reports/' includes 'reports/'"),
        ({"PREFIX": "p"}, "PREFIX 'p' includes 'plans/'"),
        ({"AWS_REGION": ""}, "AWS_REGION is missing"),
        ({"DATABASE_TLS": "off"}, "DATABASE_TLS must be 'verify'"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        load_settings(RefreshSettings, {**GOOD, **changes})


class Voucher(msgspec.Struct):
    amount: int
    country: str = "Peru"


def test_fields_take_numbers_from_text_ignore_the_unknown_and_keep_defaults() -> None:
    assert read_fields(Voucher, {"amount": "15", "colour": "red"}) == Voucher(15, "Peru")


def test_fields_name_every_problem() -> None:
    with pytest.raises(FieldsError) as error:
        read_fields(Voucher, {"country": 7})
    assert [problem.field for problem in error.value.problems] == ["amount", "country"]


def test_the_template_sets_every_variable_that_is_needed() -> None:
    template = (ROOT / "template.yaml").read_text()
    elsewhere = {"AWS_REGION", "DATABASE_PASSWORD"}  # Lambda's own; only ever out of a DATABASE_URL
    for model in (RefreshSettings, LookupSettings):
        for field in msgspec.structs.fields(model):
            assert field.encode_name in elsewhere or f"{field.encode_name}:" in template


def test_a_database_url_says_it_all() -> None:
    url = "postgresql://me%40home:p%2Fw@db.example:6543/vouchers?sslmode=verify-full"
    settings = load_settings(DatabaseSettings, {"DATABASE_URL": url})
    assert (settings.database_user, settings.database_password) == ("me@home", "p/w")
    assert (settings.database_host, settings.database_port) == ("db.example", 6543)
    assert (settings.database_name, settings.database_tls) == ("vouchers", "verify")


@pytest.mark.parametrize("url", ["", "db.example", "mysql://a:b@c/d", "postgresql://a@c/d", "postgresql://a:b@c"])
def test_a_database_url_that_lacks_something_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="must be like postgresql://"):
        load_settings(DatabaseSettings, {"DATABASE_URL": url})
