import json

from benchmarks import tiny_models
from freehold.hardware.gguf_header import Header
from freehold.settings import load
from freehold.workflows.prove.preflight import template
from freehold.workflows.prove.preflight.template import template_findings


def settings(tmp_path):
    return load({"FREEHOLD_HOME": str(tmp_path / "home")})


def gguf(tmp_path):
    path = tmp_path / "base.gguf"
    tiny_models.write_header(tiny_models.SHAPES["llama"], "Q8_0", path)
    return path


def test_a_file_with_a_template_is_ready(tmp_path, monkeypatch):
    monkeypatch.setattr(
        template, "read_header", lambda path: Header(str(path), {"tokenizer.chat_template": "{{ x }}"}, (), 1)
    )
    (found,) = template_findings(str(gguf(tmp_path)), settings(tmp_path))
    assert found.outcome == "ok"


def test_a_file_without_one_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(template, "read_header", lambda path: Header(str(path), {}, (), 1))
    (found,) = template_findings(str(gguf(tmp_path)), settings(tmp_path))
    assert found.outcome == "fail" and "no chat template" in found.text


def test_nothing_is_said_of_weights_that_are_not_here(tmp_path):
    assert not list(template_findings("org/nowhere", settings(tmp_path)))


def test_a_folder_tells_it_by_its_files(tmp_path):
    from freehold.types.model import Weights

    folder = tmp_path / "base"
    folder.mkdir()
    made = Weights(
        model_id="m",
        format="safetensors",
        quantization="BF16",
        bytes=1,
        sha256="",
        source="",
        path=str(folder),
    )
    (folder / "tokenizer_config.json").write_text("{}")
    assert not template._has_template(made)
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ x }}"}))
    assert template._has_template(made)
    (folder / "tokenizer_config.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ x }}")
    assert template._has_template(made)
