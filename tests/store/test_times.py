"""Finding a time in the ledger, which knows its events by their number."""

from signoff_server.store import ledger
from tests.support.project import Project


def test_the_first_event_since_a_time_is_found(project: Project) -> None:
    begun = project.world.now()
    times = []
    for seconds in (10, 0, 5, 0, 0, 60):
        project.world.advance(seconds)
        project.ask()
        times.append(project.world.now())
    with project.server.database.engines.reader.connect() as connection:
        end = ledger.end(connection, project.id)
        first = end - len(times) + 1
        assert ledger.first_since(connection, project.id, 0) == 1
        assert ledger.first_since(connection, project.id, begun + 1) == first
        for at in sorted(set(times)):
            assert ledger.first_since(connection, project.id, at) == first + times.index(at)
            assert ledger.first_since(connection, project.id, at - 1) == first + times.index(at)
        assert ledger.first_since(connection, project.id, times[-1] + 1) == end + 1


def test_an_empty_ledger_ends_where_it_begins(project: Project) -> None:
    with project.server.database.engines.writer.begin() as connection:
        ledger.create_project(connection, "prj_empty", "empty", 0)
        assert ledger.first_since(connection, "prj_empty", 5) == 1
