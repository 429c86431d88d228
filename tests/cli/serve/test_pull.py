"""Fetching itself is in tests/engines/weights and tests/workflows/weights."""

import pytest
from tests.engines.weights.conftest import _tiny_gguf


@pytest.fixture
def weights(freehold, tmp_path):
    """A file that looks like a GGUF, registered where it lies."""
    (tmp_path / "mine.gguf").write_bytes(_tiny_gguf())
    ran = freehold("pull", "file:mine.gguf", "--json")
    assert ran.code == 0, ran.err
    return ran.json


def test_a_file_is_used_in_place(freehold, weights, tmp_path):
    assert weights["path"] == str(tmp_path / "mine.gguf")
    assert freehold("pull", "file:mine.gguf").out.endswith(f"  sha256  {weights['sha256']}\n")


def test_weights_are_listed_shown_and_forgotten(freehold, weights, tmp_path):
    name = weights["model_id"]
    (listed,) = freehold("weights", "list", "--json").items
    assert (listed["weights"]["model_id"], listed["owned"]) == (name, False)
    assert "(in place)" in freehold("weights", "list").out
    assert freehold("weights", "show", name, "--json").json["weights"] == {
        name: value for name, value in weights.items() if name != "schema"
    }
    assert "\nowned    no, read in place\n" in freehold("weights", "show", name).out
    assert "its files stay at" in freehold("weights", "rm", name).err
    assert (tmp_path / "mine.gguf").exists()
    assert freehold("weights", "list").err == "no weights here yet; freehold pull MODEL gets some\n"


def test_what_was_forgotten_is_told_in_json(freehold, weights, tmp_path):
    name = weights["model_id"]
    told = freehold("weights", "rm", name, "--json")
    stays = {"name": name, "freed_bytes": None, "files_stay_at": str(tmp_path / "mine.gguf")}
    assert (told.fields, told.err) == (stays, "")


def test_mistakes(refused, monkeypatch):
    refused("pull", "file:gone.gguf", message="gone.gguf: no such file")
    refused("weights", "show", "gone", message="no weights of gone are here", hint="freehold pull gone")
    refused("weights", "rm", "gone", message="no weights of gone are here")
    monkeypatch.setenv("FREEHOLD_OFFLINE", "1")
    refused("pull", "org/gone", message="weights of org/gone are not here", hint="FREEHOLD_OFFLINE")
