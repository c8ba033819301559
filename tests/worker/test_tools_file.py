"""What a tools.yaml may say: golden errors with line and column, variables, and URLs."""

import sys
from collections.abc import Mapping
from typing import Any

import pytest

from signoff import ConfigurationError
from signoff.worker.tools_file import ToolsFile, read_tools
from signoff.worker.url_template import BadValue, Template
from signoff.worker.yaml_file import MissingExtra, read

WHOLE = """\
# The bank's.
allow: ["10.0.0.0/8", bank.internal]
payments.submit:
  kind: http
  method: POST
  url: https://${env:BANK_HOST}/payments/{account}
  headers:
    Authorization: "Bearer ${env:BANK_TOKEN}"
    X-Two: ${env:SHORT}-${env:BANK_TOKEN}
  timeout: 1.5s
  idempotent: true
  idempotency_header: X-Once
payments.quote: {kind: http, method: GET, url: "https://bank.example.com/quote"}
"""
VARIABLES = {"BANK_HOST": "bank.example.com:8443", "BANK_TOKEN": "tok-4711", "SHORT": "v2"}


def said(text: str, variables: Mapping[str, str] = VARIABLES) -> ToolsFile:
    return read_tools(text, "tools.yaml", variables)


def test_a_whole_file() -> None:
    found = said(WHOLE)
    submit, quote = found.specs
    assert (submit.name, submit.method, submit.timeout, submit.idempotent, submit.idempotency_header) == (
        "payments.submit",
        "POST",
        1.5,
        True,
        "X-Once",
    )
    assert submit.url.render({"account": "a/b"}) == "https://bank.example.com:8443/payments/a%2Fb"
    assert submit.headers == {"Authorization": "Bearer tok-4711", "X-Two": "v2-tok-4711"}
    assert (quote.idempotent, quote.timeout, quote.idempotency_header) == (True, 30.0, "Idempotency-Key")
    assert submit.place == "tools.yaml, line 4, column 3"
    assert found.secrets == VARIABLES
    assert found.too_short == ["SHORT"]
    assert "tok-4711" not in repr(found)


def test_an_empty_file_has_no_tools() -> None:
    assert said("").specs == ()
    assert said("# nothing yet\n").specs == ()


