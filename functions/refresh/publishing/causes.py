"""Why most used amounts changed: other countries or rules, another as-of day, or other data."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, NamedTuple

import msgspec
from pg8000.native import Connection

from functions.common.families import Family, SegmentKey, SegmentRulesError
from functions.common.ranking import Cause, ChangedObject, RankingChange, rank
from functions.refresh.ledger.schema import read_families, usage_of
from functions.refresh.publishing.placing import Placed, place
from functions.refresh.publishing.unknowns import PLACED, UnknownRules, count_by_segment

# More would make the database step of a run take seconds longer, while other writers wait.
MAX_OBJECTS = 1000

# How many objects are named that contributed to a change.
_MAX_CONTRIBUTORS = 5

_PREVIOUS = """
    SELECT as_of, countries, unknown_amount_is_used, unknown_number_has_segment
    FROM voucher_customer.publication JOIN voucher_customer.refreshes USING (refresh_id)
"""

# What the changed objects add to the totals now, minus what they added at the previous publication.
_CHANGE = f"""
    WITH placed AS (
        SELECT * FROM {PLACED}
    ), change AS (
        SELECT key, etag, etag_before, country_code, segment_name, segment_type, voucher_amount, sum(count) AS count
        FROM (
            SELECT key, etag, etag_before, country_code, dimension, value, greatest(voucher_amount, 0), count
            FROM (
                SELECT key, ledger.etag, changed.etag AS etag_before, added.*
                FROM voucher_customer.changed_objects AS changed JOIN voucher_customer.ledger USING (key),
                    {usage_of("ledger", "added")}
                UNION ALL
                SELECT key, ledger.etag, changed.etag, removed.country_code, removed.dimension, removed.value,
                       removed.voucher_amount, -removed.count
                FROM voucher_customer.changed_objects AS changed JOIN voucher_customer.ledger USING (key),
                    {usage_of("changed", "removed")}
            ) AS both_usages WHERE :amount_is_used OR voucher_amount >= 0
        ) AS used (key, etag, etag_before, country_code, dimension, value, voucher_amount, count)
        JOIN placed USING (dimension, value)
        WHERE country_code = ANY (CAST(:countries AS text[]))
        GROUP BY key, etag, etag_before, country_code, segment_name, segment_type, voucher_amount
    )
"""  # noqa: S608 - made of constants

_BY_SEGMENT = """
    SELECT country_code, segment_name, segment_type, voucher_amount, CAST(sum(count) AS bigint) FROM change
    GROUP BY country_code, segment_name, segment_type, voucher_amount
"""

# An object contributes what it adds to the new most used amounts, and what it takes from the old ones.
_CONTRIBUTIONS = """
    , contributed AS (
        SELECT country_code, segment_name, segment_type, key, etag, etag_before, sum(count * sign) AS vouchers
        FROM change JOIN unnest(
            CAST(:of_country AS text[]), CAST(:of_name AS text[]), CAST(:of_type AS text[]),
            CAST(:amount AS bigint[]), CAST(:sign AS integer[])
        ) AS weighed (country_code, segment_name, segment_type, voucher_amount, sign)
        USING (country_code, segment_name, segment_type, voucher_amount)
        GROUP BY country_code, segment_name, segment_type, key, etag, etag_before
    ), ranked AS (
        SELECT *, row_number() OVER (
            PARTITION BY country_code, segment_name, segment_type ORDER BY vouchers DESC, key
        ) AS place
        FROM contributed WHERE vouchers > 0
    )
    SELECT country_code, segment_name, segment_type, key, etag, etag_before, CAST(vouchers AS bigint)
    FROM ranked WHERE place <= :at_most ORDER BY country_code, segment_name, segment_type, place
"""

_COUNTS = (
    f"SELECT country_code, segment_name, segment_type, voucher_amount, count FROM ({count_by_segment()}) AS counted"  # noqa: S608
)

_KEEP = """
    INSERT INTO voucher_customer.ranking_changes
        (refresh_id, as_of, country_code, segment_name, segment_type, before, after, causes, objects)
    SELECT :refresh_id, :as_of, changed ->> 'country_code', changed ->> 'segment_name', changed ->> 'segment_type',
           ARRAY(SELECT CAST(json_array_elements_text(changed -> 'before') AS bigint)),
           ARRAY(SELECT CAST(json_array_elements_text(changed -> 'after') AS bigint)),
           ARRAY(SELECT json_array_elements_text(changed -> 'causes')), changed -> 'objects'
    FROM json_array_elements(CAST(:changes AS json)) AS changed
