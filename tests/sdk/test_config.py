"""Where URL and key come from: one source, never two halves."""

import json
import logging
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from signoff import Config, ConfigurationError, Signoff, load_app_config, load_reviewer_config
from signoff.config import load_worker_config

FILE = {"url": "http://127.0.0.1:8484/", "project": "prj_1", "key": "sgo_file", "principal": "prn_1"}


def write(path: Path, said: Any, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(said if isinstance(said, str) else json.dumps(said))
    path.chmod(mode)
    return path


def both(monkeypatch: pytest.MonkeyPatch, key: str = "SIGNOFF_API_KEY") -> None:
    monkeypatch.setenv("SIGNOFF_URL", "https://env.example.com")
    monkeypatch.setenv(key, "sgo_env")


def test_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "config/signoff/profile.json", {**FILE, "key": "sgo_profile"})
    assert load_app_config().where == "profile"
    write(tmp_path / ".signoff/app.json", FILE)
    found = load_app_config()
    assert (found.where, found.url, found.key) == ("file", "http://127.0.0.1:8484", "sgo_file")
    assert (found.project, found.principal) == ("prj_1", "prn_1")
    both(monkeypatch)
    assert load_app_config().key == "sgo_env"
    assert load_app_config("http://localhost:1", "sgo_given").key == "sgo_given"


def test_the_nearest_folder_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / ".signoff/app.json", FILE)
    write(tmp_path / "a/.signoff/app.json", {**FILE, "key": "sgo_near"})
    (tmp_path / "a/b/c").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a/b/c")
    assert load_app_config().key == "sgo_near"


def test_nothing_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="SIGNOFF_URL"):
        load_app_config()
    with pytest.raises(ConfigurationError, match="SIGNOFF_REVIEWER_KEY"):
        load_reviewer_config()
    with pytest.raises(ConfigurationError):
        Signoff()


@pytest.mark.parametrize("arguments", [{"url": "http://x"}, {"key": "sgo_given"}])
def test_halves_are_never_mixed(arguments: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / ".signoff/app.json", FILE)
    both(monkeypatch)
    for load in (load_app_config, load_reviewer_config):
        with pytest.raises(ConfigurationError, match="never mixed"):
            load(**arguments)


@pytest.mark.parametrize("name", ["SIGNOFF_URL", "SIGNOFF_API_KEY"])
def test_half_an_environment_does_not_fall_through(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / ".signoff/app.json", FILE)
    monkeypatch.setenv(name, "http://x")
    with pytest.raises(ConfigurationError, match="never mixed"):
        load_app_config()
    monkeypatch.setenv(name, "")
    assert load_app_config().key == "sgo_file", "an empty variable is none"


def test_a_reviewer_has_sources_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / ".signoff/app.json", FILE)
    write(tmp_path / "config/signoff/profile.json", FILE)
    with pytest.raises(ConfigurationError):
        load_reviewer_config()
    write(tmp_path / ".signoff/reviewer.json", {**FILE, "key": "sgo_reviewer"})
    found = load_reviewer_config()
    assert (found.key, found.reviewer, found.may_decide) == ("sgo_reviewer", True, True)
    assert load_app_config().may_decide is False
    monkeypatch.setenv("SIGNOFF_URL", "http://127.0.0.1:8484")
    monkeypatch.setenv("SIGNOFF_API_KEY", "sgo_app")
    assert load_reviewer_config().key == "sgo_reviewer", "the application's variables are not the reviewer's"
    monkeypatch.setenv("SIGNOFF_URL", "http://elsewhere")
    with pytest.raises(ConfigurationError, match="another server"):
        load_reviewer_config()
    monkeypatch.setenv("SIGNOFF_REVIEWER_KEY", "sgo_env")
    assert (load_reviewer_config().url, load_reviewer_config().key) == ("http://elsewhere", "sgo_env")
    assert load_reviewer_config("http://x", "sgo_given").key == "sgo_given"


def test_a_worker_has_sources_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("app.json", "reviewer.json"):
        write(tmp_path / ".signoff" / name, FILE)
    with pytest.raises(ConfigurationError, match="SIGNOFF_WORKER_KEY"):
        load_worker_config()
    write(tmp_path / ".signoff/worker.json", {**FILE, "key": "sgo_worker"})
    found = load_worker_config()
    assert (found.key, found.url, found.reviewer, found.may_decide) == ("sgo_worker", FILE["url"][:-1], False, False)
    monkeypatch.setenv("SIGNOFF_URL", "http://127.0.0.1:8484")
    monkeypatch.setenv("SIGNOFF_API_KEY", "sgo_app")
    assert load_worker_config().key == "sgo_worker", "the application's variables are not the worker's"
    monkeypatch.setenv("SIGNOFF_URL", "http://elsewhere")
    with pytest.raises(ConfigurationError, match=r"another server than \.signoff/worker\.json"):
        load_worker_config()
    monkeypatch.setenv("SIGNOFF_WORKER_KEY", "sgo_env")
    assert (load_worker_config().url, load_worker_config().key) == ("http://elsewhere", "sgo_env")
    monkeypatch.delenv("SIGNOFF_URL")
    with pytest.raises(ConfigurationError, match="never mixed"):
        load_worker_config()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8484",
        "ftp://x",
        "http://",
        "http://user:pw@x",
        "http://x/?a=1",
        "http://x/#a",
        "http://x:99999",
        "http://[::1",
        "http://x y",
        "http://x\n",
    ],
)
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Config(url, "k")
    assert "pw" not in str(raised.value)


@pytest.mark.parametrize("key", ["", "a b", "a\n", "ké"])
def test_keys_that_are_none(key: str) -> None:
    with pytest.raises(ConfigurationError):
        Config("http://x", key)


def test_a_key_is_not_shown() -> None:
    config = Config("http://x/", "sgo_secret")
    assert "sgo_secret" not in repr(config)
    assert pickle.loads(pickle.dumps(config)) == config
    assert config.url == "http://x"


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:1", True),
        ("http://app.localhost", True),
        ("http://127.0.0.9", True),
        ("http://[::1]:80", True),
        ("http://10.0.0.1", False),
        ("https://localhost.example.com", False),
    ],
)
def test_what_is_on_this_machine(url: str, local: bool) -> None:
    assert Config(url, "k").is_local is local


@pytest.mark.parametrize(
    "said", ["", "[]", "{}", '{"url": 1, "key": "k"}', '{"url": "http://x"}', "{" * 9, '{"a": NaN}']
)
def test_files_that_say_nothing_usable(said: str, tmp_path: Path) -> None:
    write(tmp_path / ".signoff/app.json", said)
    with pytest.raises(ConfigurationError):
        load_app_config()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_file_that_others_may_write_is_not_trusted(tmp_path: Path, caplog: Any) -> None:
    path = write(tmp_path / ".signoff/app.json", FILE, mode=0o620)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_app_config()
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING, logger="signoff"):
        assert load_app_config().key == "sgo_file"
    assert "may be read by others" in caplog.text
    assert "sgo_file" not in caplog.text


def test_a_file_of_another_user_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / ".signoff/app.json", FILE)
    if os.geteuid() == 0:
        os.chown(path, 12_345, -1)
    else:
        owner = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(ConfigurationError, match="another user"):
        load_app_config()


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / ".signoff/app.json", FILE)

    def refuse(*args: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigurationError, match="Permission denied"):
        load_app_config()


def test_a_working_directory_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigurationError, match="SIGNOFF_URL"):
        load_app_config()
