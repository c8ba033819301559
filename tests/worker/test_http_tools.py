"""Tools that are HTTP requests: what is sent, where to, and what the replies mean."""

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from signoff.worker.far_side import FarSide
from signoff.worker.http_tool import HTTPTool
from signoff.worker.outcome import Completed, Failed, Outcome, Unknown
from signoff.worker.redaction import Redactor
from signoff.worker.tools_file import read_tools
from tests.worker.doubles import CONTEXT
from tests.worker.far_server import NAME, FarServer, reply

SECRET = "tok-s3cret-4711"
INPUT = {"amount": "50.00", "to": "DE89"}


@pytest.fixture
def far() -> Iterator[FarServer]:
    with FarServer() as server:
        yield server


class Names:
    """A name server: each question gets the next answer, the last one for ever."""

    def __init__(self, *answers: Any) -> None:
        self.asked: list[str] = []
        self._answers = list(answers or [["127.0.0.1"]])

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return list(answer)


def tool(text: str, names: Any = None, allow: tuple[str, ...] = ("127.0.0.0/8",), **variables: str) -> HTTPTool:
    said = read_tools(f"a.tool: {text}", "tools.yaml", {"TOKEN": SECRET, **variables}, allow)
    return HTTPTool(said.specs[0], said.allowed, FarSide(names or Names()), Redactor(said.secrets.values()))


def run(made: HTTPTool, input: Mapping[str, Any] = INPUT) -> Outcome:  # noqa: A002
    return asyncio.run(made.run(input, CONTEXT))


def post(far: FarServer, more: str = "") -> str:
    return f"{{kind: http, method: POST, url: 'http://{NAME}:{far.port}/pay'{more}}}"


def get(far: FarServer, path: str = "/quote") -> str:
    return f"{{kind: http, method: GET, url: 'http://{NAME}:{far.port}{path}'}}"


# ---------------------------------------------------------------- what is sent


def test_the_input_is_the_body_and_the_key_a_header(far: FarServer) -> None:
    far.answers = [reply(b'{"id": 7}')]
    made = tool(post(far, ", headers: {Authorization: 'Bearer ${env:TOKEN}'}, idempotent: true"))
    assert (made.name, made.idempotent) == ("a.tool", True)
    assert run(made, {"to": "é", "amount": "50.00"}) == Completed({"id": 7})
    (got,) = far.got
    assert got.line == "POST /pay HTTP/1.1"
    assert got.body == '{"amount":"50.00","to":"é"}'.encode(), "the bytes that were approved"
    assert got.headers["authorization"] == f"Bearer {SECRET}"
    assert got.headers["idempotency-key"] == "exe_1/submit/1"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["host"] == f"{NAME}:{far.port}"
    assert "cookie" not in got.headers


def test_the_header_of_the_key_can_be_named_or_left_out(far: FarServer) -> None:
    run(tool(post(far, ", idempotency_header: X-Once")))
    run(tool(post(far, ", idempotency_header: null")))
    assert far.got[0].headers["x-once"] == "exe_1/submit/1"
    assert "idempotency-key" not in far.got[0].headers
    assert not {"x-once", "idempotency-key"} & far.got[1].headers.keys()


def test_a_header_of_the_file_takes_the_place_of_ours_and_never_that_of_the_key(far: FarServer) -> None:
    run(tool(post(far, ", headers: {content-type: application/bank+json, ACCEPT: text/plain, idempotency-key: mine}")))
    (got,) = far.got
    assert (got.headers["content-type"], got.headers["accept"]) == ("application/bank+json", "text/plain")
    assert got.headers["idempotency-key"] == "exe_1/submit/1"
    assert got.names.count("content-type") == got.names.count("idempotency-key") == got.names.count("host") == 1


def test_the_input_of_a_get_is_the_query(far: FarServer) -> None:
    made = tool(get(far, "/quote?v=1"))
    assert made.idempotent is True
    run(made, {"a": "x&b=2 /é", "n": 1, "yes": True, "none": None, "many": ["1", "2"]})
    assert far.got[0].line == "GET /quote?v=1&a=x%26b%3D2+%2F%C3%A9&n=1&yes=true&many=1&many=2 HTTP/1.1"
    assert far.got[0].body == b""
    assert isinstance(run(made, {"a": {"b": 1}}), Failed)
    assert len(far.got) == 1


def test_input_in_the_url_is_encoded_and_not_repeated(far: FarServer) -> None:
    made = tool(get(far, "/accounts/{account}/x?of={day}"))
    run(made, {"account": "a/../b?c#d%2e\r\nX: y", "day": "1&admin=1", "more": 1})
    assert far.got[0].line == ("GET /accounts/a%2F..%2Fb%3Fc%23d%252e%0D%0AX%3A%20y/x?of=1%26admin%3D1&more=1 HTTP/1.1")


