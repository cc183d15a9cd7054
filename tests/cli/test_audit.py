# SPDX-License-Identifier: MIT
"""spleeterd audit verify without a log. tests/service verifies real logs."""


def test_no_secret(spleeterd, tmp_path):
    result = spleeterd("audit", "verify", "--data-dir", tmp_path, code=3)
    assert str(tmp_path / "secret") in result.err
    assert not (tmp_path / "secret").exists()


def test_no_log(spleeterd, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(32))
    secret.chmod(0o600)
    assert "audit" in spleeterd("audit", "verify", "--data-dir", tmp_path, code=3).err


def test_other_arguments_are_refused(spleeterd):
    assert "spleeterd audit verify" in spleeterd("audit", code=2).err
    assert "spleeterd audit verify" in spleeterd("audit", "verify", "twice", code=2).err
