"""A hub played by a server on loopback that speaks its listing API, asked with the real library."""

import http.server
import json
import threading
import urllib.parse
from datetime import UTC, datetime

import pytest

from freehold.errors import UpstreamError, UsageError
from freehold.settings import load
from freehold.types.machine import Workload
from freehold.workflows.choose.catalog import known_model, list_models, sync, synced_quantizations
from freehold.workflows.choose.quants import quants
from freehold.workflows.fit.fit import fit_model
from freehold.workflows.fit.machine import find_machine

pytest.importorskip("huggingface_hub")

CONFIG = {
    "model_type": "llama", "num_hidden_layers": 4, "hidden_size": 256, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 512, "vocab_size": 1000, "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}  # fmt: skip
NOW = datetime(2026, 11, 25, tzinfo=UTC)


class Hub(http.server.BaseHTTPRequestHandler):
    """`repositories`: id → {sha, tags, pipeline_tag, createdAt, gated, files: {name: bytes or size}}."""

    repositories: dict = {}
    asked: list = []

    def log_message(self, *_):
        return

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        url = urllib.parse.urlsplit(self.path)
        path, query = url.path.strip("/"), urllib.parse.parse_qs(url.query)
        self.asked.append(path)
        if path == "api/models":
            self.reply(json.dumps(self.listing(query)).encode(), body)
        elif path.startswith("api/models/"):
            repo = "/".join(path.split("/")[2:4])
            if repo not in self.repositories:
                return self.refuse(404, "RepoNotFound")
            self.reply(json.dumps(self.info(repo, files=True)).encode(), body)
        else:
            owner, name, _, revision, *rest = path.split("/")
            found = self.repositories[f"{owner}/{name}"]
            if found.get("gated"):
                return self.refuse(403, "GatedRepo")
            self.reply(found["files"]["/".join(rest)], body, commit=revision)
        return None

    def listing(self, query):
        author, filters = query.get("author", [None])[0], query.get("filter", [])
        found = [
            repo
            for repo, about in self.repositories.items()
            if (author is None or repo.startswith(f"{author}/"))
            and all(tag in about["tags"] for tag in filters)
        ]
        return [self.info(repo) for repo in found][: int(query.get("limit", ["1000"])[0])]

    def info(self, repo, *, files=False):
        about = self.repositories[repo]
        told = {
            "id": repo, "sha": about["sha"], "tags": about["tags"], "gated": about.get("gated", False),
            "pipeline_tag": about.get("pipeline_tag", "text-generation"),
            "createdAt": "2026-11-20T10:00:00.000Z",
        }  # fmt: skip
        if about.get("total"):
            told["safetensors"] = {"parameters": {"BF16": about["total"]}, "total": about["total"]}
        if files:
            told["siblings"] = [
                {"rfilename": name, "size": data if isinstance(data, int) else len(data)}
                for name, data in about["files"].items()
            ]
        return told

    def refuse(self, status, code):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def reply(self, data, body, commit=None):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if commit:
            self.send_header("ETag", '"e"')
            self.send_header("X-Repo-Commit", commit)
        self.end_headers()
        if body:
            self.wfile.write(data)


@pytest.fixture
def hub(monkeypatch):
    kind = type("ThisHub", (Hub,), {"repositories": {}, "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    kind.repositories.update(
        {
            "Qwen/Qwen9-1B": {
                "sha": "a" * 40, "tags": ["license:apache-2.0", "safetensors"], "total": 2_428_160,
                "files": {"config.json": json.dumps(CONFIG).encode(), "model.safetensors": 5_000_000},
            },
            "Qwen/Qwen9-Embed": {
                "sha": "b" * 40, "tags": [], "pipeline_tag": "feature-extraction", "files": {},
            },
            "Qwen/Qwen9-Strange": {
                "sha": "c" * 40, "tags": ["license:other"],
                "files": {"config.json": json.dumps({**CONFIG, "model_type": "qwen9_strange"}).encode()},
            },
            "Qwen/Qwen3-8B": {"sha": "d" * 40, "tags": [], "files": {}},
            "someone/Qwen3-8B-GGUF": {
                "sha": "e" * 40, "tags": ["gguf", "license:apache-2.0", "base_model:Qwen/Qwen3-8B",
                                          "base_model:quantized:Qwen/Qwen3-8B"],
                "files": {
                    "Qwen3-8B-Q4_K_M.gguf": 5_030_000_000, "Qwen3-8B-UD-Q2_K_XL.gguf": 3_000_000_000,
                    "Q8_0/Qwen3-8B-Q8_0-00001-of-00002.gguf": 5_000_000_000,
                    "Q8_0/Qwen3-8B-Q8_0-00002-of-00002.gguf": 3_710_000_000,
                    "mmproj-F16.gguf": 800_000_000,
                },
            },
            "Qwen/Qwen9-Gated": {
                "sha": "f" * 40, "tags": ["license:other"], "gated": "manual",
                "files": {"config.json": json.dumps(CONFIG).encode()},
            },
        }
    )  # fmt: skip
    yield kind
    server.shutdown()
    server.server_close()
    thread.join()


def test_new_releases_of_an_owner_are_kept_with_source_and_date_and_gated_ones_say_why(hub, settings):
    found = sync(settings, owners=("Qwen",), now=NOW)
    assert {(change.model, change.kind) for change in found.changes} == {
        ("Qwen/Qwen9-1B", "new"), ("Qwen/Qwen9-Strange", "new"), ("Qwen/Qwen9-Gated", "new"),
    }  # fmt: skip
    model = known_model(settings, "qwen9-1b")
    assert model.license == "apache-2.0"
    assert model.publisher == "Alibaba Qwen"
    assert model.fetched == NOW.date()
    assert model.source.endswith("/Qwen/Qwen9-1B @aaaaaaaa")
    assert model.shape.layers == 4
    assert model.shape.context_tokens == 8192
    gated = known_model(settings, "Qwen/Qwen9-Gated")
    assert gated.shape is None
    assert any("terms must be accepted" in note for note in gated.notes)


def test_a_second_sync_tells_only_what_changed_and_reads_nothing_twice(hub, settings):
    sync(settings, owners=("Qwen",), now=NOW)
    hub.asked.clear()
    assert sync(settings, owners=("Qwen",), now=NOW).changes == ()
    assert not any("resolve" in path for path in hub.asked)
    about = hub.repositories["Qwen/Qwen9-1B"]
    about.update(sha="9" * 40, tags=["license:qwen-research"])
    about["files"]["Qwen9-1B-Q4_K_M.gguf"] = 2_000_000
    changes = {change.kind: change for change in sync(settings, owners=("Qwen",), now=NOW).changes}
    assert (changes["license"].before, changes["license"].after) == ("apache-2.0", "qwen-research")
    assert changes["quantizations"].after == "Q4_K_M"


def test_quantizations_of_a_known_model_get_exact_bytes(hub, settings):
    sync(settings, models=("Qwen/Qwen3-8B",), now=NOW)
    seen = {one.quantization: one for one in synced_quantizations(settings, ("Qwen/Qwen3-8B",))}
    assert seen["Q8_0"].bytes == 8_710_000_000  # both parts
    assert len(seen["Q8_0"].files) == 2
    assert "F16" not in seen  # a projector is no model
    found = quants(
        "Qwen/Qwen3-8B", machine=find_machine("L4", settings), workload=Workload(), settings=settings
    )
    row = next(row for row in found.rows if row.quantization == "Q8_0")
    assert row.weights_bytes == 8_710_000_000
    assert row.known == ("hf:someone/Qwen3-8B-GGUF",)
    assert found.take == "Q8_0"


def test_a_synced_model_is_sized_offline(hub, settings):
    sync(settings, owners=("Qwen",), now=NOW)
    offline = load({"FREEHOLD_HOME": str(settings.home), "FREEHOLD_OFFLINE": "1"})
    found = fit_model("Qwen/Qwen9-1B", workload=Workload(), settings=offline)
    assert any("read from" in reason for reason in found.reasons)
    assert any(model.id == "Qwen/Qwen9-1B" for model in list_models(offline, family="qwen9")[1])


def test_offline_and_out_of_reach_say_so(settings, monkeypatch):
    offline = load({"FREEHOLD_HOME": str(settings.home), "FREEHOLD_OFFLINE": "1"})
    with pytest.raises(UsageError, match="FREEHOLD_OFFLINE"):
        sync(offline)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UpstreamError, match="cannot be reached"):
        sync(settings)


def test_unknown_repositories_are_told_and_do_not_stop_the_rest(hub, settings):
    found = sync(settings, models=("Qwen/Nothing", "Qwen/Qwen9-1B"), now=NOW)
    assert found.unread[0][0] == "Qwen/Nothing"
    assert [change.model for change in found.changes] == ["Qwen/Qwen9-1B"]
    assert known_model(settings, "Qwen/Nothing") is None