"""

# Values that no longer occur are needed too: their segments lost vouchers.
_OCCURRING = """
    SELECT dimension, value, CAST(sum(count) AS bigint) FROM (
        SELECT dimension, value, count FROM voucher_customer.usage_totals
        WHERE country_code = ANY (CAST(:countries AS text[]))
        UNION ALL
        SELECT removed.dimension, removed.value, 0 FROM voucher_customer.changed_objects,
            unnest(usage_country_code, usage_dimension, usage_value) AS removed (country_code, dimension, value)
        WHERE removed.country_code = ANY (CAST(:countries AS text[]))
    ) AS occurring
    WHERE dimension = ANY (CAST(:dimensions AS text[])) GROUP BY dimension, value
"""

Counts = dict[SegmentKey, dict[int, int]]


class Basis(NamedTuple):
    """The countries, rules and as-of day of a publication."""

    families: Sequence[Family]
    countries: Sequence[str]
    as_of: date
    unknowns: UnknownRules

    @property
    def rules(self) -> tuple[Sequence[Family], UnknownRules]:
        """The rules that decide in which segment a voucher counts, and as which amount."""
        return self.families, self.unknowns

    def dimension_of(self, segment_name: str) -> str | None:
        """Return the dimension of a family, None when there is no such family."""
        return next((str(family.dimension) for family in self.families if family.segment_name == segment_name), None)


def read_basis(connection: Connection) -> Basis | None:
    """Return the countries, rules and as-of day of the published table; None when nothing is published."""
    found = connection.run(_PREVIOUS)
    if not found:
        return None
    try:
        families = read_families(connection)
    except SegmentRulesError:  # somebody edited the tables: no family is as it was published
        families = []
    [[as_of, countries, *unknowns]] = found
    return Basis(families, countries, as_of, UnknownRules(*unknowns))


def explain(
    connection: Connection, changes: Sequence[RankingChange], before: Basis | None, after: Basis
) -> list[RankingChange]:
    """Return each change with its causes, and the objects that contributed most if data is one.

    Rules, as-of day and data are applied one after the other. Each is a cause if it changes the most used amounts.
    """
    if before is None:
        return [msgspec.structs.replace(change, causes=["first_publication"]) for change in changes]
    [[objects]] = connection.run("SELECT count(*) FROM voucher_customer.changed_objects")
    if not changes:
        return []
    if objects > MAX_OBJECTS:
        return [msgspec.structs.replace(change, causes=_possible(change, before, after)) for change in changes]
    stages = _Stages(connection, changes, before, after)
    explained = [msgspec.structs.replace(change, causes=stages.causes(change)) for change in changes]
    contributed = stages.contributions([change for change in explained if "data" in change.causes])
    return [msgspec.structs.replace(change, objects=contributed.get(change.segment_key, [])) for change in explained]


def keep_changes(connection: Connection, changes: Sequence[RankingChange], refresh_id: int, as_of: date) -> None:
    """Keep why the most used amounts changed, and forget the objects that changed before this publication."""
    connection.run("DELETE FROM voucher_customer.changed_objects")
    if changes:
        encoded = msgspec.json.encode(changes).decode()
        connection.run(_KEEP, refresh_id=refresh_id, as_of=as_of, changes=encoded)


def count_causes(changes: Iterable[RankingChange]) -> dict[str, int]:
    """Return in how many segments each cause changed the most used amounts."""
    return dict(Counter(cause for change in changes for cause in change.causes))


def _causes_without_counts(change: RankingChange, before: Basis, after: Basis) -> list[Cause]:
    """Return a cause that needs no counts: a country or a family that only one of the publications has."""
    if (change.country_code in before.countries) != (change.country_code in after.countries):
        return ["countries"]
    if before.dimension_of(change.segment_name) != after.dimension_of(change.segment_name):
        return ["rules"]
    return []


def _possible(change: RankingChange, before: Basis, after: Basis) -> list[Cause]:
    """Return every possible cause, because too many objects changed to compare them."""
    moved: list[tuple[Cause, bool]] = [
        ("rules", before.rules != after.rules),
        ("as_of", before.as_of != after.as_of),
        ("data", True),
    ]
    return _causes_without_counts(change, before, after) or [cause for cause, has_changed in moved if has_changed]


class _Stages:
    """The most used amounts of the segments that changed, with one thing changed after the other."""

    def __init__(self, connection: Connection, changes: Sequence[RankingChange], before: Basis, after: Basis) -> None:
        self._connection = connection
        self._before = before
        self._after = after
        self._countries = sorted({change.country_code for change in changes})
        names = {change.segment_name for change in changes}
        self._families = [family for family in after.families if family.segment_name in names]
        self._occurring = connection.run(
            _OCCURRING, countries=self._countries, dimensions=[str(family.dimension) for family in self._families]
        )
        rules, day = before.rules != after.rules, before.as_of != after.as_of
        self._with_day = self._most_used(after.as_of) if rules or day else None
        self._with_rules = self._most_used(before.as_of) if rules and day else self._with_day if rules else None

    def causes(self, change: RankingChange) -> list[Cause]:
        if found := _causes_without_counts(change, self._before, self._after):
            return found
        with_rules = change.before if self._with_rules is None else self._with_rules.get(change.segment_key, [])
        with_day = with_rules if self._with_day is None else self._with_day.get(change.segment_key, [])
        steps: list[tuple[Cause, list[int], list[int]]] = [
            ("rules", change.before, with_rules), ("as_of", with_rules, with_day), ("data", with_day, change.after),
        ]  # fmt: skip
        return [cause for cause, one, other in steps if one != other]

    def contributions(self, changes: Sequence[RankingChange]) -> dict[SegmentKey, list[ChangedObject]]:
        """Return the objects that contributed most to changes, by segment."""
        if not changes:
            return {}
        weights = [(*change.segment_key, *weight) for change in changes for weight in _weights(change)]
        names = ("of_country", "of_name", "of_type", "amount", "sign")
        columns = {name: list(column) for name, column in zip(names, zip(*weights, strict=True), strict=True)}
        rows = self._connection.run(
            _CHANGE + _CONTRIBUTIONS, **self._placed(self._after.as_of), at_most=_MAX_CONTRIBUTORS, **columns
        )
        found: dict[SegmentKey, list[ChangedObject]] = {}
        for country, name, kind, *contribution in rows:
            found.setdefault((country, name, kind), []).append(ChangedObject(*contribution))
        return found

    def _most_used(self, as_of: date) -> dict[SegmentKey, list[int]]:
        """Return the most used amounts by today's rules, as of a day, with the data of the previous publication."""
        placed = self._placed(as_of)
        counts = _counts(self._connection.run(_COUNTS, **placed))
        changed = self._connection.run(_CHANGE + _BY_SEGMENT, **placed)
        for segment, change in _counts(changed).items():
            amounts = counts.setdefault(segment, {})
            for amount, count in change.items():
                amounts[amount] = amounts.get(amount, 0) - count
        return {
            segment: rank(used).most_used.voucher_amount
            for segment, amounts in counts.items()
            if (used := [(amount, count) for amount, count in amounts.items() if count > 0])
        }

    def _placed(self, as_of: date) -> Placed:
        placed, _ = place(self._families, self._occurring, self._countries, as_of, self._after.unknowns)
        return placed


def _counts(rows: Iterable[Sequence[Any]]) -> Counts:
    counts: Counts = {}
    for country, name, kind, amount, count in rows:
        counts.setdefault((country, name, kind), {})[amount] = count
    return counts


def _weights(change: RankingChange) -> list[tuple[int, int]]:
    """Return the new most used amounts with 1 and the old ones with -1."""
    won = [amount for amount in change.after if amount not in change.before] or change.after
    lost = [amount for amount in change.before if amount not in change.after] or change.before
    return [(amount, 1) for amount in won] + [(amount, -1) for amount in lost]
