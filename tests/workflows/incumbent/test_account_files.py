import json
import stat

import pytest
from tests.workflows.incumbent.fine_tuning_api import KEY, MODEL, Api

from freehold.types.progress import Silent
from freehold.workflows.incumbent.account_files import AccountCopy
from freehold.workflows.incumbent.fine_tunes import Account, AccountError


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setenv(KEY, "sk-test")
    server = Api()
    server.jobs = server.jobs[:1]
    job = server.jobs[0]["id"]
    quoted = job.replace(":", "%3A")
    server.files |= {"file-train": b"{}\n", "file-r": b"step,loss\n1,0.5\n", "file-e": b"{}\n"}
    server.lists |= {
        f"/v1/fine_tuning/jobs/{quoted}/events": [{"id": "ev-1", "message": "Step 1/90: training loss=0.61"}],
        f"/v1/fine_tuning/jobs/{quoted}/checkpoints": [{"id": "ftckpt-1", "step_number": 88}],
        "/v1/files": [
            {"id": "file-e", "purpose": "evals", "filename": "../../e.jsonl"},
            {"id": "file-p", "purpose": "vision", "filename": "cat.png"},
            {"id": "file-r", "purpose": "fine-tune-results", "filename": "step_metrics.csv"},
        ],
        "/v1/chat/completions": [{"id": "chatcmpl-1", "object": "chat.completion", "model": MODEL, "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "lamp"}, "finish_reason": "stop"}]}],
        "/v1/chat/completions/chatcmpl-1/messages": [{"id": "m-1", "role": "user", "content": "which one?"}],
        "/v1/evals": [{"id": "eval_1", "name": "labels"}],
        "/v1/evals/eval_1/runs": [{"id": "evalrun_1", "status": "completed"}],
        "/v1/evals/eval_1/runs/evalrun_1/output_items": [{"id": "item_1", "status": "pass"}],
    }  # fmt: skip
    yield server
    server.shutdown()
    server.server_close()


def copied(api, folder):
    copy = AccountCopy(Account(api.url, KEY, wait=lambda seconds: None), folder, Silent())
    copy.take()
    return copy


def test_all_of_an_account_is_copied(api, tmp_path):
    assert copied(api, tmp_path).lacks == []
    assert json.loads((tmp_path / "jobs.jsonl").read_text())["hyperparameters"] == {"n_epochs": 3}
    (events,) = tmp_path.glob("jobs/*.events.jsonl")
    assert "training loss" in events.read_text()
    assert {path.name for path in (tmp_path / "files").iterdir()} == {
        "file-train", "file-r-step_metrics.csv", "file-e-.._.._e.jsonl"
    }  # fmt: skip
    stored = json.loads((tmp_path / "stored_completions.jsonl").read_text())
    assert stored["messages"][0]["content"] == "which one?"
    assert json.loads((tmp_path / "evals" / "eval_1.evalrun_1.items.jsonl").read_text())["status"] == "pass"
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()} == {0o600}


def test_stored_completions_can_be_imported_as_they_are(api, tmp_path):
    from freehold.datasets import importing
    from freehold.types.config import DataConfig

    copied(api, tmp_path)
    (record,) = importing.read(tmp_path / "stored_completions.jsonl", DataConfig())
    assert record.request["messages"] == [{"role": "user", "content": "which one?"}]


def test_what_is_here_is_not_fetched_again(api, tmp_path):
    copied(api, tmp_path)
    before = (tmp_path / "files" / "file-train").stat().st_mtime_ns
    api.files.clear()
    del api.lists["/v1/chat/completions/chatcmpl-1/messages"]
    assert copied(api, tmp_path).lacks == []
    assert (tmp_path / "files" / "file-train").stat().st_mtime_ns == before


def test_what_is_not_to_be_had_is_said_and_the_rest_taken(api, tmp_path):
    del api.files["file-r"], api.lists["/v1/evals"]
    assert copied(api, tmp_path).lacks == ["file file-r: the API answered 404", "evals: the API answered 404"]
    assert (tmp_path / "stored_completions.jsonl").exists()


def test_a_wrong_key_and_an_outage_are_errors(api, tmp_path, monkeypatch):
    api.fail = 10
    with pytest.raises(AccountError, match="500") as caught:
        copied(api, tmp_path)
    assert caught.value.status == 500
    monkeypatch.setenv(KEY, "sk-wrong")
    api.fail = 0
    with pytest.raises(AccountError, match="401"):
        copied(api, tmp_path)
