"""Training itself is in tests/training and tests/workflows/train."""

import io

import pytest
from tests.workflows.train.owned import manifest, owned_encoder

from freehold.types.config import FinetuneConfig
from freehold.workflows.project import open_project


def test_mistakes(refused, freehold, traffic, monkeypatch):
    monkeypatch.setenv("FREEHOLD_OFFLINE", "1")
    freehold("dataset", "build")
    refused(
        "train",
        "--dataset",
        "zz",
        message="no dataset has an id starting with zz",
        hint="known: support ",
    )
    refused(
        "train", "--base", "org/gone", message="weights of org/gone are not here", hint="FREEHOLD_OFFLINE"
    )
    assert "one at a time" in freehold("train", "--preview", "1", "--dry-run").err


@pytest.fixture
def adapters(freehold, project):
    folder = project / ".freehold" / "adapters"
    return [
        manifest(folder / "support-1"),
        manifest(folder / "support-2", id="c" * 32, config=FinetuneConfig(r=8), final_loss=0.5),
    ]


def test_adapters_are_listed_and_one_is_told_of(freehold, adapters):
    assert [one["id"] for one in freehold("models", "list", "--json").fields["adapters"]] == [
        one.id for one in adapters
    ]
    assert freehold("models", "list").out.splitlines()[1].endswith("loss 0.5000  10 steps")
    shown = freehold("models", "list", "a" * 8).out
    assert "r=16" in shown and "500 tokens/s" in shown and "█▁" in shown
    (one,) = freehold("models", "list", "support-2", "--json").fields["adapters"]
    assert one["base_model"] == "test/tiny"
    assert "2 adapters are called support" in freehold("models", "list", "support").err


def test_one_is_removed_with_a_yes(freehold, adapters, project, monkeypatch):
    folder = project / ".freehold" / "adapters" / "support-1"
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert freehold("models", "rm", "a" * 8).code != 0 and folder.is_dir()
    assert freehold("models", "rm", "a" * 8, "--yes").out.startswith("freed ") and not folder.exists()
    told = freehold("models", "rm", "support", "--yes", "--json").fields
    assert told["name"] == "support" and told["freed_bytes"] > 0


def test_encoders_alike(freehold, project):
    assert "nothing trained yet" in freehold("models", "list").err
    encoder = owned_encoder(open_project())
    line = freehold("models", "list").out
    assert line == "abcdef012345  support  frozen  test/tiny  92.5% of 40 right  120 samples\n"
    shown = freehold("models", "list", "support").out
    assert "one of 4 labels" in shown and "calibration error 0.031" in shown and encoder.path in shown
    made = freehold("models", "export", "support", "--out", "given").out
    assert "given" in made and 'python student.pyz "your text"' in made
    assert freehold("models", "rm", "support", "--yes").out.startswith("freed ")
    assert freehold("models", "list", "--json").fields["encoders"] == []
