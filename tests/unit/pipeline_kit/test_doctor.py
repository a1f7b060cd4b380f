"""The doctor says in words what is wrong."""

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


def test_a_mail_server_that_does_not_answer_is_wrong(home, monkeypatch):
    monkeypatch.setenv("MAM_SMTP_URL", "smtp://127.0.0.1:9")

    assert levels(doctor.check_mail) == ["wrong"]


def test_no_key_is_shown(home, monkeypatch, capsys):
    monkeypatch.setenv("COINGLASS_API_KEY", "canary-key-1234")

    findings = examine(doctor.check_keys)

    assert "canary-key-1234" not in str(findings)
