"""Whom the command line asks, as whom, and what it makes of answers that are none."""

import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from signoff.cli import connection
from tests.cli import samples
from tests.cli.conftest import Answer, FakeServer, Run, invoke, problem

LIST = "/v1/approvals"


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def address(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def write_reviewer(folder: Path, url: str, key: str = "sgo_file", name: str = "reviewer.json") -> None:
    (folder / ".signoff").mkdir()
    file = folder / ".signoff" / name
    file.write_text(json.dumps({"url": url, "key": key}))
    file.chmod(0o600)


def test_nothing_configured_is_wrong_usage_and_says_what_to_set() -> None:
    result = invoke("approvals")
    assert result.exit_code == 2
    assert "SIGNOFF_REVIEWER_KEY" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_application_s_credentials_are_never_used(
    fake: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNOFF_URL", fake.url)
    monkeypatch.setenv("SIGNOFF_API_KEY", "sgo_app")
    (tmp_path / ".signoff").mkdir()
    app = tmp_path / ".signoff" / "app.json"
    app.write_text(json.dumps({"url": fake.url, "key": "sgo_app"}))
    app.chmod(0o600)
    assert invoke("approvals").exit_code == 2
    assert fake.asked == []


def test_the_nearest_reviewer_file_upwards_is_used(
    fake: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_reviewer(tmp_path, fake.url)
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    fake.tell("GET", LIST, samples.page())
    assert invoke("approvals").exit_code == 0
    assert fake.asked[0].headers["authorization"] == "Bearer sgo_file"


def test_the_url_option_takes_its_key_from_the_environment(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNOFF_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("SIGNOFF_REVIEWER_KEY", "sgo_env")
    fake.tell("GET", LIST, samples.page())
    assert invoke("approvals", "--url", fake.url).exit_code == 0
    assert fake.asked[0].headers["authorization"] == "Bearer sgo_env"


def test_a_file_s_key_goes_to_its_own_server_alone(fake: FakeServer, tmp_path: Path) -> None:
    write_reviewer(tmp_path, "http://127.0.0.1:1")
    result = invoke("approvals", "--url", fake.url)
    assert result.exit_code == 2
    assert fake.asked == []


def test_the_url_option_may_name_the_file_s_server(fake: FakeServer, tmp_path: Path) -> None:
    write_reviewer(tmp_path, fake.url)
    fake.tell("GET", LIST, samples.page())
    assert invoke("approvals", "--url", fake.url + "/").exit_code == 0


@pytest.mark.parametrize("command", ["run x", "executions", "inspect exe_1", "workflows", "schema"])
def test_what_starts_and_watches_runs_asks_as_the_application(command: str, fake: FakeServer, tmp_path: Path) -> None:
    write_reviewer(tmp_path, fake.url, "sgo_reviewer")
    assert invoke(*command.split()).exit_code == 2
    assert fake.asked == []
    (tmp_path / ".signoff" / "reviewer.json").rename(tmp_path / ".signoff" / "app.json")
    assert invoke(*command.split()).exit_code == 1
    assert {asked.headers["authorization"] for asked in fake.asked} == {"Bearer sgo_reviewer"}


def test_an_application_s_key_goes_to_its_own_server_alone(
    fake: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_reviewer(tmp_path, "http://127.0.0.1:1", name="app.json")
    result = invoke("executions", "--url", fake.url)
    assert result.exit_code == 2
    assert "app.json: set SIGNOFF_API_KEY" in result.stderr
    assert fake.asked == []
    monkeypatch.setenv("SIGNOFF_API_KEY", "sgo_env")
    fake.tell("GET", "/v1/executions", samples.page())
    assert invoke("executions", "--url", fake.url).exit_code == 0
    assert fake.asked[0].headers["authorization"] == "Bearer sgo_env"


def test_a_refused_connection_is_unreachable(run: Run, monkeypatch: pytest.MonkeyPatch, silent: socket.socket) -> None:
    url = address(silent)
    silent.close()
    monkeypatch.setenv("SIGNOFF_URL", url)
    result = run("approvals")
    assert result.exit_code == 3
    assert url in result.stderr
    assert "Traceback" not in result.stderr


def test_a_server_that_never_answers_is_given_up(
    run: Run, monkeypatch: pytest.MonkeyPatch, silent: socket.socket
) -> None:
    monkeypatch.setenv("SIGNOFF_URL", address(silent))
    monkeypatch.setattr(connection._Plain, "answer", 0.05)
    result = run("approvals")
    assert result.exit_code == 3
    assert "no answer in time" in result.stderr


def test_the_time_for_a_first_answer_is_short() -> None:
    assert connection.CONNECT <= 5
    assert connection._Plain.answer == connection._Secure.answer == connection.READ <= 5
    assert connection._PatientPlain.answer == connection._PatientSecure.answer == connection.CHANGE


def test_a_change_without_an_answer_is_said_to_be_uncertain(
    run: Run, monkeypatch: pytest.MonkeyPatch, silent: socket.socket
) -> None:
    monkeypatch.setenv("SIGNOFF_URL", address(silent))
    monkeypatch.setattr(connection._PatientPlain, "answer", 0.05)
    result = run("cancel", "apr_1")
    assert result.exit_code == 3
    assert "whether it was done is not known; signoff show apr_1 tells" in result.stderr


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer.of(b"<html>Sign in</html>", Content_Type="text/html"), 1),
        (Answer.of(b"not json"), 1),
        (Answer.of(b'{"data": [], "data": []}'), 1),
        (Answer.of([]), 1),
        (Answer.of({"data": None, "next_cursor": None}), 1),
        (Answer.of({"data": [{"id": "apr_1"}], "next_cursor": None}), 1),
        (Answer.of(samples.page(samples.approval() | {"created_at": "yesterday"})), 1),
        (Answer.of(samples.page(samples.approval() | {"requested_by": "me"})), 1),
        (Answer.of(b"", 302, Location="http://127.0.0.1:1/"), 1),
        (Answer.of(b"", 204), 1),
        (Answer.of(b"oops", 500, Content_Type="text/plain"), 1),
        (Answer.of(b"oops", 502, Content_Type="text/plain"), 3),
        (Answer.of(b"{", 403), 1),
        (Answer.of(b"{}", Content_Length="10"), 3),
        (problem(401, "unauthenticated", "This API key is unknown."), 1),
        (problem(403, "forbidden"), 1),
        (problem(422, "invalid", errors=[{"pointer": "/a\u202e", "message": "bad"}]), 1),
        (problem(429, "rate_limited"), 1),
        (problem(503, "unavailable"), 3),
        (problem(507, "storage_full"), 1),
    ],
)
def test_whatever_comes_back_is_one_clear_line(answer: Answer, code: int, run: Run, fake: FakeServer) -> None:
    fake.tell("GET", LIST, answer)
    result = run("approvals")
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("signoff: ")
    assert result.stderr[:-1].isprintable()
    assert len(fake.asked) == 1


def test_a_refused_key_says_what_to_set(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", LIST, problem(401, "unauthenticated", "This API key is unknown."))
    assert "SIGNOFF_REVIEWER_KEY" in run("approvals").stderr


def test_the_places_of_a_fault_are_named(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", LIST, problem(422, "invalid", "No.", errors=[{"pointer": "/name", "message": "too long"}]))
    assert "No. (invalid) [/name: too long]" in run("approvals").stderr


@pytest.fixture
def secure(fake: FakeServer, tmp_path: Path) -> Path:
    """The fake behind TLS; answers the file of the only authority that vouches for it."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    fake.speak_tls(context)
    return certificate


def test_tls_takes_an_authority_that_vouches_for_the_server(
    run: Run, fake: FakeServer, secure: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNOFF_URL", fake.url)
    fake.tell("GET", LIST, samples.page())
    unknown = run("approvals")
    assert unknown.exit_code == 1
    assert "SSL_CERT_FILE" in unknown.stderr
    assert fake.asked == []
    monkeypatch.setenv("SSL_CERT_FILE", str(secure))
    assert run("approvals").exit_code == 0


def test_an_option_that_is_no_text_is_wrong_usage(run: Run) -> None:
    assert run("approvals", "--name", "\udcff").exit_code == 2


def test_a_server_that_speaks_no_tls_is_unreachable(
    run: Run, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNOFF_URL", fake.url.replace("http:", "https:"))
    assert run("approvals").exit_code == 3
