"""What is published, for people: tables as psql prints them, and sentences on how sure and how complete they are."""

import subprocess
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from pg8000.native import Connection

from functions.common.ranking import rank
from functions.refresh.publishing.rankings import read_rankings
from infra.local.postgres import PSQL
from infra.local.processes import LocalError

_PUBLISHED_TABLE = """
    SELECT * FROM voucher_customer.voucher_segments ORDER BY country_code, segment_name DESC, index
"""

_AS_OF = "SELECT as_of FROM voucher_customer.publication JOIN voucher_customer.refreshes USING (refresh_id)"

_RECORDS = "SELECT sum(rows_read)::bigint, sum(rows_counted)::bigint FROM voucher_customer.ledger"

_REASONS = """
    SELECT reason, sum(rows::bigint)::bigint FROM voucher_customer.ledger,
        jsonb_each_text(rows_rejected) AS rejected (reason, rows)
    GROUP BY reason ORDER BY 2 DESC, reason
"""

_UNKNOWN = """
    SELECT name, sum(rows::bigint)::bigint FROM voucher_customer.ledger,
        jsonb_each_text(values_defaulted) AS defaulted (name, rows)
    GROUP BY name HAVING sum(rows::bigint) > 0 ORDER BY 2 DESC, name
"""


def published_table(database_url: str) -> str:
    """Return the published table as psql prints it.

    Raises
    ------
    LocalError
        When psql fails.
    """
    return query(database_url, _PUBLISHED_TABLE)


def query(database_url: str, text: str) -> str:
    """Return the answer to a query as psql prints it.

    Raises
    ------
    LocalError
        When psql fails.
    """
    command = [str(PSQL), database_url, "--no-psqlrc", "--pset=pager=off", "--command", text]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise LocalError(f"psql: {done.stderr.strip()}")
    return done.stdout.rstrip("\n")


def most_used(rows: Iterable[Sequence[Any]]) -> str:
    """Return the most used amounts of every segment and how sure they are, as a table for people.

    Parameters
    ----------
    rows : iterable of sequences
        Country, family, segment, amount and count, those of a segment together.
    """
    table = [("country", "family", "segment", "most used", "times", "of", "how sure")]
    for (country, family, segment), counts in groupby(rows, key=lambda row: (row[0], row[1], row[2])):
        ranked = rank((int(amount), int(count)) for *_, amount, count in counts)
        amounts, doubt = " and ".join(map(str, ranked.most_used.voucher_amount)), ranked.doubt
        sure = "" if doubt.decided else "undecided: tied" if doubt.lead == 0 else f"undecided: {doubt.lead:,} more"
        table.append((country, family, segment, amounts, f"{ranked.most_used.count:,}", f"{ranked.vouchers:,}", sure))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [" | ".join(field.ljust(width) for field, width in zip(line, widths, strict=True)) for line in table]
    rule = "-+-".join("-" * width for width in widths)
    return "\n".join([f" {lines[0]}", f"-{rule}-", *(f" {line}".rstrip() for line in lines[1:])])


def verdict(connection: Connection) -> str:
    """Say how many records were counted, why others were not, and what is undecided and unknown of the publication."""
    [[read, counted]] = connection.run(_RECORDS)
    reasons = connection.run(_REASONS)
    unknown = connection.run(_UNKNOWN)
    [[as_of]] = connection.run(_AS_OF)
    rankings = read_rankings(connection)
    why = ", ".join(f"{reason} {rows:,}" for reason, rows in reasons)
    said = f"{read - counted:,} of {read:,} records rejected: {why}" if why else f"all {read:,} records counted"
    undecided = sum(not (ranking.doubt and ranking.doubt.decided) for ranking in rankings)
    shares = ", ".join(f"{rows / counted:.1%} of {name}" for name, rows in unknown) or "nothing"
    return (
        f"{said}; as of {as_of} undecided: {undecided} of {len(rankings)} segments;"
        f" unknown in all counted records: {shares}"
    )


def in_words(explained: dict[str, Any]) -> str:
    """Say in one line how sure an explained answer is."""
    amounts = ", ".join(f"{amount:.0f}" for amount in explained["voucher_amount"])
    each = " each" if len(explained["voucher_amount"]) > 1 else ""
    doubt = explained["doubt"]
    if doubt["decided"]:
        verdict = f"Decided: z is {doubt['z']}, at least 1.96."
    elif doubt["z"] < 1.96:
        verdict = f"Undecided: z is {doubt['z']}, below 1.96."
    else:
        verdict = "Undecided: the two leading amounts have fewer than 30 vouchers."
    return (
        f"Most used: {amounts}, by {explained['count']:,} vouchers{each} ({explained['share']:.1%}),"
        f" {doubt['lead']:,} more than the next amount ({doubt['lead_share']:.1%}). {verdict}"
        f"{_unknown_in_words(explained['unknown'])}"
    )


def _unknown_in_words(unknown: dict[str, float] | None) -> str:
    if unknown is None:
        return ""
    return (
        f" Unknown in this segment: {unknown['amount_share']:.1%} of amounts, {unknown['number_share']:.1%} of numbers."
    )
