"""Every table of a database as plain rows, to compare."""

from typing import Any

from sqlalchemy import Engine, Table, case, select

from signoff_server.store.tables import AGENDA, DERIVED

Rows = dict[str, list[tuple[Any, ...]]]


def derived(engine: Engine) -> Rows:
    """All that `rebuild` makes again. When a lease ends is left out: a rebuild gives a fresh one."""
    with engine.connect() as connection:
        return {table.name: sorted(map(tuple, connection.execute(_columns(table))), key=repr) for table in DERIVED}


def _columns(table: Table) -> Any:
    if table is not AGENDA:
        return select(table)
    kept = [column for column in table.c if column.name not in ("due_at", "claims")]
    return select(*kept, case((AGENDA.c.queue == "expire", AGENDA.c.due_at)))
