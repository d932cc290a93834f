"""Write the report's page to the bucket after a publication."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from functions.common.database import Database
from functions.refresh.report.compute import compute_figures
from functions.refresh.report.queries import published_refresh, read_facts
from functions.refresh.report.render import render
from functions.refresh.settings import REPORTS_PREFIX

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LATEST = f"{REPORTS_PREFIX}latest.html"

REFRESH_ID = "refresh-id"
"""The metadata of a page that names the refresh whose publication it shows."""

# Others may publish while a page is written. Each of them writes a page too, so a few attempts are enough.
_ATTEMPTS = 5

# A page is not worth the time of a run that has published.
_CLIENT = Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 2})


class ReportOutdatedError(Exception):
    """Other runs published each time while the page was written; the last of them writes the page that stays."""


@dataclass(frozen=True)
class Reports:
    """Writes the report's pages to the bucket that holds the dataset."""

    database: Database
    bucket: str

    @cached_property
    def _client(self) -> "S3Client":
        return boto3.client("s3", config=_CLIENT)

    def write(self) -> str:
        """Write what is published now as the latest page and as the page of its as-of day.

        Another run may publish and write its page before this page arrives, which would then replace a newer one. So
        the run checks afterwards whether its page still shows the current publication, and otherwise writes again.

        Returns
        -------
        str
            The key of the day's page; empty when nothing is published.

        Raises
        ------
        ReportOutdatedError
            When other runs publish again and again meanwhile.
        botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError
            When S3 refuses the page.
        functions.common.database.StatementError
            When the figures cannot be read.
        """
        for _ in range(_ATTEMPTS):
            facts = read_facts(self.database)
            if facts is None:
                return ""
            page = render(compute_figures(facts))
            key = f"{REPORTS_PREFIX}{facts.as_of}.html"
            with ThreadPoolExecutor(2) as both:
                list(both.map(partial(self._put, page, facts.refresh_id), (key, LATEST)))
            with self.database.transaction() as connection:
                if published_refresh(connection) == facts.refresh_id:
                    return key
        raise ReportOutdatedError(f"others published {_ATTEMPTS} times while it was written")

    def _put(self, page: bytes, refresh_id: int, key: str) -> None:
        self._client.put_object(
            Bucket=self.bucket,
            Key=key,
            Body=page,
            ContentType="text/html; charset=utf-8",
            CacheControl="no-cache",
            Metadata={REFRESH_ID: str(refresh_id)},
        )
