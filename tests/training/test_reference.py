"""What the trainer's model makes of an answer, against the model itself."""

import pytest
import torch
from tests.training.conftest import task_samples
from tests.training.output.merging import adapter_on

from freehold.training import base as bases
from freehold.training import reference
from freehold.training.reference import ReferenceJob, ReferenceQuery
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Message

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(autouse=True)
def _float32(monkeypatch):
    """Rounding to 16 bits would hide what is compared here."""
    monkeypatch.setattr(bases, "choose_precision", lambda *_: bases.Precision("fp32", "a test"))


def query(text="order_status", **changes):
    return ReferenceQuery(
        **{"id": "q", "messages": task_samples(1)[0].messages, "answer_text": text, **changes}
    )


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


def test_the_end_of_a_turn_is_not_part_of_the_answer_and_a_limit_bounds_the_models_own(tiny, tokenizer):
    ids = tuple(tokenizer("order_status<|im_end|>", add_special_tokens=False)["input_ids"])
    job = ReferenceJob(weights=tiny, adapter_path=None, queries=(query(answer_ids=ids),), max_tokens=3)
    (scores,) = reference._judge(job)
    assert scores.answer_ids == ids[:-1]
    assert len(tokenizer(scores.own_text, add_special_tokens=False)["input_ids"]) <= 3
