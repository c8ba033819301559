"""Fixtures that more than one folder asks for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.project import Project, running
from tests.support.server import RunningServer


@pytest.fixture
def projects(tmp_path: Path) -> Iterator[tuple[Project, Project]]:
    with running(tmp_path) as both:
        yield both


@pytest.fixture
def project(projects: tuple[Project, Project]) -> Project:
    return projects[0]


@pytest.fixture
def dev_server(tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path) as server:
        yield server
