"""The doctor says in words what is wrong."""

import socket

import pytest

from pipeline_kit import doctor
from pipeline_kit.doctor import InstallationError, examine, main


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("COINGLASS_API_KEY", "MAM_NOW", "MAM_SMTP_URL", "MAM_ALERT_WEBHOOK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MAM_BUCKET_URI", f"file://{tmp_path / 'bucket'}")
    return tmp_path


def levels(check):
    return [finding.level for finding in examine(check)]


def test_a_fresh_checkout_has_notes_and_nothing_wrong(home, capsys):
    checks = [c for c in doctor.CHECKS if c is not doctor.check_python]
    assert {level for check in checks for level in levels(check)} == {"ok", "note"}


def test_a_package_of_another_version_is_named(home, monkeypatch):
    real = doctor.installed_version
    monkeypatch.setattr(
        doctor, "installed_version", lambda n: "0.0.1" if n == "duckdb" else real(n)
    )

    assert any("duckdb" in finding.words for finding in examine(doctor.check_python))


def test_a_bucket_that_cannot_be_written_is_wrong_and_ends_with_2(home, capsys):
    (home / "bucket").write_text("a file")

    with pytest.raises(InstallationError, match="must be repaired") as caught:
        main([])

    assert caught.value.exit_code == 2
    assert "wrong file://" in capsys.readouterr().out


def test_no_key_is_shown(home, monkeypatch, capsys):
    monkeypatch.setenv("COINGLASS_API_KEY", "canary-key-1234")

    findings = examine(doctor.check_keys)

    assert "canary-key-1234" not in str(findings)


def words(check):
    return " ".join(finding.words for finding in examine(check))


def test_a_data_folder_that_cannot_be_made_says_what_to_set(home, monkeypatch):
    (home / "data").write_text("a file")

    assert "data folder" in words(doctor.check_folders)
    assert "cannot be written (File exists)" in words(doctor.check_folders)
    assert "set MAM_DATA_DIR" in words(doctor.check_folders)


def test_a_disk_that_is_nearly_full_is_wrong(home, monkeypatch):
    monkeypatch.setattr(doctor, "LEAST_FREE_GB", 10**6)

    assert levels(doctor.check_folders) == ["wrong"]
    assert "make room" in words(doctor.check_folders)


def test_a_port_in_use_is_told_and_is_no_fault(home, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(doctor, "PORT", server.getsockname()[1])
        assert levels(doctor.check_port) == ["note"]
    assert levels(doctor.check_port) == ["ok"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("smtp://127.0.0.1:99999", "its port is no number"),
        ("smtp://user:secret-word@host:abc", "its port is no number"),
        ("smtp://:25", "must read smtp://HOST:PORT"),
        ("http://host", "must start with smtp://"),
        ("smtp://127.0.0.1:9", "Connection refused; check MAM_SMTP_URL and the server"),
    ],
)
def test_a_wrong_mail_server_is_told_in_words_without_its_password(home, monkeypatch, url, said):
    monkeypatch.setenv("MAM_SMTP_URL", url)

    assert levels(doctor.check_mail)[0] == "wrong"
    assert said in words(doctor.check_mail)
    assert "secret-word" not in words(doctor.check_mail)


def test_a_configuration_that_is_not_there_is_wrong_and_one_that_is_there_is_told(
    home, monkeypatch
):
    monkeypatch.setenv("MAM_CONFIG", str(home / "mine.yaml"))
    assert "MAM_CONFIG" in words(doctor.check_keys)
    assert "wrong" in levels(doctor.check_keys)

    (home / "mine.yaml").write_text("")
    assert "replaces the shipped config.yaml" in words(doctor.check_keys)
    assert "wrong" not in levels(doctor.check_keys)
