from benchmarks import tiny_models
from freehold.hardware.gguf_header import Header
from freehold.settings import load
from freehold.types.dataset import RecordedAsking, Sample
from freehold.workflows.prove.preflight import template
from freehold.workflows.serve import tools


def settings(tmp_path):
    return load({"FREEHOLD_HOME": str(tmp_path / "home")})


def gguf(tmp_path):
    path = tmp_path / "base.gguf"
    tiny_models.write_header(tiny_models.SHAPES["llama"], "Q8_0", path)
    return path


def test_a_base_that_cannot_write_the_calls_that_requests_demand_fails(tmp_path, monkeypatch):
    def demanding(choice):
        asking = RecordedAsking(tool_choice=choice)
        return Sample(id="s", messages=(), tools=[{"type": "function"}], asking=asking)

    headers = {"tokenizer.chat_template": "{{ messages }}"}
    monkeypatch.setattr(tools, "read_header", lambda path: Header(str(path), headers, (), 1))
    base, samples = str(gguf(tmp_path)), [demanding("required"), demanding("auto")]
    (found,) = template.tool_findings(base, settings(tmp_path), samples)
    assert found.outcome == "fail" and "1 of 2 held-out requests demand a tool call" in found.text
    assert not list(template.tool_findings(base, settings(tmp_path), samples[1:]))
    headers["tokenizer.chat_template"] = "{{ tools }}"
    assert not list(template.tool_findings(base, settings(tmp_path), samples))
    # Not here yet: the catalog knows, or says nothing.
    (found,) = template.tool_findings("deepseek-ai/DeepSeek-R1", settings(tmp_path), samples)
    assert found.fix
    assert not list(template.tool_findings("org/nowhere", settings(tmp_path), samples))