@pytest.mark.parametrize("value", [".", "..", "", None, {"a": 1}, ["x"], "x" * 2_001])
def test_values_that_would_move_the_request_are_refused(far: FarServer, value: Any) -> None:
    found = run(tool(get(far, "/accounts/{account}/x")), {"account": value})
    assert isinstance(found, Failed)
    assert found.retryable is False
    assert not far.got


def test_no_cookie_is_kept_and_no_connection_shared(far: FarServer) -> None:
    far.answers = [reply(b"{}", Set_Cookie="a=b; Path=/")]
    made = tool(post(far))
    run(made)
    run(made)
    assert "cookie" not in far.got[1].headers
    assert far.connections == 2


def test_proxies_of_the_environment_are_not_used(far: FarServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert run(tool(post(far))) == Completed({})


# ---------------------------------------------------------------- what replies mean


@pytest.mark.parametrize(
    ("answer", "output"),
    [
        (reply(b"[1, 2]"), [1, 2]),
        (reply(b'{"a": 1}', 201, "application/vnd.bank+json; charset=utf-8"), {"a": 1}),
        (reply(b"done", 202, "text/plain"), {"text": "done"}),
        (reply(b"", 204), None),
        (reply(b'{"id": 1234567890123456789}'), {"text": '{"id": 1234567890123456789}'}),
        (reply(b"{broken"), {"text": "{broken"}),
        (reply(b"\xff\x00", media="application/octet-stream"), {"text": "��"}),
        (reply(json.dumps({"echo": f"Bearer {SECRET}"}).encode()), {"echo": f"Bearer {SECRET}"}),
    ],
)
def test_2xx_is_completed(far: FarServer, answer: bytes, output: Any) -> None:
    far.answers = [answer]
    assert run(tool(post(far))) == Completed(output)


@pytest.mark.parametrize(
    ("status", "plain", "idempotent"),
    [
        (400, (Failed, False), (Failed, False)),
        (404, (Failed, False), (Failed, False)),
        (409, (Failed, False), (Failed, False)),
        (422, (Failed, False), (Failed, False)),
        (408, (Failed, True), (Failed, True)),
        (425, (Failed, True), (Failed, True)),
        (429, (Failed, True), (Failed, True)),
        (500, (Unknown, None), (Failed, True)),
        (502, (Unknown, None), (Failed, True)),
        (503, (Unknown, None), (Failed, True)),
        (599, (Unknown, None), (Failed, True)),
        (302, (Unknown, None), (Failed, False)),
        (307, (Unknown, None), (Failed, False)),
        (304, (Unknown, None), (Failed, False)),
    ],
)
def test_other_statuses(far: FarServer, status: int, plain: Any, idempotent: Any) -> None:
    with FarServer() as elsewhere:
        location = f"http://127.0.0.1:{elsewhere.port}/"
        far.answers = [reply(b"why not" if status != 304 else b"", status, "text/plain", Location=location)]
        for more, (kind, retryable) in [("", plain), (", idempotent: true", idempotent)]:
            found = run(tool(post(far, more)))
            assert not isinstance(found, Completed)
            assert type(found) is kind
            assert getattr(found, "retryable", None) is retryable
            assert f"HTTP {status}" in found.message
            assert found.where == f"HTTP {status}"
        assert not elsewhere.got, "redirects are not followed"


def test_an_error_s_excerpt_is_short_printable_and_without_secrets(far: FarServer) -> None:
    body = b"\x1b[2J" + b"x" * 270 + SECRET.encode() + b"y" * 1_000
    far.answers = [reply(body, 400, "text/plain")]
    found = run(tool(post(far, ", headers: {Authorization: 'Bearer ${env:TOKEN}'}")))
    assert isinstance(found, Failed)
    assert found.message.isprintable()
    assert len(found.message) < 350
    assert "tok-" not in found.message


@pytest.mark.parametrize(
    "answer",
    [
        reply(b'"' + b"x" * (1024 * 1024) + b'"'),
        reply(b"packed", Content_Encoding="gzip"),
    ],
    ids=["long", "packed"],
)
def test_a_reply_that_cannot_be_taken(far: FarServer, answer: bytes) -> None:
    far.answers = [answer]
    assert isinstance(run(tool(post(far))), Unknown), "it ran"
    found = run(tool(get(far)))
    assert isinstance(found, Failed)
    assert found.retryable is False


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{", b"no HTTP at all\r\n\r\n", b"HTTP/1.1 200"],
    ids=["closed", "cut", "nonsense", "half"],
)
def test_lost_after_sending_is_unknown(far: FarServer, answer: bytes) -> None:
    far.answers = [answer]
    for more in ("", ", idempotent: true"):
        found = run(tool(post(far, more)))
        assert isinstance(found, Unknown)
        assert "may have happened" in found.message


def test_a_timeout_after_sending_is_unknown_and_before_it_failed() -> None:
    class Never(Names):
        async def __call__(self, host: str, port: int) -> list[str]:
            await asyncio.Event().wait()
            return []

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        text = f"{{kind: http, method: POST, url: 'http://{NAME}:{port}/', timeout: %s}}"
        # Long enough to send it also where the machine is busy.
        assert isinstance(run(tool(text % "1500ms")), Unknown)
        found = run(tool(text % "50ms", Never()))
    assert isinstance(found, Failed)
    assert found.retryable is True


def test_cancelled_after_sending_is_unknown(far: FarServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        made = tool(f"{{kind: http, method: POST, url: 'http://{NAME}:{port}/'}}")

        async def stop() -> Outcome:
            running = asyncio.create_task(made.run(INPUT, CONTEXT))
            loop = asyncio.get_running_loop()
            connection, _ = await loop.run_in_executor(None, silent.accept)
            with connection:
                await loop.run_in_executor(None, connection.recv, 100)
                running.cancel()
                return await running

        assert isinstance(asyncio.run(stop()), Unknown)


# ---------------------------------------------------------------- where it may go


def test_nobody_listens_is_failed_and_the_next_address_is_tried(far: FarServer, free_port: int) -> None:
    found = run(tool(f"{{kind: http, method: POST, url: 'http://{NAME}:{free_port}/'}}"))
    assert isinstance(found, Failed)
    assert found.retryable is True
    assert "nothing was sent" in found.message
    assert run(tool(post(far), Names(["127.0.0.2", "127.0.0.1"]))) == Completed({})


@pytest.mark.parametrize("answer", [socket.gaierror("no such name"), UnicodeError("label too long"), []])
def test_a_name_without_an_address_is_failed(far: FarServer, answer: Any) -> None:
    found = run(tool(post(far), Names(answer)))
    assert isinstance(found, Failed)
    assert (found.retryable, NAME in found.message) == (True, True)


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],
        ["fe80::1%1"],
    ],
)
def test_a_name_that_leads_inside_is_refused(far: FarServer, addresses: list[str]) -> None:
    found = run(tool(post(far), Names(addresses), allow=()))
    assert isinstance(found, Failed)
    assert found.retryable is False
    assert "--allow" in found.message
    assert far.connections == 0


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "0",
    ],
)
def test_spellings_of_loopback_are_refused_as_the_resolver_reads_them(far: FarServer, host: str) -> None:
    said = read_tools(f"a.tool: {{kind: http, method: POST, url: 'http://{host}:{far.port}/'}}", "tools.yaml", {}, ())
    found = run(HTTPTool(said.specs[0], said.allowed, FarSide(), Redactor()))
    assert isinstance(found, Failed)
    assert found.retryable is False or "cannot be found" in found.message
    assert far.connections == 0


