"""Secrets in all the forms in which they would be shown."""

import base64
import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from signoff.worker.redaction import REDACTED, Redactor

SECRET = 'tok/en+"ä 7&=\\x'
REDACTOR = Redactor([SECRET, "short", "plain-secret", "plain-secret-longer"])


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET),
        quote_plus(SECRET),
        quote(SECRET, safe="").replace("%C3", "%c3").replace("%A4", "%a4").replace("%2F", "%2f").lower(),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
    ],
)
def test_each_form_is_replaced(shown: str) -> None:
    assert REDACTOR.text(f"before {shown} after") == f"before {REDACTED} after"


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", ["", "u", "us", "use", "user:"])
@pytest.mark.parametrize("after", ["", "x", "xy", "xyz"])
def test_in_base64_wherever_it_stands(encode: Any, before: str, after: str) -> None:
    encoded = encode(f"{before}{SECRET}{after}".encode()).decode()
    shown = REDACTOR.text(encoded)
    assert REDACTED in shown
    # What is left around it tells at most a few bits of its first and last sign.
    assert len(shown.replace(REDACTED, "")) <= len(encoded) - (len(SECRET.encode()) - 2) // 3 * 4


def test_the_longest_goes_first_and_short_ones_stay() -> None:
    assert REDACTOR.text("plain-secret-longer plain-secret short") == f"{REDACTED} {REDACTED} short"
    assert Redactor([]).text("anything") == "anything"
    assert Redactor([""]).text("anything") == "anything"


def test_data_is_replaced_through_and_through() -> None:
    found = REDACTOR.data({"a plain-secret": [1, None, True, {"b": "x plain-secret"}], "c": 1.5})
    assert found == {f"a {REDACTED}": [1, None, True, {"b": f"x {REDACTED}"}], "c": 1.5}
    same = {"a": ["plain-secret"]}
    assert Redactor([]).data(same) == same
