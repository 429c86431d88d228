import hashlib
import json

from freehold.types.progress import Silent
from freehold.workflows.journey.beginning import prepare
from freehold.workflows.journey.first_request import first_request
from freehold.workflows.project import open_project


def project_at(folder, records):
    (folder / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (folder / "freehold.toml").write_text(
        '[app]\nname = "a"\n[data]\nfiles = ["log.jsonl"]\nheld_out = 0.5\nsystem = "Name it."\n'
        "[task]\nmax_tokens = 9\n"
    )
    return open_project(folder / "freehold.toml")


def test_it_asks_what_the_application_asks(tmp_path):
    project = project_at(
        tmp_path, [{"input": hashlib.sha256(b"%d" % n).hexdigest(), "label": "status"} for n in range(40)]
    )
    prepare(project, progress=Silent())
    found = first_request(project, "base:a")
    body = json.loads(found.path.read_text())
    assert body["model"] == "base:a" and body["max_tokens"] == 9
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][-1]["content"] == found.asks and len(found.asks) == 64


def test_without_a_dataset_there_is_none(tmp_path):
    assert first_request(project_at(tmp_path, []), "base:a") is None