HTTP = "a: {kind: http, method: POST, url: 'https://x/'%s}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "line 1, column 5: expected the node content"),
        ("a: 1\na: 2", "line 2, column 1: 'a' stands here twice"),
        ("a: &x 1", "line 1, column 4: anchors"),
        ("a: &x 1\nb: *x", "anchors"),
        ("a: !!python/object:os.system 1", "line 1, column 4: tags"),
        ("a: !x 1", "tags"),
        ("1: 2", "line 1, column 1: a key is text"),
        ("? [a]\n: 1", "line 1, column 3: a key is text"),
        ("--- {}\n--- {}", "line 2, column 1: but found another document"),
        ("- a", "line 1, column 1: the file is a mapping"),
        ("a: yes", "line 1, column 4: a: "),
        ("\x00", "line 1, column 1: this is not YAML"),
        ("[" * 5_000, "line 1, column 17: nesting goes deeper than 16"),
        ("#" * 300_000, "longer than 256 KiB"),
        ("allow: 10.0.0.0/8", "line 1, column 8: `allow` is a list"),
        ("allow: [x, 1]", "`allow` is a list"),
        ("allow: ['*']", "`allow` cannot take '*'"),
        ("a b: {kind: http}", "line 1, column 6: 'a b' is no name for a tool"),
        ("a: {}", "a.kind: Field required"),
        ("a: {kind: shell, method: POST, url: x}", "line 1, column 11: a.kind: Input should be 'http'"),
        ("a: {kind: http, method: post, url: x}", "line 1, column 25: a.method: "),
        (HTTP % ", command: rm", "a.command: Extra inputs are not permitted"),
        (HTTP % ", idempotent: 'yes'", "a.idempotent: Input should be a valid boolean"),
        (HTTP % ", timeout: 10", "a.timeout: give a time as"),
        (HTTP % ", timeout: 0s", "a.timeout: give a time as"),
        (HTTP % ", timeout: 61m", "a.timeout: give a time as"),
        (HTTP % ", headers: {A: 1}", "a.headers.A: Input should be a valid string"),
        (HTTP % ", headers: {'A b': x}", "'A b' is no name of a header"),
        (HTTP % ", headers: {host: x}", "the header host is made by the worker"),
        (HTTP % ", headers: {Content-Length: '1'}", "is made by the worker"),
        (HTTP % ", headers: {Transfer-Encoding: chunked}", "is made by the worker"),
        (HTTP % ", idempotency_header: 'a b'", "'a b' is no name of a header"),
        (HTTP % ", idempotency_header: Host", "is made by the worker"),
        (HTTP % ', headers: {A: "x\\r\\nB: y"}', "the value of A is no header"),
        (HTTP % ", headers: {A: é}", "the value of A is no header"),
        (HTTP % ", headers: {A: '${env:MISSING}'}", "the environment has no MISSING"),
        (HTTP % ", headers: {A: '${env:EMPTY}'}", "the environment has no EMPTY"),
        (HTTP % ", headers: {A: '${BANK_TOKEN}'}", "is written ${env:NAME}"),
        (HTTP % ", headers: {A: '${env:BROKEN}'}", "the value of A is no header"),
    ],
)
def test_faults_are_told_with_their_place(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        said(text, {**VARIABLES, "EMPTY": "", "BROKEN": "tok-4711\nX: y"})
    assert str(raised.value).startswith("tools.yaml: ")
    assert told in str(raised.value)
    assert "tok-4711" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "bank.example.com/pay",
        "ftp://x/",
        "file:///etc/passwd",
        "https://",
        "https://user:pw@x/",
        "https://user@x/",
        "https://@x/",
        "https://x/#a",
        "https://{host}/",
        "https://x{port}/",
        "https://x:{port}/",
        "{url}",
        "https:{rest}",
        "https://x/?{name}=1",
        "https://x/?a=1&{name}",
        "https://x/{a b}",
        "https://x/{}",
        "https://x/{",
        "https://x/}",
        "https://x/${BANK}",
        "https://x/${env:MISSING}",
        "https://x y/",
        "https://x\\y/",
        "https://bänk.example.com/",
        "https://x:0/",
        "https://x:99999/",
    ],
)
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        said(f"a: {{kind: http, method: POST, url: '{url}'}}")
    assert "line 1, column 36" in str(raised.value)
    assert "pw" not in str(raised.value)


def test_a_variable_s_value_is_no_template() -> None:
    with pytest.raises(ConfigurationError):
        said("a: {kind: http, method: POST, url: 'https://${env:BANK_HOST}/'}", {"BANK_HOST": "{host}"})


@pytest.mark.parametrize("value", ["..", ".", ""])
def test_a_segment_of_two_fields_makes_no_dots_either(value: str) -> None:
    template = Template(["https://x/{a}{b}/y"])
    with pytest.raises(BadValue):
        template.render({"a": value, "b": "."} if value != ".." else {"a": ".", "b": "."})
    assert template.render({"a": 1, "b": True}) == "https://x/1true/y"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: true", {"a": True}),
        ("a: yes", {"a": "yes"}),
        ("on: off", {"on": "off"}),
        ("a: 12:30:45", {"a": "12:30:45"}),
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: 0x10", {"a": "0x10"}),
        ("a: 010", {"a": 10}),
        ("a: 1.5", {"a": 1.5}),
        ("a: 1e3", {"a": "1e3"}),
        ("a: '1'", {"a": "1"}),
        ("a: ~", {"a": None}),
        ("a:", {"a": None}),
        ("a: [1, {b: null}]", {"a": [1, {"b": None}]}),
        ("a: |\n  x\n", {"a": "x\n"}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    assert read(text).data == value


def test_without_a_parser_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtra, match=r"pip install 'signoff\[worker\]'"):
        said(WHOLE)
