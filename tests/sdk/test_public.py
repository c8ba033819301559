"""What `signoff` shows to the world."""

import ast
import inspect
import pickle
import subprocess
import sys
import typing
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

import signoff
from signoff import Approval, AsyncSignoff, Signoff, default, errors
from tests.sdk import replies

ROOT = Path(signoff.__file__).parent


def test_all_is_sorted_and_true() -> None:
    assert list(signoff.__all__) == sorted(signoff.__all__)
    assert set(dir(signoff)) == set(signoff.__all__)
    for name in signoff.__all__:
        assert getattr(signoff, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = signoff.nothing


def test_every_exception_is_public() -> None:
    made = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert made <= set(signoff.__all__)


def test_types_for_readers_are_the_names_that_load() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.name for node in block.body for alias in typing.cast(ast.ImportFrom, node).names}
    assert imported == set(signoff.__all__) - {"__version__"}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert signoff._HOME_OF[alias.name] == str(node.module).removeprefix("signoff.")


def test_importing_loads_nothing() -> None:
    code = (
        "import sys, signoff; print([m for m in ('httpx', 'pydantic', 'websockets', 'tenacity') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        # Our own server, and where the tools of a worker lead.
        ("httpx", {"transport.py", "far_side.py"}),
        ("websockets", {"watch_socket.py"}),
        ("yaml", {"yaml_file.py"}),
    ],
)
def test_a_library_is_known_to_one_file_for_each_use(library: str, homes: set[str]) -> None:
    knowing = {
        path.name
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == library for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == library)
    }
    assert knowing == homes


def parameters(function: Callable[..., object]) -> list[tuple[str, object]]:
    found = inspect.signature(function).parameters.values()
    return [(each.name, each.default) for each in found if each.name != "self"]


def test_one_signature() -> None:
    expected = parameters(default.require_approval)
    assert [name for name, _ in expected] == [
        "name",
        "context",
        "arguments",
        "idempotency_key",
        "timeout",
        "expires_in",
        "reviewers",
        "summary",
        "metadata",
        "on_behalf_of",
        "on_pending",
    ]
    for other in (default.require_approval_async, Signoff.require_approval, AsyncSignoff.require_approval):
        assert parameters(other) == expected


def test_both_clients_have_the_same_face() -> None:
    def face(cls: type) -> set[str]:
        return {name.replace("aclose", "close") for name in vars(cls) if not name.startswith("_")}

    from signoff import administration, async_client, executions, sync_client, workflows

    assert face(Signoff) == face(AsyncSignoff)
    assert face(sync_client.Approvals) == face(async_client.AsyncApprovals)
    assert face(administration.Principals) == face(administration.AsyncPrincipals)
    assert face(administration.Keys) == face(administration.AsyncKeys)
    for one, twin in (
        (workflows.Workflows, workflows.AsyncWorkflows),
        (workflows.Policies, workflows.AsyncPolicies),
        (executions.Executions, executions.AsyncExecutions),
    ):
        assert face(one) == face(twin)
        for name in face(one):
            assert parameters(getattr(one, name)) == parameters(getattr(twin, name))


def test_an_approval_is_frozen_and_can_be_pickled_and_compared() -> None:
    approval = Approval.model_validate(replies.approved())
    again = pickle.loads(pickle.dumps(approval))
    assert again == approval
    assert hash(again) == hash(approval)
    assert {approval, again} == {approval}
    assert approval != Approval.model_validate(replies.approval())
    assert approval.reattached is False
    with pytest.raises(ValidationError):
        approval.status = "rejected"  # type: ignore[misc]
    with pytest.raises(errors.ConfigurationError), again:
        pass


def test_raise_unless_approved() -> None:
    Approval.model_validate(replies.approved()).raise_unless_approved()
    for data, error in [
        (replies.approval(), errors.ApprovalConflict),
        (replies.decided("rejected", reason="no"), errors.ApprovalRejected),
        (replies.approved(lapsed=True), errors.ApprovalExpired),
    ]:
        with pytest.raises(error):
            Approval.model_validate(data).raise_unless_approved()
