"""Bringing the schema up to date. Alembic costs a second to import, so it is only imported where there is work."""

from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, inspect, text

from signoff_server.store.dialects import DatabaseRefused, Engines, lock_schema

if TYPE_CHECKING:
    from alembic.config import Config

# The newest revision; a test holds it equal to the scripts.
HEAD: Final = "0004"


def revision(connection: Connection) -> str | None:
    """The schema that the database has; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def upgrade(engines: Engines) -> None:
    """Run the missing migrations in one transaction, one process at a time. Raises `DatabaseRefused`."""
    with engines.writer.connect() as connection, connection.begin():
        lock_schema(connection)
        found = revision(connection)
        if found == HEAD:
            return
        if found is not None and found > HEAD:
            raise DatabaseRefused(f"the database has schema {found}, this program knows {HEAD}: use a newer signoff")
        from alembic import command

        command.upgrade(config(connection), "head")


def config(connection: Connection) -> "Config":
    """Alembic's configuration, on a live connection."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", "signoff_server.store:migrations")
    made.attributes["connection"] = connection
    return made
