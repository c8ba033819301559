"""The definitions of workflows, and the project's policy. For keys with the scope that each call names."""

from collections.abc import AsyncIterator, Iterator
from typing import Literal

from signoff import workflow_calls as calls
from signoff.async_session import AsyncSession
from signoff.protocol import workflows as w
from signoff.sync_session import SyncSession
from signoff.workflow_calls import Source

OnConflict = Literal["refuse", "build"]


class Workflows:
    """Workflow files. A `source` is the YAML as text or bytes, or the `pathlib.Path` of a file, of 256 KiB at most."""

    def __init__(self, session: SyncSession) -> None:
        self._session = session

    def register(self, source: Source, *, on_conflict: OnConflict = "refuse") -> w.RegisteredWorkflows:
        """Register what the file holds, as `workflows:write`; the same bytes may be registered again.

        Raises `WorkflowInvalid` with every fault, and `VersionExists` for other content under a version that exists;
        with `on_conflict="build"` that is registered as a build of the version, `VERSION+DIGEST8`.
        """
        return self._session.call(calls.register(source, on_conflict))

    def validate(self, source: Source) -> w.RegisteredWorkflows:
        """What `register` would make of it; nothing is stored. Raises `WorkflowInvalid` with every fault."""
        return self._session.call(calls.validate(source))

    def get(self, workflow_id: str, version: str | None = None) -> w.Workflow:
        """One version with its file; the one registered last, where none is named. Raises `NotFound`."""
        return self._session.call(calls.get_workflow(workflow_id, version))

    def list(self, *, workflow_id: str | None = None, limit: int = 50) -> Iterator[w.WorkflowSummary]:
        """Every version that fits, newest first, through all pages of `limit`."""
        cursor: str | None = None
        while True:
            page = self._session.call(calls.list_workflows({"workflow_id": workflow_id, "limit": limit}, cursor))
            yield from page.data
            cursor = page.next_cursor
            if cursor is None:
                return


class Policies:
    """The policy of the key's project."""

    def __init__(self, session: SyncSession) -> None:
        self._session = session

    def get(self) -> w.PolicyDocument:
        """The policy as it is now."""
        return self._session.call(calls.get_policy())

    def set(self, source: Source) -> w.PolicyDocument:
        """Put this policy (YAML, as text or in a file) in the place of the present one, as `admin`.

        Runs keep the policy that they were started with. Raises `InvalidRequest` with every fault.
        """
        return self._session.call(calls.set_policy(source))

    def judge(self, name: str, *, workflow: Source | None = None, node_id: str | None = None) -> w.PolicyVerdict:
        """What would happen to that name, and which rule says so; with the policies of a workflow file and its node."""
        return self._session.call(calls.judge(name, workflow, node_id))


class AsyncWorkflows:
    """As `Workflows`, for an event loop."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def register(self, source: Source, *, on_conflict: OnConflict = "refuse") -> w.RegisteredWorkflows:
        return await self._session.call(calls.register(source, on_conflict))

    async def validate(self, source: Source) -> w.RegisteredWorkflows:
        return await self._session.call(calls.validate(source))

    async def get(self, workflow_id: str, version: str | None = None) -> w.Workflow:
        return await self._session.call(calls.get_workflow(workflow_id, version))

    async def list(self, *, workflow_id: str | None = None, limit: int = 50) -> AsyncIterator[w.WorkflowSummary]:
        cursor: str | None = None
        while True:
            page = await self._session.call(calls.list_workflows({"workflow_id": workflow_id, "limit": limit}, cursor))
            for each in page.data:
                yield each
            cursor = page.next_cursor
            if cursor is None:
                return


class AsyncPolicies:
    """As `Policies`, for an event loop."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self) -> w.PolicyDocument:
        return await self._session.call(calls.get_policy())

    async def set(self, source: Source) -> w.PolicyDocument:
        return await self._session.call(calls.set_policy(source))

    async def judge(self, name: str, *, workflow: Source | None = None, node_id: str | None = None) -> w.PolicyVerdict:
        return await self._session.call(calls.judge(name, workflow, node_id))
