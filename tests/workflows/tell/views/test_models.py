"""The screen Models: every model with its reasons, on this machine and on another."""

from datetime import UTC, datetime

import pytest

from freehold.errors import UnknownModelError, UsageError
from freehold.store import open_store
from freehold.workflows.tell.views.models import ModelsQuery, models
from freehold.workflows.tell.views.query import catalog_model, machine_words

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def look(project, **query):
    with open_store(project.store_url) as store:
        return models(project, store, ModelsQuery(**query), at=NOW)


def test_what_if_on_another_machine(project):
    found = look(project, machine="2x H100", model="Qwen/Qwen3-32B")
    assert found.what_if == "2x H100" and "H100" in found.machine
    assert found.fit.model.startswith("Qwen/Qwen3-32B") and found.fit.fits and len(found.fit.parts) > 2
    assert sum(part.bytes for part in found.fit.parts) == found.fit.total_bytes
    small = look(project, machine="T4", model="Qwen/Qwen3-32B")
    assert not small.fit.fits and small.counts["shortlisted"] < found.counts["shortlisted"]
    assert found.command == "freehold assess --machine '2x H100'"


def test_each_model_left_out_says_why(project):
    found = look(project, machine="T4", show="excluded")
    assert found.rows and {row.outcome for row in found.rows} == {"excluded"}
    assert all(row.reasons for row in found.rows)
    assert found.matching == found.counts["excluded"]
    assert look(project, machine="T4", find="no such model").rows == ()
    seen, after = [], 0
    while after is not None:
        page = look(project, machine="T4", show="excluded", after=after)
        seen += [row.model for row in page.rows]
        after = page.next_after
    assert len(seen) == len(set(seen)) == found.matching


@pytest.mark.parametrize(
    "query", [{"machine": "T4", "model": "http://127.0.0.1:1"}, {"machine": "/etc/passwd"}]
)
def test_what_is_not_understood_is_told_and_nothing_is_opened(project, query, monkeypatch):
    monkeypatch.setattr("freehold.hardware.probes.memory_bandwidth", lambda cores: None)
    found = look(project, **query)
    assert found.problem and found.rows and found.fit is None


@pytest.mark.parametrize("spec", ["/etc/passwd", "machine.toml", "..\\x", "no such card"])
def test_files_and_nonsense_are_refused(spec):
    with pytest.raises(UsageError):
        machine_words(spec)


def test_a_file_here_that_is_named_like_a_card_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "L4").write_text("x")
    with pytest.raises(UsageError, match="not by a file"):
        machine_words("L4")


def test_models_are_those_of_the_catalog():
    assert catalog_model("qwen/qwen3-8b") == "Qwen/Qwen3-8B"
    assert catalog_model(None) is None
    for name in ("http://127.0.0.1:1", "/etc/passwd", "nix/nix"):
        with pytest.raises(UnknownModelError):
            catalog_model(name)
