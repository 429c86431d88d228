"""What an account has fine-tuned, against a local server that speaks the real API's shape."""

from datetime import date

import pytest
from tests.workflows.incumbent.fine_tuning_api import KEY, MODEL, OTHER, Handler

from freehold.errors import UpstreamError, UsageError
from freehold.workflows.incumbent.retirements import Account


def test_an_account_s_fine_tunes_have_their_dates(api):
    day = date(2026, 11, 25)
    found = Account(api.url, KEY).fine_tunes(as_of=day)
    assert [(one.model, one.answers, one.training_file) for one in found] == [(MODEL, True, "file-train")]
    api.models.append({"id": OTHER, "shutdown_date": "2026-12-01"})
    api.fail = 1
    first, *rest = Account(api.url, KEY, wait=lambda seconds: None).fine_tunes(as_of=day)
    assert (first.model, first.days_left, first.source) == (OTHER, 6, "the vendor's /v1/models")
    assert [one.model for one in rest] == [MODEL]


def test_errors_of_the_api_are_one_line_with_a_way_out(api, tmp_path, monkeypatch):
    monkeypatch.setenv(KEY, "sk-wrong")
    with pytest.raises(UpstreamError, match="answered 401") as caught:
        Account(api.url, KEY).fine_tunes()
    assert "key" in caught.value.hint
    monkeypatch.delenv(KEY)
    with pytest.raises(UsageError, match=f"{KEY} is not set"):
        Account(api.url, KEY)
    monkeypatch.setenv(KEY, "sk-test")
    with pytest.raises(UpstreamError, match="404"):
        Account(api.url, KEY).download("file-gone", tmp_path / "x")
    with pytest.raises(UpstreamError, match="cannot be reached"):
        Account("http://127.0.0.1:9", KEY, wait=lambda seconds: None).fine_tunes()


def test_a_rate_limit_is_waited_for_as_long_as_the_api_says(api, monkeypatch):
    waited = []
    limits = iter(["7", "99999", None])

    def limited(handler):
        after = next(limits)
        if after is None:
            handler.send(200, {"object": "list", "data": []})
        else:
            handler.send(429, {"error": {"message": "slow down"}}, Retry_After=after)

    monkeypatch.setattr(Handler, "do_GET", limited)
    assert list(Account(api.url, KEY, wait=waited.append)._pages("/files")) == []
    assert waited == [7.0, 120.0]


def test_a_file_is_written_whole(api, tmp_path):
    api.files["file-train"] = b"x" * 3_000_000
    path = Account(api.url, KEY).download("file-train", tmp_path / "deep" / "train.jsonl")
    assert path.read_bytes() == api.files["file-train"]
    assert set(api.keys) == {"Bearer sk-test"}
    assert [one.name for one in path.parent.iterdir()] == ["train.jsonl"]
