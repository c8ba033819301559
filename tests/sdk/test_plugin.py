"""The fixtures of `signoff.testing`, as pytest finds them where signoff is installed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from signoff import ApprovalExpired, ApprovalRejected, ApprovalTimeout, OutcomeUnknown, require_approval

pytest_plugins = ["pytester"]
Arm = Callable[..., Any]


def run(pytester: pytest.Pytester, code: str, *options: str) -> pytest.RunResult:
    """A pytest of its own over this code, as strict as can be. What else is installed here it does without."""
    pytester.makepyfile(code)
    without = ("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:hypothesispytest", "-p", "no:respx")
    strict = ("-W", "error", "--strict-markers", "--strict-config")
    return pytester.runpytest_subprocess(*without, *strict, *options, timeout=100)


def test_what_is_armed_decides(approve_next: Arm, reject_next: Arm, approve_all: Arm, leave_pending: Arm) -> None:
    asked = approve_next("pay.*")
    reject_next("pay.*", "enough")
    assert require_approval("pay.a", {"x": 1}).status == "approved"
    with pytest.raises(ApprovalRejected) as raised:
        require_approval("pay.b")
    assert raised.value.reason == "enough"
    with pytest.raises(AssertionError, match=r"pay\.c"):
        require_approval("pay.c")
    leave_pending("slow.*")
    with pytest.raises(ApprovalTimeout):
        require_approval("slow.a", timeout=0)
    approve_all()
    assert require_approval("pay.d").status == "approved"
    assert [each.name for each in asked.approvals] == ["pay.a", "pay.b", "slow.a", "pay.d"]
    assert asked.approvals[0].context == {"x": 1}


def test_time(approve_all: Arm, leave_pending: Arm, advance_time: Callable[[float], None]) -> None:
    approve_all()
    with require_approval("a", idempotency_key="k"):
        advance_time(60)
        with pytest.raises(OutcomeUnknown), require_approval("a", idempotency_key="k"):
            pass
    leave_pending("b")
    with pytest.raises(ApprovalExpired):
        require_approval("b", expires_in=3_600, on_pending=lambda _: advance_time(3_600))


def test_all_is_undone_at_the_end_of_a_test(pytester: pytest.Pytester) -> None:
    done = run(
        pytester,
        """
        import pytest
        from signoff import ConfigurationError, require_approval
        from signoff.testing import advance_time as move, approve_all as approving

        def test_one(approve_all, advance_time):
            approve_all()
            advance_time(10**6)
            assert require_approval("a").status == "approved"

        def test_another(approve_next):
            with pytest.raises(AssertionError):
                require_approval("a")
            approve_next("b")

        def test_a_third(approve_next):
            with pytest.raises(AssertionError):
                require_approval("b")

        def test_without():
            with pytest.raises(ConfigurationError):
                require_approval("a")
            with pytest.raises(ConfigurationError):
                move(1)
            with approving():
                assert require_approval("a", expires_in=60).status == "approved"

        @pytest.mark.parametrize("how", ["raises", "fails"])
        def test_that_ends_badly(approve_all, how):
            approve_all()
            assert how != "fails"
            raise RuntimeError

        def test_after_it():
            with pytest.raises(ConfigurationError):
                require_approval("a")
        """,
    )
    done.assert_outcomes(passed=5, failed=2)


def test_workers_of_xdist_do_not_meet(pytester: pytest.Pytester) -> None:
    done = run(
        pytester,
        """
        import pytest
        from signoff import require_approval

        @pytest.mark.parametrize("number", range(20))
        def test_it(approve_next, reject_next, number):
            asked = approve_next("a")
            assert require_approval("a", {"number": number}, idempotency_key="k").status == "approved"
            assert [each.context for each in asked.approvals] == [{"number": number}]
        """,
        "-n",
        "2",
    )
    done.assert_outcomes(passed=20)


def test_it_refuses_to_stand_in_for_a_server_elsewhere(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNOFF_URL", "https://signoff.example.com")
    monkeypatch.setenv("SIGNOFF_API_KEY", "k")
    done = run(
        pytester,
        """
        def test_armed(approve_next):
            approve_next()

        def test_timed(advance_time):
            advance_time(1)

        def test_that_uses_none_of_it():
            pass
        """,
    )
    done.assert_outcomes(passed=1, errors=2)
    done.stdout.fnmatch_lines(["*ConfigurationError*not on this machine*"])


def test_whoever_does_not_use_it_pays_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it():\n    pass\n")
    code = (
        "import sys, pytest\n"
        "assert pytest.main(['-q', '-p', 'no:cacheprovider', '-p', 'no:schemathesis']) == 0\n"
        "assert 'signoff.pytest_plugin' in sys.modules\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0].startswith('signoff')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['signoff', 'signoff._version', 'signoff.pytest_plugin']"
