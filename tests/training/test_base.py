"""Loading a base, what is refused, and what its model makes of an answer."""

import gguf
import msgspec
import pytest
import torch
from tests.training.conftest import task_samples
from tests.training.output.merging import adapter_on, gguf_of

from freehold.errors import TrainingError, WeightsError
from freehold.training import base as bases
from freehold.training import reference
from freehold.training.base import parsed_once
from freehold.training.reference import ReferenceJob, ReferenceQuery
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Message


@pytest.mark.parametrize(
    ("capabilities", "name", "reason"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, "bf16", "CPU with AMX"),
        ({"bf16": True}, "bf16", "CPU with Arm BF16"),
        ({"avx512_bf16": False}, "fp32", "no fast bf16 on this cpu"),
    ],
)
def test_bf16_is_chosen_where_the_cpu_multiplies_it_fast(monkeypatch, capabilities, name, reason):
    monkeypatch.undo()  # what conftest puts in the place of the machine
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert bases.choose_precision("cpu") == (name, reason)


def test_a_folder_is_loaded_frozen_with_its_template(tiny, tokenizer):
    loaded = bases.load(tiny, FinetuneConfig())
    assert loaded.architecture == "llama" and loaded.dtype == torch.float32
    assert not any(weight.requires_grad for weight in loaded.model.parameters())
    assert loaded.weight_bytes == sum(weight.numel() for weight in loaded.model.parameters()) * 4
    assert loaded.tokenizer.chat_template == tokenizer.chat_template
    other = msgspec.structs.replace(tiny, chat_template="{{ messages }}")
    assert bases.load_tokenizer(other).chat_template == "{{ messages }}"


def test_the_architecture_of_a_gguf_is_what_it_says(tiny, tmp_path):
    model = bases.load(tiny, FinetuneConfig()).model
    gguf_of(model, tmp_path / "base.gguf")
    weights = msgspec.structs.replace(tiny, format="gguf", path=str(tmp_path / "base.gguf"))
    assert bases.architecture(weights, model) == "llama"
    model.config.architectures = ["OddForCausalLM"]
    assert bases.architecture(tiny, model) is None


def test_weights_that_are_missing_or_broken_are_said_so(tiny, tmp_path):
    gone = msgspec.structs.replace(tiny, path=str(tmp_path / "gone"))
    with pytest.raises(WeightsError, match="are not at") as caught:
        bases.load(gone, FinetuneConfig())
    assert caught.value.hint == "freehold models pull test/tiny"
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(WeightsError, match="cannot read safetensors weights of test/tiny"):
        bases.load(msgspec.structs.replace(tiny, path=str(tmp_path)), FinetuneConfig())


def test_a_gguf_is_not_quantized_a_second_time(tiny):
    bases.check_method(tiny, FinetuneConfig(method="qlora"))
    with pytest.raises(TrainingError, match="a second time") as caught:
        bases.check_method(msgspec.structs.replace(tiny, format="gguf"), FinetuneConfig(method="qlora"))
    assert 'method = "lora"' in caught.value.hint


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_the_same_file_is_read_once(file):
    original = gguf.GGUFReader
    with parsed_once():
        first, again = gguf.GGUFReader(str(file)), gguf.GGUFReader(file)
        assert first is again
        assert first.get_field("general.architecture").contents() == "llama"
    assert gguf.GGUFReader is original


def query(text="order_status", **changes):
    return ReferenceQuery(
        **{"id": "q", "messages": task_samples(1)[0].messages, "answer_text": text, **changes}
    )


@pytest.mark.timeout(600)
def test_log_probabilities_are_the_models(tiny):
    (scores,) = reference._judge(ReferenceJob(weights=tiny, adapter_path=None, queries=(query(),)))
    loaded = bases.load(tiny, FinetuneConfig())
    loaded.model.set_attn_implementation("eager")
    ids = torch.tensor([[*scores.prompt_ids, *scores.answer_ids]])
    with torch.no_grad():
        logs = torch.log_softmax(loaded.model(input_ids=ids).logits[0].float(), -1)
    begin = len(scores.prompt_ids) - 1
    expected = [float(logs[begin + at, token]) for at, token in enumerate(scores.answer_ids)]
    assert scores.logprobs == pytest.approx(expected, abs=1e-4)
    assert scores.best_ids == tuple(logs[begin : begin + len(expected)].argmax(-1).tolist())
    assert (scores.base_logprobs, scores.own_text) == ((), None)
    assert len(scores.prompt_tokens) == len(scores.prompt_ids)


# PEFT asks transformers by a name that transformers 5 deprecates.
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
def test_an_adapter_is_compared_with_its_base(tiny, tmp_path):
    adapter_on(tiny, tmp_path / "adapter")
    job = ReferenceJob(weights=tiny, adapter_path=str(tmp_path / "adapter"), queries=(query(),))
    (scores,), (plain,) = (
        reference._judge(one)
        for one in (job, ReferenceJob(weights=tiny, adapter_path=None, queries=(query(),)))
    )
    assert scores.base_logprobs == pytest.approx(plain.logprobs, abs=1e-4)
    assert scores.logprobs != pytest.approx(plain.logprobs, abs=0.1)


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
def test_prompts_are_written_with_the_template_that_was_trained_with(tiny, tmp_path):
    adapter_on(tiny, tmp_path / "adapter")
    template = "{{ tools | tojson }}{{ messages[0]['tool_calls'][0].function.arguments.order }}"
    (tmp_path / "adapter" / "chat_template.jinja").write_text(template)
    called = Message(
        role="assistant", tool_calls=[{"function": {"name": "f", "arguments": '{"order": "A-1"}'}}]
    )
    job = ReferenceJob(
        weights=tiny,
        adapter_path=str(tmp_path / "adapter"),
        queries=(query(messages=(called,), tools=[{"name": "f"}]),),
    )
    (scores,) = reference._judge(job)
    assert bases.load_tokenizer(tiny).decode(scores.prompt_ids) == '[{"name": "f"}]A-1'


@pytest.mark.timeout(600)
def test_the_end_of_a_turn_is_not_part_of_the_answer_and_a_limit_bounds_the_models_own(tiny, tokenizer):
    ids = tuple(tokenizer("order_status<|im_end|>", add_special_tokens=False)["input_ids"])
    job = ReferenceJob(weights=tiny, adapter_path=None, queries=(query(answer_ids=ids),), max_tokens=3)
    (scores,) = reference._judge(job)
    assert scores.answer_ids == ids[:-1]
    assert len(tokenizer(scores.own_text, add_special_tokens=False)["input_ids"]) <= 3
