"""Settings of a function: one typed object, read from the environment once."""

import os
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from functions.common.fields import FieldsError, read_fields

METRICS_NAMESPACE = os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or "VoucherSegmenter"
"""The namespace of every metric; each stack sets its own, so that two in one account do not mix."""

NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]


class SettingsError(Exception):
    """The environment lacks a setting or holds a wrong one; the message names each."""


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """Where PostgreSQL is and how a function signs in.

    Attributes
    ----------
    database_sign_in : {'iam', 'secret', 'password'}
        `iam` signs in to RDS with a token made from the function's role; `secret` reads the
        password from Secrets Manager; `password` uses DATABASE_PASSWORD, which a DATABASE_URL sets.
    database_secret : str
        Name or ARN of the secret, whose JSON holds `password`; needed for `secret` only.
    database_tls : {'verify', 'off'}
        `verify` checks the server's certificate and name; `off` is for a server on this machine.
    database_ca : str
        Path of a PEM file with the authorities to trust; empty means those of the system.
    """

    database_host: NonEmpty
    database_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 5432
    database_name: NonEmpty
    database_user: NonEmpty
    database_sign_in: Literal["iam", "secret", "password"]
    database_secret: str = ""
    database_password: str = ""
    database_tls: Literal["verify", "off"] = "verify"
    database_ca: str = ""
    aws_region: str = ""

    def __post_init__(self) -> None:
        if self.database_sign_in == "secret" and not self.database_secret:
            raise SettingsError("DATABASE_SECRET is missing: DATABASE_SIGN_IN is 'secret'")
        if self.database_sign_in == "password" and not self.database_password:
            raise SettingsError("DATABASE_PASSWORD is missing: DATABASE_SIGN_IN is 'password'")
        if self.database_sign_in == "iam" and not self.aws_region:
            raise SettingsError("AWS_REGION is missing: DATABASE_SIGN_IN is 'iam'")
        if self.database_sign_in == "iam" and self.database_tls == "off":
            raise SettingsError(
                "DATABASE_TLS must be 'verify': DATABASE_SIGN_IN is 'iam', and a token never travels in the clear"
            )


Settings = TypeVar("Settings", bound=DatabaseSettings)


def load_settings(model: type[Settings], environ: Mapping[str, str]) -> Settings:
    """Read and validate a function's settings.

    A DATABASE_URL replaces all DATABASE_… variables.

    Raises
    ------
    SettingsError
        When a variable is missing or wrong; the message names every one of them.
    """
    variables = dict(environ)
    if "DATABASE_URL" in variables:
        variables |= read_database_url(variables["DATABASE_URL"])
    try:
        return read_fields(model, variables)
    except FieldsError as error:
        raise SettingsError(f"environment: {error}") from error


def read_database_url(url: str) -> dict[str, str]:
    """Split a URL like `postgresql://user:password@host:5432/database?sslmode=verify-full` into settings.

    Returns
    -------
    dict of str to str
        The variables of `DatabaseSettings`. Without `sslmode=verify-full` the connection is not encrypted.

    Raises
    ------
    SettingsError
        When the scheme is another, or host, user, password or database are missing.
    """
    parts = urlsplit(url)
    variables = {
        "DATABASE_HOST": parts.hostname or "",
        "DATABASE_PORT": str(parts.port or 5432),
        "DATABASE_NAME": unquote(parts.path.removeprefix("/")),
        "DATABASE_USER": unquote(parts.username or ""),
        "DATABASE_PASSWORD": unquote(parts.password or ""),
        "DATABASE_SIGN_IN": "password",
        "DATABASE_TLS": "verify" if "sslmode=verify-full" in parts.query else "off",
    }
    if parts.scheme not in ("postgres", "postgresql") or not all(variables.values()):
        raise SettingsError("DATABASE_URL must be like postgresql://user:password@host:5432/database")
    return variables
