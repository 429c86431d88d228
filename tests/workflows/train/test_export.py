"""Exports of an adapter, each with the files its tool wants and a card that says what the records say."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from freehold.cli.models import models as command
from freehold.errors import EngineError, StorageError, UsageError, WeightsError
from freehold.progress import Silent
from freehold.training.artefacts import sha256_of
from freehold.training.merge import merge_here
from freehold.workflows.train import export_kinds
from freehold.workflows.train.export import export

pytest.importorskip("torch")
pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize(
    ("kind", "quantization", "wanted"),
    [
        ("peft", None, {"adapter_model.safetensors", "adapter_config.json", "chat_template.jinja"}),
        ("gguf-adapter", None, {"adapter.gguf", "chat_template.jinja"}),
        ("gguf", None, {"inbox-Q8_0.gguf"}),
        ("gguf", "F16", {"inbox-F16.gguf"}),
        ("ollama", None, {"Modelfile", "base.gguf", "adapter.gguf"}),
        ("ollama", "F16", {"Modelfile", "inbox-F16.gguf"}),
        ("merged", None, {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"}),
        ("vllm", None, {"model.safetensors", "config.json", "tokenizer.json", "vllm.yaml"}),
    ],
)
def test_each_kind_has_its_files_and_a_card(ready, trained_on, monkeypatch, kind, quantization, wanted):
    project, adapter, weights, gguf = ready
    # In this process: a child would import torch anew for every case.
    monkeypatch.setattr(export_kinds, "merge", merge_here)
    trained_on(weights if kind in ("merged", "vllm") else gguf)
    made = export(project, adapter, kind, quantization=quantization, progress=Silent())
    assert wanted <= set(made.files)
    assert made.changed == (14 if kind in ("merged", "vllm", "gguf") or quantization else 0)
    folder = project.root / "exports" / f"inbox-abcdef01-{kind}"
    assert made.path == str(folder)
    assert {name: sha256_of(folder / name) for name in made.files} == made.files
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nbase_model: test/tiny\n")
    assert made.usage in card
    assert "Ruling: **unclear**" in card and "no licence is known" in card and "()" not in card
    for said in ("20 training answers were marked as right by a person", "gpt-4o-2024-08-06's own", adapter.id,
                 weights.sha256, "not been evaluated"):  # fmt: skip
        assert said in card
    if kind == "ollama":
        text = (folder / "Modelfile").read_text()
        assert ("ADAPTER ./adapter.gguf" in text) == (quantization is None)
        assert "TEMPLATE" in text
        assert 'PARAMETER stop "<|im_end|>"' in text
    again = export(project, adapter, kind, quantization=quantization, progress=Silent())
    assert again.path == made.path


def test_a_merge_needs_the_very_base(ready, trained_on):
    project, adapter, weights, _ = ready
    trained_on(msgspec.structs.replace(weights, sha256="f" * 64))
    with pytest.raises(WeightsError, match="other weights of test/tiny") as caught:
        export(project, adapter, "merged", progress=Silent())
    assert caught.value.hint.endswith("freehold models pull test/tiny")


def test_what_is_not_ours_is_not_overwritten(ready, tmp_path):
    project, adapter, _, _ = ready
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="not an export of freehold"):
        export(project, adapter, "peft", out=tmp_path / "mine", progress=Silent())
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot be written"):
        export(project, adapter, "peft", out=tmp_path / "file" / "x", progress=Silent())
    with pytest.raises(UsageError, match="--quant is for"):
        export(project, adapter, "peft", quantization="F16", progress=Silent())


def test_the_command_says_where_it_is_and_how_it_is_used(ready, tmp_path):
    result = CliRunner().invoke(command, ["export", "inbox", "--as", "peft", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["kind"] == "peft"
    result = CliRunner().invoke(command, ["export", "inbox", "--as", "gguf-adapter"])
    assert "llama-server" in result.stdout


@pytest.mark.process
def test_k_quants_need_the_program_and_a_failure_says_what_it_said(ready, trained_on, tmp_path, monkeypatch):
    project, adapter, _, gguf = ready
    trained_on(gguf)
    monkeypatch.setattr(export_kinds, "merge", merge_here)
    monkeypatch.setattr(export_kinds.native, "quantize", lambda home: None)
    with pytest.raises(UsageError, match="Q4_K_M needs llama"):
        export(project, adapter, "gguf", quantization="q4_k_m", progress=Silent())
    with pytest.raises(UsageError, match="Q9_9 is not known"):
        export(project, adapter, "gguf", quantization="q9_9", progress=Silent())
    program = tmp_path / "llama-quantize"
    program.write_text(
        '#!/bin/sh\necho "$4 from $2"; cp "$2" "$3"; [ "$4" != Q4_X ] || { echo "bad type"; exit 1; }\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(export_kinds.native, "quantize", lambda home: program)
    made = export(project, adapter, "gguf", quantization="Q4_K_M", progress=Silent())
    assert set(made.files) == {"inbox-Q4_K_M.gguf"}
    with pytest.raises(EngineError, match="could not write Q4_X, it ended with 1: bad type"):
        export(project, adapter, "gguf", quantization="Q4_X", progress=Silent())


def test_how_calls_are_written_is_said_where_it_matters(ready, trained_on, monkeypatch):
    project, adapter, weights, gguf = ready
    monkeypatch.setattr(export_kinds, "merge", merge_here)
    tagged = msgspec.structs.replace(adapter, call_format="tagged")
    for kind, base, file, said in (
        ("ollama", gguf, "Modelfile", "# Tools and calls are written in freehold's format"),
        ("vllm", weights, "vllm.yaml", "enable-auto-tool-choice: true\ntool-call-parser: hermes"),
    ):
        trained_on(base)
        made = export(project, tagged, kind, progress=Silent())
        assert said in (Path(made.path) / file).read_text()
        assert made.notes[0] == export_kinds.TAGGED
        assert export_kinds.TAGGED in (Path(made.path) / "README.md").read_text()
        export(project, adapter, kind, progress=Silent())
        assert said not in (Path(made.path) / file).read_text()


def test_licences_that_lie_next_to_the_base_come_along(ready, trained_on):
    project, adapter, _, gguf = ready
    trained_on(gguf)
    text = Path(gguf.path).with_name("LICENSE")
    text.write_text("terms")
    try:
        made = export(project, adapter, "ollama", progress=Silent())
    finally:
        text.unlink()
    assert (Path(made.path) / "LICENSE").read_text() == "terms" and "LICENSE" in made.files
    assert "as they came with its weights: `LICENSE`" in (Path(made.path) / "README.md").read_text()
    bare = export(project, adapter, "peft", progress=Silent())
    assert "No licence text lay next to" in (Path(bare.path) / "README.md").read_text()


def test_a_peft_adapter_of_dequantized_weights_says_so(ready):
    project, adapter, _, _ = ready
    trained_on = {"format": "gguf", "quantization": "Q4_1", "source": "pypi:x==1#x.gguf"}
    quantized = msgspec.structs.replace(adapter, metadata={"base_weights": trained_on})
    made = export(project, quantized, "peft", progress=Silent())
    assert "trained on the dequantized numbers of Q4_1 weights; the command loads" in made.notes[0]
    card = (Path(made.path) / "README.md").read_text()
    assert "the dequantized numbers of Q4_1 weights (`pypi:x==1#x.gguf`)" in card


def test_why_an_adapter_has_no_such_form_is_said(ready):
    project, adapter, _, _ = ready
    (Path(adapter.path) / "adapter.gguf").unlink(missing_ok=True)
    with pytest.raises(UsageError, match=r"no adapter.gguf") as caught:
        export(project, adapter, "gguf-adapter", progress=Silent())
    assert "merged" in caught.value.hint
