"""The members that the commands of workflows read are those of the contract."""

from typing import Any

import pytest

from signoff.cli import replies
from signoff.cli import workflow_replies as shapes
from signoff.cli.failures import Failure
from signoff.protocol import workflows
from tests.cli import samples
from tests.cli import workflow_samples as told

PAIRS = [
    (shapes.REGISTERED, workflows.Registered),
    (shapes.REGISTERED_WORKFLOWS, workflows.RegisteredWorkflows),
    (shapes.WORKFLOW_SUMMARY, workflows.WorkflowSummary),
    (shapes.WORKFLOW, workflows.Workflow),
    (shapes.FAILURE, workflows.ExecutionFailure),
    (shapes.EXECUTION_SUMMARY, workflows.ExecutionSummary),
    (shapes.NODE_RUN, workflows.NodeRun),
    (shapes.NODE_DETAIL, workflows.NodeDetail),
    (shapes.EXECUTION, workflows.Execution),
    (shapes.EXECUTION_APPROVAL, workflows.ExecutionApproval),
    (shapes.EXECUTION_APPROVALS, workflows.ExecutionApprovals),
    (shapes.EXECUTION_DECIDED, workflows.ExecutionDecided),
    (shapes.POLICY_RULE, workflows.PolicyRule),
    (shapes.POLICY, workflows.PolicyDocument),
    (shapes.SPOKEN_RULE, workflows.SpokenRule),
    (shapes.VERDICT, workflows.PolicyVerdict),
]


@pytest.mark.parametrize(("shape", "model"), PAIRS, ids=lambda each: getattr(each, "__name__", ""))
def test_the_contract_has_every_member_that_is_read(shape: dict[str, Any], model: Any) -> None:
    assert set(shape) <= set(model.model_fields)


SAMPLES = [
    (told.registered(), shapes.REGISTERED_WORKFLOWS),
    (told.workflow(), shapes.WORKFLOW),
    (told.failure(), shapes.FAILURE),
    (told.summary(), shapes.EXECUTION_SUMMARY),
    (told.summary(status="failed"), shapes.EXECUTION_SUMMARY),
    (told.parked_node(), shapes.NODE_RUN),
    (told.detail(), shapes.NODE_DETAIL),
    (told.execution(), shapes.EXECUTION),
    (told.of_node(told.gated()), shapes.EXECUTION_APPROVAL),
    (told.approvals(), shapes.EXECUTION_APPROVALS),
    (told.policy(), shapes.POLICY),
    (told.verdict("block", told.rule()), shapes.VERDICT),
]


@pytest.mark.parametrize(("sample", "shape"), SAMPLES)
def test_a_reply_fits_and_one_with_any_member_missing_or_wrong_does_not(sample: Any, shape: dict[str, Any]) -> None:
    assert replies.checked(sample, shape) == sample
    for member in shape:
        with pytest.raises(Failure, match=member):
            replies.checked({name: value for name, value in sample.items() if name != member}, shape)
        with pytest.raises(Failure, match=member):
            replies.checked(sample | {member: object()}, shape)


@pytest.mark.parametrize("output", [None, True, 5, 1.5, "text", [1], {"a": 1}])
def test_what_comes_out_of_a_tool_is_whatever_json_can_say(output: Any) -> None:
    assert replies.checked(told.detail(output=output), shapes.NODE_DETAIL)["output"] == output


def test_what_is_within_a_list_is_looked_at_too() -> None:
    node = {name: value for name, value in told.node().items() if name != "status"}
    with pytest.raises(Failure, match="nodes"):
        replies.checked(told.execution() | {"nodes": [node]}, shapes.EXECUTION)
    with pytest.raises(Failure, match="initiator"):
        replies.checked(told.execution() | {"initiator": samples.ALICE | {"kind": None}}, shapes.EXECUTION)
