"""Explore: what the refresh function would make of parquet, before it is dropped and without a stack.

The function's own code counts, rejects, publishes and writes the report, on an embedded PostgreSQL and an S3 inside of
this process.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import boto3
import numpy as np
import pyarrow as pa
from moto import mock_aws

from functions.common.database import Database
from functions.common.days import utc_day
from functions.common.migrations import migrate
from functions.common.settings import DatabaseSettings, load_settings
from functions.refresh.counting.cleaning import ObjectError
from functions.refresh.ledger.schema import needed_dimensions
from functions.refresh.reading.bucket import Bucket, ObjectVersion
from functions.refresh.reading.description import Description
from functions.refresh.reading.parquet_file import Columns
from functions.refresh.report.writer import LATEST
from functions.refresh.results import Summary
from functions.refresh.settings import RefreshSettings, write_names
from functions.refresh.usecases.events import Trigger
from functions.refresh.usecases.refresh import RefreshError
from functions.refresh.wiring import make_refresh
from infra import ROOT
from infra.local.objects import MAX_COUNTRIES, counted_of
from infra.local.postgres import Postgres, start_postgres
from infra.local.processes import step
from infra.local.profile import Profile
from infra.local.results import published_table
from infra.local.stack import PREFIX
from infra.words import count_of

REPORT = ROOT / ".local" / "explored.html"
"""Where the report is written."""

_BUCKET = "explored"
_TIMEOUT_SECONDS = 60
_MAX_SHOWN = 50
_MAX_OF_REASON = 10


def explore(objects: Mapping[str, Path], *, as_of: date | None, countries: str) -> bool:
    """Print what the refresh function would make of files, write its report to `REPORT`.

    Parameters
    ----------
    objects : mapping of str to Path
        The files, by the keys that they are put under; those of the dataset are explored.
    as_of : date or None
        The day to publish as of; None means today.
    countries : str
        The countries to publish, as the setting has them; empty means those that occur, the first fifty. If none
        occurs, the setting's default is taken: the function needs one to say what is wrong with the files.

    Returns
    -------
    bool
        Whether the function would count every file.

    Raises
    ------
    LocalError
        When PostgreSQL does not start.
    """
    keys = counted_of(objects)
    with embedded() as database_url:
        client = boto3.client("s3")
        client.create_bucket(Bucket=_BUCKET)
        for key, path in objects.items():
            client.upload_file(str(path), _BUCKET, key)
        columns = _needed_columns(database_url)
        bucket = Bucket(_BUCKET, PREFIX)
        versions = dict(bucket.versions())
        occurring: Counter[str] = Counter()
        for key in keys:
            print(f"\n{objects[key]}")
            _print_schema(bucket, key, versions[key], columns)
            occurring.update(_print_profile(bucket, key, versions[key], columns))
        chosen = countries or write_names(name for name, _ in occurring.most_common(MAX_COUNTRIES))
        with step("refresh, by the function's own code"):
            summary = _refresh(database_url, chosen, as_of)
        print(f"\nThe table that would be published as of {summary.as_of}:\n")
        print(published_table(database_url))
        _print_left_out(occurring, summary, is_chosen=bool(countries))
        REPORT.parent.mkdir(exist_ok=True)
        REPORT.write_bytes(client.get_object(Bucket=_BUCKET, Key=LATEST)["Body"].read())
    _print_verdict(summary, {key: objects[key] for key in keys})
    return not summary.errors


@contextmanager
def embedded() -> Iterator[str]:
    """Run PostgreSQL, and S3 for this process, whatever AWS the environment points to; give the database's address."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("AWS_")}
    folder: Path | None = None
    try:
        with step("start PostgreSQL"):
            folder, address = start_postgres()
        with mock_aws():
            os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
            boto3.setup_default_session()
            yield address.url
    finally:
        if folder:
            Postgres(folder).stop()
        os.environ.pop("AWS_DEFAULT_REGION", None)
        os.environ.update(kept)


def _needed_columns(database_url: str) -> Columns:
    settings = load_settings(DatabaseSettings, {"DATABASE_URL": database_url})
    database = Database(settings, timeout_seconds=_TIMEOUT_SECONDS)
    try:
        migrate(database)
        return needed_dimensions(database).columns
    finally:
        database.close()


def _refresh(database_url: str, countries: str, as_of: date | None) -> Summary:
    variables = {"DATABASE_URL": database_url, "BUCKET": _BUCKET, "PREFIX": PREFIX}
    settings = load_settings(RefreshSettings, variables | ({"COUNTRIES": countries} if countries else {}))
    database = Database(settings, timeout_seconds=_TIMEOUT_SECONDS)
    try:
        migrate(database)
        refresh = make_refresh(settings, database, lambda: datetime.now(UTC))
        return refresh.run(Trigger("manual", as_of or utc_day(datetime.now(UTC))))
    except RefreshError as error:
        return error.summary
    finally:
        database.close()


