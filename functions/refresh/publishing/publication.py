"""Publication: usage totals and segment rules become the published table, as of a day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

import msgspec
from pg8000.native import Connection

from functions.common.database import Database
from functions.common.dimensions import UNKNOWN_APART, combine
from functions.common.families import Family
from functions.common.ranking import changed_rankings
from functions.refresh.ledger.completeness import Lacking, count_lacking, forget_needless_errors
from functions.refresh.ledger.schema import count_wrong_rows, load_families, lock, read_families
from functions.refresh.publishing.causes import Basis, count_causes, explain, keep_changes, read_basis
from functions.refresh.publishing.countries import describe_missing
from functions.refresh.publishing.losses import keep_records
from functions.refresh.publishing.placing import place_totals
from functions.refresh.publishing.rankings import read_rankings
from functions.refresh.publishing.unknowns import (
    AS_ZERO,
    UnknownRules,
    count_by_segment,
    count_wrong_unknowns,
    publish_unknowns,
)
from functions.refresh.results import BY_HAND, Kind, RefreshRow, Summary

_DUE = f"""
    WITH due AS (
        SELECT row_number() OVER (
                   PARTITION BY country_code, segment_name ORDER BY min_range, voucher_amount
               ) - 1, min_range, max_range, segment_name, voucher_amount, count, country_code, segment_type
        FROM ({count_by_segment()}) AS counted
    )
"""  # noqa: S608 - made of constants

_PUBLISH = "INSERT INTO voucher_customer.voucher_segments TABLE due"

_SET_PUBLICATION = """
    INSERT INTO voucher_customer.publication (refresh_id, unknown_amount_is_used, unknown_number_has_segment)
    VALUES (:refresh_id, :amount_is_used, :number_has_segment)
    ON CONFLICT (only_row) DO UPDATE SET
        (refresh_id, unknown_amount_is_used, unknown_number_has_segment)
        = (excluded.refresh_id, excluded.unknown_amount_is_used, excluded.unknown_number_has_segment)
"""

_LATEST = """
    SELECT refresh_id, as_of, countries, unknown_amount_is_used, unknown_number_has_segment, EXISTS (
        SELECT FROM voucher_customer.refreshes WHERE outcome = 'running' AND started_at > :since
    )
    FROM voucher_customer.publication JOIN voucher_customer.refreshes USING (refresh_id)
"""

# As long as Lambda lets a function run: an older run was killed.
_LONGEST_RUN = timedelta(minutes=15)

# If a day is published again, the latest publication counts.
_KEEP_RANKINGS = """
    INSERT INTO voucher_customer.rankings (as_of, refresh_id, rankings, changes)
    VALUES (:as_of, :refresh_id, CAST(:rankings AS json), CAST(:changes AS json))
    ON CONFLICT (as_of) DO UPDATE SET
        (refresh_id, rankings, changes) = (excluded.refresh_id, excluded.rankings, excluded.changes)
"""

# Every field of the row, as JSON: PostgreSQL converts each to the type of its column.
_COLUMNS = ", ".join(name for name in [*RefreshRow.__struct_fields__, "error"] if name not in ("refresh_id", "errors"))
_FINISH = f"""
    UPDATE voucher_customer.refreshes SET ({_COLUMNS}) = (
        SELECT {_COLUMNS} FROM jsonb_populate_record(CAST(NULL AS voucher_customer.refreshes), CAST(:row AS jsonb))
    )
    WHERE refresh_id = :refresh_id
