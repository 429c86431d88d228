"""What a project says of its gateway's log, spans and draining."""

import pytest

from freehold.errors import ConfigError
from freehold.workflows.project import open_project
from freehold.workflows.serve.telling import telling

HEAD = '[app]\nname = "x"\n'


def told(tmp_path, text):
    path = tmp_path / "freehold.toml"
    path.write_text(HEAD + text)
    return telling(open_project(path))


def test_the_file_turns_spans_on(tmp_path):
    assert told(tmp_path, "") == {
        "drain_s": 30.0,
        "log_requests": False,
        "otel": False,
        "otlp_endpoint": None,
        "otlp_headers_env": {},
    }
    said = told(tmp_path, '[serve]\ndrain_s = 2\n[telemetry]\notlp_endpoint = "http://127.0.0.1:4318"\n')
    assert (said["drain_s"], said["otel"], said["otlp_endpoint"]) == (2.0, True, "http://127.0.0.1:4318")


def test_the_environment_turns_them_on_where_the_file_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_OTEL", "1")
    said = told(tmp_path, "")
    assert (said["otel"], said["otlp_endpoint"]) == (True, None)


def test_a_header_without_its_variable_is_an_error(tmp_path, monkeypatch):
    monkeypatch.delenv("COLLECTOR_AUTH", raising=False)
    text = (
        '[telemetry]\notlp_endpoint = "http://c"\notlp_headers_env = { authorization = "COLLECTOR_AUTH" }\n'
    )
    with pytest.raises(ConfigError, match="COLLECTOR_AUTH, which is not set") as caught:
        told(tmp_path, text)
    assert "export COLLECTOR_AUTH" in (caught.value.hint or "")
    monkeypatch.setenv("COLLECTOR_AUTH", "x")
    assert told(tmp_path, text)["otlp_headers_env"] == {"authorization": "COLLECTOR_AUTH"}