def _print_schema(bucket: Bucket, key: str, version: ObjectVersion, columns: Columns) -> None:
    """Print how each needed column can be read, and which columns are ignored."""
    try:
        description = bucket.describe(key, version, columns)
    except ObjectError as error:
        print(f"  refused: {error}")
        return
    for name in columns:
        print(f"  {name:<16} {_verdict(description, name)}")
    if ignored := [name for name in description.names if name not in columns]:
        more = f" and {len(ignored) - _MAX_SHOWN:,} more" if len(ignored) > _MAX_SHOWN else ""
        print(f"  ignored: {', '.join(map(ascii, ignored[:_MAX_SHOWN]))}{more}")


def _verdict(description: Description, name: str) -> str:
    if (there := description.names.count(name)) != 1:
        return "occurs twice" if there else "missing"
    try:
        description.check_type(name)
    except ObjectError as error:
        return str(error).removeprefix(f"column {name} ")
    return f"good: {description.schema.field(name).type}"


def _print_profile(bucket: Bucket, key: str, version: ObjectVersion, columns: Columns) -> Counter[str]:
    """Print how the values of an object are read; return the rows of each country."""
    profile = Profile(columns)
    try:
        for share in bucket.shares(key, version, columns, 1):
            for first_row, records in share:
                profile.add(records, first_row)
    except (ObjectError, pa.ArrowException):
        return profile.countries  # the refresh says why
    print(f"  rows: {profile.rows:,}")
    for name, rows in profile.countries.most_common(_MAX_SHOWN):
        print(f"  {rows:>12,}  {name!r}")
    if (more := len(profile.countries) - _MAX_SHOWN) > 0:
        print(f"  and {more:,} more {'country' if more == 1 else 'countries'}")
    for name, (first, last) in profile.days.items():
        print(f"  {name}: {np.datetime64(first, 'D')} to {np.datetime64(last, 'D')}")
    if nulls := [f"{name} {rows:,}" for name, rows in profile.unknown.items() if rows]:
        print(f"  null or blank, counted as 0 by default: {', '.join(nulls)}")
    _print_rejected(profile)
    return profile.countries


def _print_rejected(profile: Profile) -> None:
    """Print how many rows each reason rejects, and of each reason the most frequent values."""
    if not profile.bad:
        print("  values rejected: none")
        return
    reasons: Counter[str] = Counter()
    for bad, rows in profile.bad.items():
        reasons[bad.reason] += rows
    in_rows = ", ".join(f"{reason} {rows:,}" for reason, rows in reasons.most_common())
    print(f"  values rejected: {len(profile.bad):,} distinct; in rows: {in_rows}")
    shown: Counter[str] = Counter()
    for bad, rows in profile.bad.most_common():
        if shown[bad.reason] < _MAX_OF_REASON:
            shown[bad.reason] += 1
            print(f"  {rows:>12,}  {bad.reason}: {bad.value}, first in row {profile.first_rows[bad]:,}")
    if more := len(profile.bad) - shown.total():
        print(f"  and {count_of(more, 'more value')}")


def _print_left_out(occurring: Counter[str], summary: Summary, *, is_chosen: bool) -> None:
    """Print the countries that are counted but not in the table, and those that COUNTRIES names but no row has."""
    left_out = [name for name, _ in occurring.most_common() if name not in summary.countries]
    if left_out:
        shown = ", ".join(map(repr, left_out[:_MAX_SHOWN]))
        more = f" and {len(left_out) - _MAX_SHOWN:,} more" if len(left_out) > _MAX_SHOWN else ""
        print(f"\nLeft out of the table, though counted: {shown}{more}. COUNTRIES names those to publish.")
    if is_chosen and summary.countries_missing:
        print(f"\nCOUNTRIES: {summary.countries_missing}")


def _print_verdict(summary: Summary, files: Mapping[str, Path]) -> None:
    rejected = sum(summary.rows_rejected.values())
    in_none = ", ".join(f"{family} {rows:,}" for family, rows in summary.rows_in_no_segment.items())
    print(f"\nRows in no segment: {in_none}; rows rejected: {rejected:,}, each under its first reason")
    for reason, rows in sorted(summary.rows_rejected.items(), key=lambda found: -found[1]):
        print(f"  {rows:>12,}  {reason}")
    if summary.objects_ignored:
        more = " and others" if summary.objects_ignored > len(summary.ignored) else ""
        shown = ", ".join(summary.ignored)
        print(f"Ignored, because not part of the dataset: {summary.objects_ignored:,}: {shown}{more}")
    print(f"The report, to open in a browser: {REPORT}")
    for error in summary.errors:
        print(f"REFUSED {_with_its_path(error, files)}")
    of_rows = f"{summary.rows_counted:,} of {summary.rows_read:,} rows counted, {rejected:,} rejected"
    if summary.errors:
        print(f"REFUSED: {len(summary.errors)} of {count_of(len(files), 'file')}; of the others {of_rows}")
    else:
        print(f"ACCEPTED: {count_of(len(files), 'file')}; {of_rows}")


def _with_its_path(error: str, files: Mapping[str, Path]) -> str:
    """Replace the key in an error by the file name that the user gave."""
    key = max((key for key in files if error.startswith(f"{key}: ")), key=len, default="")
    return f"{files[key]}{error[len(key) :]}" if key else error