def test_a_name_is_resolved_once_so_that_no_second_answer_counts(far: FarServer) -> None:
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    assert run(tool(post(far), names, allow=("127.0.0.1",))) == Completed({})
    assert names.asked == [NAME]
    found = run(tool(post(far), names, allow=("127.0.0.1",)))
    assert isinstance(found, Failed)
    assert "10.0.0.1" in found.message


def test_a_host_may_be_allowed_by_its_name(far: FarServer) -> None:
    assert run(tool(post(far), allow=(NAME,))) == Completed({})
    assert isinstance(run(tool(post(far), allow=("example.com",))), Failed)


def test_the_file_s_own_list_and_the_command_s_add_up(far: FarServer, tmp_path: Path) -> None:
    text = f"allow: [127.0.0.1]\na.tool: {post(far)}\n"
    for allow in ((), ("10.0.0.0/8",)):
        said = read_tools(text, "tools.yaml", {}, allow)
        assert run(HTTPTool(said.specs[0], said.allowed, FarSide(Names()), Redactor())) == Completed({})


# ---------------------------------------------------------------- TLS


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    made, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=bank"
    more = ["-addext", f"subjectAltName=DNS:{name}", "-out", str(made), "-keyout", str(key)]
    subprocess.run([*command.split(), *more], check=True, capture_output=True)
    return made, key


@pytest.mark.parametrize(("name", "trusted"), [(NAME, True), ("other.example.com", False)])
def test_the_certificate_is_that_of_the_name_though_an_address_is_dialled(
    tmp_path: Path, name: str, trusted: bool
) -> None:
    made, key = certificate(tmp_path, name)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(made, key)
    names: list[Any] = []
    serving.sni_callback = lambda _socket, asked, _context: names.append(asked)
    with FarServer(serving) as far:
        text = f"a.tool: {{kind: http, method: POST, url: 'https://{NAME}:{far.port}/pay'}}"
        said = read_tools(text, "tools.yaml", {}, ("127.0.0.1",))
        trusting = ssl.create_default_context(cafile=str(made))
        found = run(HTTPTool(said.specs[0], said.allowed, FarSide(Names(), trusting), Redactor()))
        assert names == [NAME]
        assert len(far.got) == trusted
    if trusted:
        assert found == Completed({})
    else:
        assert isinstance(found, Failed)
        assert found.retryable is False
        assert "SSL_CERT_FILE" in found.message
