"""The members that the command line reads are those of the contract."""

from typing import Any

import pytest

from signoff.cli import replies
from signoff.cli.failures import Failure
from signoff.protocol import models
from tests.cli import samples

PAIRS = [
    (replies.APPROVAL, models.Approval),
    (replies.PRINCIPAL, models.Principal),
    (replies.SOURCE, models.Source),
    (replies.REQUIREMENT, models.Requirement),
    (replies.DECISION, models.Decision),
    (replies.REDEMPTION, models.Redemption),
    (replies.ACTOR, models.Actor),
    (replies.EVENT, models.Event),
    (replies.PRINCIPAL_RECORD, models.PrincipalRecord),
    (replies.KEY, models.KeyRecord),
    (replies.ISSUED_KEY, models.IssuedKey),
    (replies.USER, models.UserRecord),
    (replies.SIGN_IN_LINK, models.SignInLink),
    (replies.ADDED_USER, models.AddedUser),
]


@pytest.mark.parametrize(("shape", "model"), PAIRS, ids=lambda each: getattr(each, "__name__", ""))
def test_the_contract_has_every_member_that_is_read(shape: dict[str, Any], model: Any) -> None:
    assert set(shape) <= set(model.model_fields)


@pytest.mark.parametrize(
    ("sample", "shape"),
    [
        (samples.approval(), replies.APPROVAL),
        (samples.decided(), replies.APPROVAL),
        (samples.event(1, "a.b", "apr_1"), replies.EVENT),
        (samples.principal(), replies.PRINCIPAL_RECORD),
        (samples.key(), replies.KEY),
        (samples.user(), replies.USER),
        (samples.link(), replies.SIGN_IN_LINK),
    ],
)
def test_a_reply_fits_and_one_with_any_member_missing_or_wrong_does_not(sample: Any, shape: dict[str, Any]) -> None:
    assert replies.checked(sample, shape) == sample
    for member in shape:
        with pytest.raises(Failure, match=member):
            replies.checked({name: value for name, value in sample.items() if name != member}, shape)
        with pytest.raises(Failure, match=member):
            replies.checked(sample | {member: object()}, shape)


def test_a_count_is_no_flag_and_a_moment_has_its_offset() -> None:
    assert replies.number(1)
    assert not replies.number(True)
    assert replies.moment("2026-11-23T08:15:00.123Z")
    assert not replies.moment("2026-11-23T08:15:00")
    assert not replies.moment(5)


def test_an_unknown_member_does_no_harm() -> None:
    assert replies.checked(samples.approval() | {"new": 1}, replies.APPROVAL)["new"] == 1
