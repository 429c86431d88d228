import pytest
import torch
from tests.training.conftest import task_samples

from freehold.errors import TrainingError
from freehold.training.formatting import Encoded
from freehold.training.loop import is_out_of_memory, retry_smaller

SAMPLES = [Encoded(f"s{n}", tuple(range(10)), (False,) * 9 + (True,)) for n in range(8)]


class Trainer:
    pack_tokens = 4096

    def recompute(self):
        return False

    def release(self):
        pass


def test_memory_that_runs_out_halves_what_is_computed_at_once():
    trainer, said = Trainer(), []

    def work(samples):
        if trainer.pack_tokens > 25:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 99 bytes")
        return len(samples)

    assert retry_smaller(trainer, work, SAMPLES, said.append) == 8
    assert trainer.pack_tokens == 20  # 80 tokens are there: 40, then 20.
    assert [message.partition(":")[0] for message in said] == ["out of memory"] * 2


def test_a_sample_that_does_not_fit_alone_is_an_error():
    def work(samples):
        raise MemoryError

    trainer = Trainer()
    with pytest.raises(TrainingError, match="one sample of 10 tokens"):
        retry_smaller(trainer, work, SAMPLES, lambda message: None)
    assert trainer.pack_tokens <= 10


def test_one_sample_at_a_time_is_tried_with_activations_computed_again():
    class Thrifty(Trainer):
        recomputes = False

        def recompute(self):
            before, self.recomputes = self.recomputes, True
            return not before

    def work(samples):
        if not trainer.recomputes:
            raise MemoryError
        return "done"

    trainer, said = Thrifty(), []
    assert retry_smaller(trainer, work, SAMPLES[:1], said.append) == "done"
    assert "computed again" in said[-1]


def test_a_layer_is_kept_by_its_input_alone(tiny, tokenizer):
    from freehold.training import base as bases
    from freehold.training.formatting import format_samples
    from freehold.training.methods import LoraTrainer
    from freehold.types.config import FinetuneConfig

    samples = format_samples(tokenizer, task_samples(12), max_tokens=512).samples

    def kept(*, again):
        config = FinetuneConfig(r=4)
        trainer = LoraTrainer(bases.load(tiny, config), config)
        if again:
            trainer.recompute()
        trainer.evaluate(samples)  # Takes the adapter's weights.
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.nbytes) or x, lambda x: x):
            loss, _, _ = trainer.loss_sum(samples)
        return sum(sizes), loss

    (plain, loss), (fewer, same) = kept(again=False), kept(again=True)
    assert fewer < plain / 3
    assert torch.equal(loss, same)


def test_other_errors_pass():
    def work(samples):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        retry_smaller(Trainer(), work, SAMPLES, lambda message: None)


def test_what_pytorch_says_is_known():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_a_step_in_halves_has_the_same_loss_and_leaves_the_same_adapter(tiny, tokenizer):
    from freehold.training import base as bases
    from freehold.training.formatting import format_samples
    from freehold.training.methods import LoraTrainer
    from freehold.types.config import FinetuneConfig

    config = FinetuneConfig(r=4)
    samples = format_samples(tokenizer, task_samples(12), max_tokens=512).samples
    whole, halved = (LoraTrainer(bases.load(tiny, config), config) for _ in range(2))
    fails = [True]

    def once(samples):
        if fails.pop() if fails else False:
            halved.loss_sum(samples)  # Something of the failed pass is left behind.
            raise MemoryError
        return halved.step(samples, 1e-3)

    expected, _ = whole.step(samples, 1e-3)
    found, _ = retry_smaller(halved, once, samples, lambda message: None)
    assert halved.pack_tokens < sum(len(sample.ids) for sample in samples)
    assert found == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(halved.parameters.flat, whole.parameters.flat, rtol=1e-4, atol=2e-4)
