"""A fine-tuned GPT that stops on a date, against a local server that speaks the real API's shape."""

import json
import re
import threading
from datetime import date
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from freehold.cli.journey.rescue import command
from freehold.errors import InputError, UpstreamError, UsageError
from freehold.types.config import parse
from freehold.types.progress import Silent
from freehold.workflows.incumbent.fine_tunes import Account
from freehold.workflows.journey import rescue
from freehold.workflows.journey.rescue_config import Wish

MODEL = "ft:gpt-4o-mini-2024-07-18:acme:inbox:Bq1"
OTHER = "ft:gpt-3.5-turbo-0125:acme::old"
LABELS = ("refund", "lamp")
KEY = "RESCUE_TEST_KEY"


def training_file(path, rows=300):
    with path.open("w") as file:
        for number in range(rows):
            messages = [
                {"role": "system", "content": "name the matter"},
                {"role": "user", "content": f"number {number} about a {LABELS[number % 2]}"},
                {"role": "assistant", "content": LABELS[number % 2]},
            ]
            file.write(json.dumps({"messages": messages}) + "\n")
    return path


class Api(ThreadingHTTPServer):
    """`jobs`, `models`, `files` are what it holds; `asked` counts chat requests, `fail` answers so many times 500."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.jobs = [job(MODEL), job(OTHER, status="failed"), job(None, status="running")]
        self.models = [{"id": "gpt-4o-mini-2024-07-18"}, {"id": MODEL}]
        self.files, self.asked, self.fail, self.keys = {}, [], 0, []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


def job(model, *, status="succeeded", base="gpt-4o-mini-2024-07-18"):
    return {
        "object": "fine_tuning.job", "id": f"ftjob-{model or status}", "model": base,
        "created_at": 1721764800, "finished_at": 1721764999, "fine_tuned_model": model, "status": status,
        "organization_id": "org-1", "result_files": ["file-r"], "training_file": "file-train",
        "validation_file": None, "trained_tokens": 5768, "hyperparameters": {"n_epochs": 3},
    }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def send(self, status, body):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        api = self.server
        api.keys.append(self.headers.get("Authorization"))
        path, _, query = self.path.partition("?")
        if api.fail:
            api.fail -= 1
            self.send(500, {"error": {"message": "try again"}})
        elif self.headers.get("Authorization") != "Bearer sk-test":
            self.send(401, {"error": {"message": "Incorrect API key"}})
        elif path == "/v1/models":
            self.send(
                200,
                {"object": "list", "data": [{"object": "model", "owned_by": "x"} | m for m in api.models]},
            )
        elif path == "/v1/fine_tuning/jobs":  # two a page, whatever limit asks for
            after = re.search(r"after=([^&]+)", query)
            ids = [one["id"].replace(":", "%3A") for one in api.jobs]
            begin = ids.index(after[1]) + 1 if after else 0
            page = api.jobs[begin : begin + 2]
            self.send(200, {"object": "list", "data": page, "has_more": begin + 2 < len(api.jobs)})
        elif (name := path.removeprefix("/v1/files/").removesuffix("/content")) in api.files:
            self.send(200, api.files[name])
        else:
            self.send(404, {"error": {"message": "no such thing"}})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        question = body["messages"][-1]["content"]
        said = "refund" if "refund" in question else "lamp"
        message = {"role": "assistant", "content": said}
        usage = {"prompt_tokens": 20, "completion_tokens": 2, "total_tokens": 22}
        self.send(200, {"object": "chat.completion", "model": body["model"], "usage": usage,
                        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})  # fmt: skip


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setenv(KEY, "sk-test")
    server = Api()
    yield server
    server.shutdown()
    server.server_close()


def rehearsed(path):
    """The written project with the shipped fake as its engine: the journey without weights."""
    text = path.read_text().partition("[serve]")[0]
    rules = ", ".join(f'{{ contains = "{label}", answer = "{label}" }}' for label in LABELS)
    path.write_text(
        f'{text}[serve]\nengine = "echo"\n[serve.options]\nin_process = true\nrules = [{rules}]\n'
    )


def test_an_account_s_fine_tunes_have_their_dates(api):
    day = date(2026, 11, 25)
    found = Account(api.url, KEY).fine_tunes(as_of=day)
    assert [(one.model, one.answers, one.training_file) for one in found] == [(MODEL, True, "file-train")]
    api.models.append({"id": OTHER, "shutdown_date": "2026-12-01"})
    api.fail = 1
    first, *rest = Account(api.url, KEY, wait=lambda seconds: None).fine_tunes(as_of=day)
    assert (first.model, first.days_left, first.source) == (OTHER, 6, "the vendor's /v1/models")
    assert [one.model for one in rest] == [MODEL]


def test_a_fine_tune_of_gpt_4o_stops_with_its_base(api):
    model = "ft:gpt-4o-2024-08-06:acme::x"
    api.models.clear()
    api.jobs = [job(model, base="gpt-4o-2024-08-06")]
    found = Account(api.url, KEY).fine_tunes(as_of=date(2026, 11, 25))[-1]
    assert (found.shutdown, found.days_left, found.answers) == (date(2027, 1, 14), 50, False)


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


def test_from_the_file_alone_the_candidate_is_measured(tmp_path):
    wish = Wish(folder=tmp_path / "out", file=training_file(tmp_path / "train.jsonl"))
    project, ready = rescue.begin(wish, progress=Silent())
    assert ready.asking is None
    assert ready.scorer == "label"
    assert ready.samples["held_out"] + ready.samples["train"] + ready.samples["validation"] == 300
    rehearsed(tmp_path / "out" / "freehold.toml")
    project, ready = rescue.begin(wish, progress=Silent())
    migration = rescue.finish(project, progress=Silent())
    (candidate,) = migration.report.candidates
    assert candidate.comparison is None
    assert candidate.measured.mean == 1.0
    assert migration.exit_code == 3
    assert migration.report.dataset.targets_from["incumbent"] == 0  # the file's answers are the owner's


def test_a_file_the_fine_tune_has_not_seen_is_the_whole_proof(tmp_path):
    unseen = tmp_path / "unseen.jsonl"
    unseen.write_bytes(
        b"".join(training_file(tmp_path / "more.jsonl", 330).read_bytes().splitlines(True)[300:])
    )
    wish = Wish(folder=tmp_path / "out", file=training_file(tmp_path / "train.jsonl"), held_out=unseen)
    _, ready = rescue.begin(wish, progress=Silent())
    assert ready.samples["held_out"] == 30
    assert ready.samples["train"] + ready.samples["validation"] == 300


def test_with_a_key_the_file_is_fetched_and_answers_are_frozen_within_the_budget(api, tmp_path):
    api.files["file-train"] = training_file(tmp_path / "train.jsonl").read_bytes()
    wish = Wish(folder=tmp_path / "out", base_url=api.url, api_key_env=KEY, budget_usd=Decimal(5))
    project, ready = rescue.begin(wish, progress=Silent())
    assert not api.asked
    assert ready.model == MODEL
    assert ready.asking.requests == ready.samples["held_out"]
    assert Decimal(0) < ready.asking.cost_usd < Decimal(5)
    rehearsed(tmp_path / "out" / "freehold.toml")
    project, ready = rescue.begin(wish, progress=Silent())
    frozen = rescue.freeze_answers(project, ready, repeats=1, budget_usd=Decimal(5), progress=Silent())
    assert frozen.answered == len(api.asked) == ready.asking.requests
    assert {body["model"] for body in api.asked} == {MODEL}
    migration = rescue.finish(project, progress=Silent())
    (candidate,) = migration.report.candidates
    assert candidate.comparison.incumbent_mean == candidate.comparison.candidate_mean == 1.0
    assert any("has seen their answers" in note for note in migration.report.notes)
    asked = len(api.asked)
    project, ready = rescue.begin(wish, progress=Silent())
    assert (ready.asking, ready.why_not_asked) == (None, "its answers are frozen already")
    assert rescue.freeze_answers(project, ready, repeats=1, budget_usd=None, progress=Silent()) is None
    assert len(api.asked) == asked


def test_a_small_budget_means_fewer_samples(api, tmp_path):
    path = training_file(tmp_path / "train.jsonl")
    wish = Wish(folder=tmp_path / "a", file=path, base_url=api.url, api_key_env=KEY)
    whole = rescue.begin(wish, progress=Silent())[1].asking
    part = rescue.begin(
        wish._replace(folder=tmp_path / "b", budget_usd=whole.cost_usd / 3), progress=Silent()
    )[1].asking
    assert part.cost_usd <= whole.cost_usd / 3
    assert whole.requests / 4 < part.requests < whole.requests / 2
    with pytest.raises(UsageError, match="the budget is") as caught:
        rescue.begin(wish._replace(folder=tmp_path / "a", budget_usd=whole.cost_usd / 3), progress=Silent())
    assert "held_out_limit" in caught.value.hint
    with pytest.raises(UsageError, match="one answer costs about"):
        rescue.begin(wish._replace(folder=tmp_path / "c", budget_usd=Decimal("1e-9")), progress=Silent())


def test_what_cannot_be_rescued_is_said_before_anything_is_written(api, tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text('{"messages": []}\n')
    with pytest.raises(InputError, match="no record with messages"):
        rescue.begin(Wish(folder=tmp_path / "out", file=empty), progress=Silent())
    with pytest.raises(InputError, match="no such file"):
        rescue.begin(Wish(folder=tmp_path / "out", file=tmp_path / "nowhere"), progress=Silent())
    with pytest.raises(UsageError, match="which fine-tuning file"):
        rescue.begin(Wish(folder=tmp_path / "out"), progress=Silent())
    api.jobs.append(job(OTHER))
    with pytest.raises(UsageError, match="2 fine-tuned models; which one"):
        rescue.begin(Wish(folder=tmp_path / "out", base_url=api.url, api_key_env=KEY), progress=Silent())
    assert not (tmp_path / "out").exists()


def test_names_with_quotes_survive_the_written_file(tmp_path):
    folder = tmp_path / 'a "b" \\ ü'
    rescue.begin(Wish(folder=folder, file=training_file(tmp_path / "train.jsonl")), progress=Silent())
    assert parse((folder / "freehold.toml").read_text()).app.name == 'a "b" \\ ü'


def test_paid_requests_need_a_yes(api, tmp_path):
    path = training_file(tmp_path / "train.jsonl")
    arguments = [str(path), "--dir", str(tmp_path / "out"), "--base-url", api.url, "--api-key-env", KEY]
    result = CliRunner().invoke(command, arguments)
    assert isinstance(result.exception, UsageError)
    assert not api.asked
    assert "60 requests" in result.stderr or re.search(
        r"freezing +\d+ requests, about [\d,]+ tokens", result.stderr
    )
    result = CliRunner().invoke(command, [*arguments, "--prepare", "--json"])
    assert json.loads(result.stdout)["model"] == MODEL
    listed = CliRunner().invoke(command, ["--list", *arguments[3:]])
    assert MODEL in listed.stdout
    assert CliRunner().invoke(command, [*arguments, "--budget-usd", "nan"]).exit_code == 2
