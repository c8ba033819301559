"""A signal is sent to one run, by whoever may start runs."""

import json

import pytest

from tests.cli import workflow_samples as told
from tests.cli.conftest import APP_KEY, FakeServer, Run

SIGNAL = f"{told.PATH}/signal"


def test_a_signal_is_sent_with_its_payload(run: Run, fake: FakeServer) -> None:
    fake.tell("POST", SIGNAL, told.execution())
    result = run("signal", told.EXE, "contract_signed", "--payload", '{"by": "ann"}', "--idempotency-key", "k1")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{told.EXE} has the signal contract_signed.\n"
    (posted,) = fake.asked
    assert posted.body == {"name": "contract_signed", "payload": {"by": "ann"}}
    assert posted.headers["idempotency-key"] == "k1"
    assert posted.headers["authorization"] == f"Bearer {APP_KEY}"


def test_json_is_the_run(run: Run, fake: FakeServer) -> None:
    execution = told.execution()
    fake.tell("POST", SIGNAL, execution)
    assert json.loads(run("signal", told.EXE, "signed", "--json").stdout) == execution
    assert fake.asked[0].body == {"name": "signed"}


@pytest.mark.parametrize(
    "arguments", [(told.EXE, "1st"), (told.EXE, "two words"), (told.EXE, "a", "--payload", "[1]"), (told.APR, "a")]
)
def test_what_is_wrong_is_said_before_anything_is_sent(run: Run, fake: FakeServer, arguments: tuple[str, ...]) -> None:
    result = run("signal", *arguments)
    assert result.exit_code == 2
    assert not fake.asked


def test_an_answer_about_another_run_is_not_believed(run: Run, fake: FakeServer) -> None:
    fake.tell("POST", SIGNAL, told.execution() | {"id": f"exe_{9:026d}"})
    result = run("signal", told.EXE, "signed")
    assert result.exit_code == 1
    assert "another run" in result.stderr
