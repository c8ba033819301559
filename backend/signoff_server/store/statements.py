"""Statements that are compiled once and then handed to the driver as text.

Written as SQLAlchemy's expressions, so that one text serves every database; but running one through SQLAlchemy costs
several times what a database takes for a row by its key. What every request passes goes this way; lists with their
filters do not. The types of our rows (text, integers, bytes) need no conversion on either side.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Dialect, Executable, Select, bindparam
from sqlalchemy.exc import DBAPIError

Row = tuple[Any, ...]
# A list is filled up to the next of these lengths by repeating its last value, so that few texts serve all.
_LENGTHS: Final = (1, 4, 16, 64, 256)


class _Compiled:
    """The text for one dialect, and its parameters in the driver's own form."""

    def __init__(self, clause: Executable, dialect: Dialect) -> None:
        compiled = clause.compile(dialect=dialect)  # type: ignore[attr-defined]
        self.text = str(compiled)
        self._places: list[str] | None = compiled.positiontup
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}

    def parameters(self, values: Mapping[str, Any]) -> Any:
        given = {**self._constants, **values} if self._constants else values
        return given if self._places is None else [given[name] for name in self._places]


class Statement:
    """One statement with named values. Raises `DBAPIError`, as SQLAlchemy does."""

    def __init__(self, clause: Executable) -> None:
        self._clause = clause
        self._compiled: dict[str, _Compiled] = {}

    def rows(self, connection: Connection, **values: Any) -> list[Row]:
        """What it selects or returns."""
        compiled, cursor = self._for(connection), _cursor(connection)
        try:
            cursor.execute(compiled.text, compiled.parameters(values))
            found: list[Row] = cursor.fetchall()
            return found
        except connection.dialect.loaded_dbapi.Error as error:
            raise _as_sqlalchemy(connection, error) from error
        finally:
            cursor.close()

    def first(self, connection: Connection, **values: Any) -> Row | None:
        rows = self.rows(connection, **values)
        return rows[0] if rows else None

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Once for each of `rows`; answers how many rows of the table it touched."""
        if not rows:
            return 0
        compiled, cursor = self._for(connection), _cursor(connection)
        try:
            if len(rows) == 1:
                cursor.execute(compiled.text, compiled.parameters(rows[0]))
            else:
                cursor.executemany(compiled.text, [compiled.parameters(row) for row in rows])
            touched: int = cursor.rowcount
            return touched
        except connection.dialect.loaded_dbapi.Error as error:
            raise _as_sqlalchemy(connection, error) from error
        finally:
            cursor.close()

    def _for(self, connection: Connection) -> _Compiled:
        name = connection.dialect.name
        found = self._compiled.get(name)
        if found is None:
            found = self._compiled[name] = _Compiled(self._clause, connection.dialect)
        return found


class Lookup:
    """A selection of the rows whose `column` is among a list of values, however long."""

    def __init__(self, selection: Select[Any], column: ColumnElement[Any]) -> None:
        self._statements = {length: Statement(_among(selection, column, length)) for length in _LENGTHS}

    def rows(self, connection: Connection, wanted: Iterable[Any], **values: Any) -> list[Row]:
        """The rows that there are; none, and nothing is asked, for an empty list."""
        every, most = list(wanted), _LENGTHS[-1]
        found: list[Row] = []
        for start in range(0, len(every), most):
            part = every[start : start + most]
            length = next(length for length in _LENGTHS if length >= len(part))
            part += part[-1:] * (length - len(part))
            named = {f"value_{at}": value for at, value in enumerate(part)}
            found += self._statements[length].rows(connection, **named, **values)
        return found


def _among(selection: Select[Any], column: ColumnElement[Any], length: int) -> Select[Any]:
    return selection.where(column.in_([bindparam(f"value_{at}", type_=column.type) for at in range(length)]))


def _cursor(connection: Connection) -> Any:
    driver = connection.connection.driver_connection
    assert driver is not None
    return driver.cursor()


def _as_sqlalchemy(connection: Connection, error: Exception) -> BaseException:
    """The error as SQLAlchemy would raise it; a connection that is gone is not used again."""
    dialect = connection.dialect
    gone = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)  # type: ignore[arg-type]
    if gone:
        connection.invalidate(error)
    return DBAPIError.instance(
        None, None, error, dialect.loaded_dbapi.Error, connection_invalidated=gone, dialect=dialect
    )
