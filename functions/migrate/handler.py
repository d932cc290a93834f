"""Lambda entry of the migration: brings the schema up to date, whatever the event."""

import os
from typing import Any

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions import __version__
from functions.common.database import Database
from functions.common.migrations import migrate
from functions.common.settings import DatabaseSettings, load_settings

# Bounds each statement, including the wait for refreshes that are under way.
_DATABASE_TIMEOUT_SECONDS = 240

logger = Logger(service="migrate", version=__version__)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    """Apply the migrations that are missing, and return `functions.common.migrations.Migrations` in JSON types.

    Raises
    ------
    SchemaError
        When a migration is refused; then nothing is changed.
    """
    database = Database(load_settings(DatabaseSettings, os.environ), timeout_seconds=_DATABASE_TIMEOUT_SECONDS)
    try:
        answer: dict[str, Any] = msgspec.to_builtins(migrate(database))
    finally:
        database.close()
    logger.info("migrated", extra=answer)
    return answer
