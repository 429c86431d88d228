"""What is kept of a run is in tests/workflows/train/test_adapters.py."""

import io

import pytest
from tests.workflows.train.owned import manifest

from freehold.types.config import FinetuneConfig


@pytest.fixture
def adapters(freehold, project):
    folder = project / ".freehold" / "adapters"
    return [
        manifest(folder / "support-1"),
        manifest(folder / "support-2", id="c" * 32, config=FinetuneConfig(r=8), final_loss=0.5),
    ]


def test_they_are_listed_and_shown(freehold, refused, adapters):
    refused("adapters", "show", "support", message="2 adapters are called support", hint="")
    refused("adapters", "show", "nothing", message="no adapter nothing", hint="")
    assert "500 tokens/s" in freehold("adapters", "show", "aaaa").out
    assert [one["id"] for one in freehold("adapters", "list", "--json").items] == [one.id for one in adapters]
    assert freehold("adapters", "list").out.splitlines()[1].endswith("loss 0.5000  10 steps")
    assert freehold("adapters", "show", "aaaa", "--json").json["base_model"] == "test/tiny"


def test_one_is_removed_with_a_yes(freehold, adapters, project, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert freehold("adapters", "rm", "aaaa").code != 0
    assert (project / ".freehold" / "adapters" / "support-1").is_dir()
    ran = freehold("adapters", "rm", "aaaa", "--yes")
    assert ran.code == 0 and ran.out.startswith("freed ")
    assert not (project / ".freehold" / "adapters" / "support-1").exists()
    told = freehold("adapters", "rm", "cccc", "--yes", "--json").fields
    assert told["name"] == "support" and told["freed_bytes"] > 0
