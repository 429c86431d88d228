import hashlib
import json

import pytest

from freehold.errors import InputError
from freehold.types.config import UseProfile
from freehold.workflows.license.lineage import file_hashes, read_lineage

USE = UseProfile()


def edges(path):
    return [(edge.kind, edge.model) for edge in read_lineage(path, USE).lineage.edges]


def test_model_card(tmp_path):
    card = tmp_path / "README.md"
    card.write_text(
        "---\nbase_model: google/gemma-2-9b\nbase_model_relation: adapter\nlicense: mit\n---\n# x\n"
    )
    read = read_lineage(tmp_path, USE).lineage
    assert [edge.kind for edge in read.edges] == ["base", "adapter"]
    assert read.edges[1].claimed_license == "mit"
    card.write_text("---\nbase_model: [a/b, c/d]\n---\n")
    assert [kind for kind, _ in edges(card)] == ["merge", "merge", "fine_tune"]
    card.write_text("# no front matter\n")
    with pytest.raises(InputError, match=r"README\.md"):
        read_lineage(card, USE)


def test_adapter_config(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "Qwen/Qwen2.5-3B"}')
    assert edges(tmp_path)[0] == ("base", "Qwen/Qwen2.5-3B")


def test_own_manifest_brings_the_incumbent_in(tmp_path):
    adapter = tmp_path / "adapters" / "support"
    dataset = tmp_path / "datasets" / "d1"
    adapter.mkdir(parents=True)
    dataset.mkdir(parents=True)
    manifest = {"name": "support", "base_model": "b/c", "dataset_id": "d1", "files": {"a.gguf": "00ff"}}
    (adapter / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="dataset d1"):
        read_lineage(adapter, USE)
    (dataset / "manifest.json").write_text(
        json.dumps({"id": "d1", "incumbent_model": "gpt-4o-2024-08-06", "targets_from": {"incumbent": 7}})
    )
    assert edges(adapter) == [
        ("base", "b/c"), ("distilled_from", "gpt-4o-2024-08-06"), ("adapter", "(ours) support")
    ]  # fmt: skip
    assert file_hashes(adapter) == {"a.gguf": "00ff"}


@pytest.mark.parametrize(
    "text", ["", "[]]", '"x"', "{}", '[{"role": "base"}]', '{"model": "m", "edges": [{}]}']
)
def test_what_is_no_lineage_is_an_error_with_the_path(tmp_path, text):
    path = tmp_path / "odd.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"odd\.json"):
        read_lineage(path, USE)


def test_gguf_metadata(tmp_path):
    gguf = pytest.importorskip("gguf")
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("Acme 8B")
    writer.add_base_model_count(1)
    writer.add_base_model_repo_url(0, "https://example.org/meta-llama/Llama-3.1-8B")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    assert edges(path) == [("base", "meta-llama/Llama-3.1-8B"), ("quantize", "(ours) Acme 8B")]
    path.write_bytes(b"not a gguf file at all")
    with pytest.raises(InputError, match=r"m\.gguf"):
        read_lineage(path, USE)


def test_weights_without_a_manifest_are_hashed(tmp_path):
    (tmp_path / "README.md").write_text("---\nbase_model: Qwen/Qwen2.5-7B\n---\n")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "notes.txt").write_text("no weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert file_hashes(tmp_path) == {"model.safetensors": digest}
