"""The one place where the parts of the refresh function are put together."""

from collections.abc import Callable
from datetime import datetime
from functools import cache, partial

import msgspec

from functions.common.database import Database
from functions.common.migrations import check_schema
from functions.refresh.ledger.audit import LedgerAudit
from functions.refresh.ledger.ledger import Ledger
from functions.refresh.ledger.partial_counts import PartialCounts
from functions.refresh.ledger.schema import needed_dimensions
from functions.refresh.publishing.publication import Publications
from functions.refresh.publishing.unknowns import UnknownRules
from functions.refresh.reading.bucket import Bucket
from functions.refresh.report.writer import Reports
from functions.refresh.settings import RefreshSettings
from functions.refresh.usecases.backlog import Backlog
from functions.refresh.usecases.questions import Question, answer
from functions.refresh.usecases.reconcile import Reconciler
from functions.refresh.usecases.refresh import Refresh
from functions.refresh.usecases.verify import Verification
from functions.refresh.usecases.work_items import WorkItems


def make_refresh(settings: RefreshSettings, database: Database, clock: Callable[[], datetime]) -> Refresh:
    """Wire the parts together on a database whose schema is that of this release.

    Raises
    ------
    SchemaError
        When it is older: a refresh may not change it.
    """
    check_schema(database)
    reconciler = Reconciler(
        Bucket(settings.bucket, settings.prefix),
        Ledger(database),
        cache(lambda: needed_dimensions(database)),
        clock,
        inline_bytes=settings.inline_bytes,
        max_rejected_share=settings.max_rejected_share,
    )
    unknowns = UnknownRules(settings.unknown_amount_is_used, settings.unknown_number_has_segment)
    publications = Publications(database, unknowns, max_lost_share=settings.max_lost_share)
    return Refresh(reconciler, publications, Reports(database, settings.bucket), settings.published_countries, clock)


def make_backlog(settings: RefreshSettings, database: Database, clock: Callable[[], datetime]) -> Backlog:
    """Wire the parts together for a backlog."""
    refresh = make_refresh(settings, database, clock)
    return Backlog(refresh, WorkItems(refresh.reconciler, PartialCounts(database)), settings.item_bytes)


def make_verification(settings: RefreshSettings, database: Database, clock: Callable[[], datetime]) -> Verification:
    """Wire the parts together for a verification."""
    return Verification(make_refresh(settings, database, clock), LedgerAudit(database))


def make_questions(database: Database) -> Callable[[Question], msgspec.Struct]:
    """Wire the answering of questions, on a database whose schema is that of this release."""
    check_schema(database)
    return partial(answer, database)