"""  # noqa: S608 - made of constants


class PublishedTable(NamedTuple):
    """The published table, compared with the totals.

    Attributes
    ----------
    refresh_id : int
        The refresh that made it.
    as_of : date
        Its as-of day.
    rows_different : int
        Rows that should not be there, and rows that are missing.
    is_followed : bool
        Whether another refresh is under way, which publishes when it ends.
    """

    refresh_id: int
    as_of: date
    rows_different: int
    is_followed: bool


@dataclass(frozen=True)
class Publications:
    """Writes the published table and the log of refreshes."""

    database: Database
    unknowns: UnknownRules = AS_ZERO
    max_lost_share: float = 1

    def start(self, kind: Kind, as_of: date, countries: Sequence[str], now: datetime) -> Summary:
        """Note that a refresh began."""
        with self.database.transaction() as connection:
            [[refresh_id]] = connection.run(
                "INSERT INTO voucher_customer.refreshes (trigger, as_of, started_at, outcome)"
                " VALUES (:kind, :as_of, :now, 'running') RETURNING refresh_id",
                kind=kind, as_of=as_of, now=now,
            )  # fmt: skip
        return Summary(refresh_id=refresh_id, trigger=kind, as_of=as_of, countries=list(countries), started_at=now)

    def publish(self, summary: Summary, now: datetime) -> None:
        """Replace the published table and finish the refresh, in one transaction.

        An automatic run never publishes as of an earlier day than an automatic run before it: events come late and out
        of order. A family whose dimension counted objects lack is left out, and named in the summary.

        Raises
        ------
        SegmentRulesError
            When the rules contradict themselves; the published table stays.
        """
        with self.database.transaction() as connection:
            lock(connection)
            if summary.trigger not in BY_HAND:
                summary.as_of = max(summary.as_of, _latest_automatic_day(connection) or summary.as_of)
            basis = read_basis(connection)
            families, is_apart = _complete_families(connection, summary)
            placed, unplaced = place_totals(connection, families, summary.countries, summary.as_of, self.unknowns)
            before = read_rankings(connection)
            summary.as_of_before = basis.as_of if basis else None
            connection.run("DELETE FROM voucher_customer.voucher_segments")
            connection.run(_DUE + _PUBLISH, **placed)
            summary.rows_published = connection.row_count
            summary.unknown = publish_unknowns(connection, families, placed, is_apart=is_apart)
            summary.rows_in_no_segment = unplaced
            summary.rankings = read_rankings(connection)
            summary.rankings_changed = explain(
                connection, changed_rankings(before, summary.rankings), basis,
                Basis(families, summary.countries, summary.as_of, self.unknowns),
            )  # fmt: skip
            summary.causes = count_causes(summary.rankings_changed)
            keep_changes(connection, summary.rankings_changed, summary.refresh_id, summary.as_of)
            summary.countries_shrunk = keep_records(connection, self.max_lost_share)
            summary.countries_missing = describe_missing(connection, summary.countries)
            connection.run(_SET_PUBLICATION, refresh_id=summary.refresh_id, **self.unknowns._asdict())
            connection.run(
                _KEEP_RANKINGS, as_of=summary.as_of, refresh_id=summary.refresh_id,
                rankings=_json(summary.rankings), changes=_json(summary.rankings_changed),
            )  # fmt: skip
            _finish(connection, summary, now, published=True)

    def compare(self, now: datetime) -> PublishedTable | None:
        """Compare the published table with what the totals give as of its day; None when nothing is published."""
        with self.database.transaction() as connection:
            lock(connection)
            found = connection.run(_LATEST, since=now - _LONGEST_RUN)
            if not found:
                return None
            [[refresh_id, as_of, countries, *rules, is_followed]] = found
            unknowns, families = UnknownRules(*rules), read_families(connection)
            placed, _ = place_totals(connection, families, countries, as_of, unknowns)
            [[rows_different]] = connection.run(_DUE + count_wrong_rows("voucher_segments"), **placed)
            rows_different += count_wrong_unknowns(connection, families, placed)
        return PublishedTable(refresh_id, as_of, rows_different, is_followed)

    def fail(self, summary: Summary, now: datetime) -> None:
        """Finish a refresh that did not publish."""
        with self.database.transaction() as connection:
            _finish(connection, summary, now, published=False)


def _latest_automatic_day(connection: Connection) -> date | None:
    [[day]] = connection.run(
        "SELECT max(as_of) FROM voucher_customer.refreshes"
        " WHERE published_at IS NOT NULL AND trigger <> ALL (CAST(:by_hand AS text[]))",
        by_hand=list(BY_HAND),
    )
    return day  # type: ignore[no-any-return]


def _is_apart(lacking: Mapping[str, Lacking]) -> bool:
    """Return whether unknown values are counted apart in all objects that can be counted again."""
    return UNKNOWN_APART not in lacking or not lacking[UNKNOWN_APART].waiting


def _complete_families(connection: Connection, summary: Summary) -> tuple[list[Family], bool]:
    """Load the families, leave out those whose dimension counted objects lack, and name them in the summary.

    Returns
    -------
    list of Family, bool
        The families, and whether all unknown values are counted apart.
    """
    families = load_families(connection)
    needed = combine(family.dimension for family in families)
    forget_needless_errors(connection, needed)
    lacking = count_lacking(connection, needed)
    for family in families:
        waiting, refused = lacking.get(str(family.dimension), (0, 0))
        if waiting:
            summary.families_waiting[family.segment_name] = waiting
        elif refused:
            summary.families_partial[family.segment_name] = refused
    for table in ("segment_families", "customer_segments") if summary.families_waiting else ():
        connection.run(
            f"DELETE FROM voucher_customer.{table} WHERE segment_name = ANY (CAST(:waiting AS text[]))",  # noqa: S608
            waiting=list(summary.families_waiting),
        )
    complete = [family for family in families if family.segment_name not in summary.families_waiting]
    return complete, _is_apart(lacking)


def _finish(connection: Connection, summary: Summary, now: datetime, *, published: bool) -> None:
    summary.took_ms = round((now - summary.started_at).total_seconds() * 1000)
    summary.published_at = now if published else None
    summary.outcome = "published" if published else "failed"
    row = {name: getattr(summary, name) for name in RefreshRow.__struct_fields__ if name != "errors"}
    row["error"] = "\n".join(summary.errors) or None
    connection.run(_FINISH, refresh_id=summary.refresh_id, row=_json(row))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
