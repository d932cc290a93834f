"""Questions to a deployed stack that change nothing: why, a slice, what if. Each prints the answer."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, date
from pathlib import Path

import msgspec
from pg8000.exceptions import DatabaseError

from functions.common.families import SegmentKey
from functions.common.ranking import Doubt, RankingChange
from functions.refresh.settings import read_names
from functions.refresh.usecases.slices import Slice, SliceAnswer
from functions.refresh.usecases.what_if import WhatIf
from functions.refresh.usecases.why import Why
from infra.local.postgres import Postgres, start_postgres
from infra.operations.deployed import Deployed, OperationError
from infra.words import count_of

_FAMILIES = "SELECT segment_name, dimension FROM voucher_customer.segment_families"
_SEGMENTS = "SELECT segment_name, segment_type, min_range, max_range FROM voucher_customer.customer_segments"
_TABLES = """
    CREATE SCHEMA voucher_customer;
    CREATE TABLE voucher_customer.segment_families (segment_name text NOT NULL, dimension text NOT NULL);
    CREATE TABLE voucher_customer.customer_segments (
        segment_name text NOT NULL, segment_type text NOT NULL, min_range integer NOT NULL, max_range integer NOT NULL
    );
"""


def why(stack: Deployed, segment: str, countries: str) -> None:
    """Print the latest changes of a segment's most used amounts, why they came, and by which objects.

    Raises
    ------
    OperationError
        When more than one country is named.
    """
    names = read_names(countries)
    if len(names) > 1:
        raise OperationError(f"COUNTRIES: {countries!r} names {len(names)} countries; name one, or none for all")
    asked = {"why": segment} | ({"country_code": names[0]} if names else {})
    found = msgspec.convert(stack.invoke_refresh(asked), Why)
    for change in found.changes:
        print(
            f"refresh {change.refresh_id} at {change.published_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC,"
            f" as of {change.as_of}: {_change_text(change)}: {', '.join(_CAUSES[cause] for cause in change.causes)}"
        )
        for one in change.objects:
            print(
                f"  {one.vouchers:+,} vouchers by {one.key}: {one.etag_before or 'nothing'} -> {one.etag or 'nothing'}"
            )
    if not found.changes:
        print(f"the most used amounts of {segment} have not changed since the first recorded publication")


_CAUSES = {
    "first_publication": "first publication",
    "countries": "the published countries changed",
    "rules": "the rules changed",
    "as_of": "the as-of day moved",
    "data": "the data changed",
}


def show_slice(stack: Deployed, prefix: str, against: str | None) -> None:
    """Print the table of the objects under a prefix, compared with another prefix if one is named."""
    asked = {"slice": prefix, **({"against": against} if against else {})}
    found = msgspec.convert(stack.invoke_refresh(asked), SliceAnswer)
    others = _most_used(found.against) if found.against else {}
    rows = []
    for one in found.slice.segments:
        place = one.segment_key
        row = [*place, _amounts(one.voucher_amount), f"{one.vouchers:,}", _in_words(one.doubt)]
        if found.against:
            row += [others.pop(place, "no voucher"), "-" if one.drift is None else f"{one.drift:.4f}"]
        rows.append(row)
    rows += [[*place, "no voucher", "0", "-", reason, "-"] for place, reason in others.items()]
    headings = ["country", "family", "segment", "most used", "vouchers", "doubt"]
    print_table([*headings, *(["against", "drift"] if found.against else [])], rows)
    for part in filter(None, (found.slice, found.against)):
        counted = f"{count_of(part.objects, 'object')}, {count_of(part.rows_counted, 'row')}"
        print(f"{part.prefix}: {counted}, as of {found.as_of}")


def what_if(stack: Deployed, rules: Path, as_of: date | None, countries: str) -> None:
    """Print the table that the rules of a file would give, what would change, and other places to cut.

    Raises
    ------
    OperationError
        When the file cannot be read or is not valid SQL.
    """
    families, segments = read_rules(rules)
    asked: dict[str, object] = {"what_if": {"families": families, "segments": segments}}
    asked |= {"as_of": as_of.isoformat()} if as_of else {}
    asked |= {"countries": names} if (names := read_names(countries)) else {}
    found = msgspec.convert(stack.invoke_refresh(asked), WhatIf)
    print_table(
        ["country", "family", "segment", "range", "most used", "vouchers", "doubt"],
        [
            [
                one.country_code, one.segment_name, one.segment_type, f"{one.min_range}-{one.max_range}",
                _amounts(one.voucher_amount), f"{one.vouchers:,}", _in_words(one.doubt),
            ]
            for one in found.segments
        ],
    )  # fmt: skip
    print(f"\nwhat would be published as of {found.as_of} for {', '.join(found.countries)}; nothing was written")
    _print_consequences(found)


def _print_consequences(found: WhatIf) -> None:
    for name, rows in found.rows_in_no_segment.items():
        print(f"{name}: {rows:,} records in no segment")
    for name, objects in found.not_counted.items():
        lacking = "lacks it" if objects == 1 else "lack it"
        print(f"{name}: not counted by its dimension yet: {count_of(objects, 'object')} {lacking}; deploy the family")
    for change in found.changes:
        print(f"would change: {_change_text(change)}")
    for one in found.suggestions:
        cuts = one.cuts
        print(
            f"cuts of {one.segment_name} in {one.country_code}: quantiles: {_starts(cuts.quantiles)};"
            f" best apart: {_starts(cuts.best)}, so that {cuts.of_most_used:,} of {cuts.vouchers:,} vouchers"
            " have the most used amount of their segment"
        )


def read_rules(rules: Path) -> tuple[list[list[str]], list[list[object]]]:
    """Return the rows of families and of ranges that a file loads, by an embedded PostgreSQL.

    Raises
    ------
    OperationError
        When the file cannot be read or PostgreSQL refuses it.
    """
    folder, address = start_postgres()
    try:
        with closing(address.connect()) as connection:
            connection.execute_simple(_TABLES)
            connection.execute_simple(rules.read_text())
            return connection.run(_FAMILIES), connection.run(_SEGMENTS)
    except (OSError, UnicodeDecodeError) as error:
        raise OperationError(f"{rules} cannot be read: {error}") from error
    except DatabaseError as error:
        raise OperationError(f"{rules} cannot be loaded: {error.args[0]['M']}") from error
    finally:
        Postgres(folder).stop()


def _most_used(found: Slice) -> dict[SegmentKey, str]:
    return {one.segment_key: f"{_amounts(one.voucher_amount)} of {one.vouchers:,}" for one in found.segments}


def _change_text(change: RankingChange) -> str:
    place = f"{change.country_code} {change.segment_name} {change.segment_type}"
    return f"{place}: {_amounts(change.before)} -> {_amounts(change.after)}"


def _amounts(amounts: Iterable[int]) -> str:
    return ", ".join(map(str, amounts)) or "none"


def _starts(numbers: Sequence[int]) -> str:
    return f"segments from {_amounts(numbers)}" if numbers else "no cut"


def _in_words(doubt: Doubt) -> str:
    return f"{'decided' if doubt.decided else 'undecided'}, leads by {doubt.lead:,}, z {doubt.z}"


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their headings, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for row in (headings, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
