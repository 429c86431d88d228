"""What the kinds of export cannot do is said, with a way out."""

from pathlib import Path

import msgspec
import pytest

from freehold.errors import EngineError, UsageError
from freehold.progress import Silent
from freehold.training.merge import merge_here
from freehold.workflows.train import export_kinds
from freehold.workflows.train.export import export

pytest.importorskip("torch")
pytestmark = pytest.mark.timeout(300)


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
