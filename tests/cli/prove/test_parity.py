"""The real comparison needs weights: tests/workflows/prove/test_parity.py."""


def test_mistakes(refused, freehold, project, monkeypatch):
    monkeypatch.setenv("FREEHOLD_OFFLINE", "1")
    refused("parity", "org/gone", message="weights of org/gone are not here", hint="FREEHOLD_OFFLINE")
    ran = freehold("parity", "--adapter", "gone")
    assert ran.code == 2 and "'gone' does not exist" in ran.err
