"""One suite for all methods: each learns, tells numbers, and goes on after a stop as if there had been none."""

import hashlib
import math

import msgspec
import pytest
import torch
from tests.training.conftest import (
    TEXT,
    make_model,
    make_sample,
    make_tokenizer,
    task_samples,
    weights_at,
    write_dataset,
)

from freehold import training
from freehold.errors import TrainingError
from freehold.training import base as bases
from freehold.training import loop
from freehold.training.formatting import format_samples
from freehold.training.methods import table
from freehold.training.methods.distill import DistillTrainer
from freehold.training.methods.distill_samples import SoftTarget, TaughtSample, format_taught
from freehold.training.methods.preference_samples import format_judged, format_pairs
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Message, TeacherToken

pytestmark = pytest.mark.timeout(600)

CONFIG = FinetuneConfig(
    r=4, batch_size=8, learning_rate=0.02, precision="fp32", checkpoint_steps=1000, epochs=6
)
CASES = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "distill": {"method": "distill"},
    "dpo": {"method": "dpo", "learning_rate": 0.005},
    "kto": {"method": "kto"},
    "full": {"method": "full", "learning_rate": 0.005},
}


def samples_for(count=24):
    """The task with everything any method asks for: a worse answer, and a like or dislike."""
    made = []
    for number, sample in enumerate(task_samples(count)):
        worse = TEXT[3 + (number + 1) % 3]
        made.append(
            msgspec.structs.replace(
                sample,
                incumbent=sample.gold,
                rejected=(Message(role="assistant", content=worse),),
                teacher=(
                    TeacherToken(text=sample.gold[:6], top=((sample.gold[:6], -0.1), (worse[:6], -2.5))),
                ),
            )
        )
    return made


@pytest.fixture(autouse=True)
def _one_thread():
    """Threads that wait for each other make tiny products slow on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def job(tmp_path_factory, tiny):
    folder = tmp_path_factory.mktemp("methods")
    dataset = write_dataset(folder / "data", samples_for(), samples_for(9))
    return training.make(config=CONFIG, dataset=dataset, base=tiny, out_dir=folder / "out", name="x")


class Run:
    """One training run in this process. `stop_at` ends it after so many steps, as a person or a kill would."""

    def __init__(self, job, changes, folder):
        self.config = msgspec.structs.replace(CONFIG, **changes)
        self.job = msgspec.structs.replace(job, config=self.config)
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.events = []

    def go(self, stop_at=None):
        self.events = []
        base = bases.load(self.job.base, table.load_config(self.config))
        approach = table.of(self.config.method)
        self.train = approach.read(self.job, base.tokenizer, "train").samples
        validation = approach.read(self.job, base.tokenizer, "validation").samples
        self.trainer = approach.make(base, self.config)

        def should_stop():
            return stop_at is not None and sum(event.kind == "step" for event in self.events) >= stop_at

        return loop.train(
            self.trainer, self.train, validation, job="j", folder=self.folder, emit=self.events.append,
            peak_memory=lambda: None, should_stop=should_stop,
        )  # fmt: skip

    @property
    def weights(self):
        return hashlib.sha256(self.trainer.parameters.flat.detach().numpy().tobytes()).hexdigest()


@pytest.mark.parametrize("name", CASES)
def test_a_method_learns_and_goes_on_after_a_stop_as_if_there_had_been_none(tmp_path, job, name):
    whole = Run(job, CASES[name], tmp_path / "whole")
    outcome = whole.go()
    first, last = (sum(loss for _, loss in part) / 3 for part in (outcome.curve[:3], outcome.curve[-3:]))
    assert last < 0.85 * first
    assert 0 < outcome.validation_loss < first
    assert 0 <= outcome.validation_score <= 1
    assert outcome.tokens > 0
    stopped = Run(job, CASES[name], tmp_path / "stopped")
    assert stopped.go(stop_at=4) is None
    again = stopped.go()
    assert stopped.events[0].step == 4
    assert stopped.weights == whole.weights
    assert again.curve == outcome.curve


@pytest.mark.parametrize("name", CASES)
def test_activations_computed_again_give_the_same_run(tmp_path, job, name):
    changes = CASES[name]
    plain = Run(job, changes, tmp_path / "plain").go()
    again = Run(job, {**changes, "gradient_checkpointing": True}, tmp_path / "again").go()
    assert [loss for _, loss in again.curve] == pytest.approx([loss for _, loss in plain.curve], rel=1e-5)


def test_dropout_is_for_learning_only(tmp_path, job):
    run = Run(job, {"lora_dropout": 0.5, "epochs": 2}, tmp_path / "run")
    run.go()
    first, second = (run.trainer.evaluate(run.train) for _ in range(2))
    assert first == second
    learning = [float(run.trainer.loss_sum(run.train)[0].detach()) for _ in range(2)]
    assert learning[0] != learning[1], "and it does drop while it learns"


def test_preferences_start_at_what_the_papers_say_and_end_as_people_judged(tmp_path, job):
    dpo = Run(job, CASES["dpo"], tmp_path / "dpo")
    outcome = dpo.go()
    assert outcome.curve[0][1] == pytest.approx(math.log(2), abs=1e-4)  # nothing preferred yet
    assert outcome.validation_score == 1.0
    # At the others' rate a run of this length overshoots, and whether it comes back depends on the processor.
    kto = Run(job, {"method": "kto", "learning_rate": 0.005, "epochs": 10}, tmp_path / "kto")
    outcome = kto.go()
    assert outcome.curve[0][1] == pytest.approx(0.5, abs=1e-4)
    assert len(kto.train) == 48  # a pair is one liked and one disliked answer
    assert outcome.validation_score > 0.75  # 0.83 at least over six seeds; a coin gets 0.5


def test_dpo_is_the_formula_of_the_paper(tmp_path, job):
    run = Run(job, {"method": "dpo", "epochs": 1}, tmp_path / "dpo")
    run.go()
    trainer, pair = run.trainer, run.train[0]

    def logprob(prompt, answer):
        ids = torch.tensor([[*prompt, *answer]])
        found = torch.log_softmax(trainer.model(input_ids=ids).logits[0], -1)
        return sum(found[len(prompt) + at - 1, token] for at, token in enumerate(answer))

    trainer.model.eval()
    with torch.no_grad():
        better, worse = logprob(pair.prompt, pair.chosen), logprob(pair.prompt, pair.rejected)
        with trainer.model.disable_adapter():
            better -= logprob(pair.prompt, pair.chosen)
            worse -= logprob(pair.prompt, pair.rejected)
        wanted = -torch.nn.functional.logsigmoid(CONFIG.beta * (better - worse))
    assert trainer.evaluate([pair]).loss == pytest.approx(float(wanted), abs=1e-4)


def test_preferences_that_cannot_be_used_are_rejected_with_the_reason(tokenizer):
    same = make_sample(1, "x", "lamp", rejected=(Message(role="assistant", content="lamp"),))
    none, long = (
        make_sample(2, "x", "lamp"),
        make_sample(3, "x", "lamp " * 900, rejected=(Message(role="assistant", content="a"),)),
    )
    found = format_pairs(tokenizer, [same, none, long], max_tokens=200)
    assert [one.code for one in found.rejects] == ["same_answers", "no_pair", "over_long"]
    disliked = make_sample(4, "x", None, incumbent="rug", desirable=False)
    judged = format_judged(tokenizer, [disliked, none], max_tokens=200)
    assert [(one.liked, one.id) for one in judged.samples] == [(False, "s4")]
    assert (
        judged.samples[0].prompt
        == format_samples(tokenizer, [make_sample(5, "x", "y")], max_tokens=200)
        .samples[0]
        .ids[: len(judged.samples[0].prompt)]
    )
    assert [one.code for one in judged.rejects] == ["not_judged"]


def test_a_teacher_s_probabilities_land_on_the_student_s_tokens():
    tokenizer = make_tokenizer()
    sample = make_sample(
        1, "x", "gold is not imitated", incumbent="order_status",
        teacher=(
            TeacherToken(text="order", top=(("order", math.log(0.7)), ("damaged", math.log(0.2)))),
            TeacherToken(text="_st", top=(("_st", math.log(0.9)), ("_cancel", math.log(0.1)))),
            TeacherToken(text="atus", top=(("atus", 0.0),)),
        ),
    )  # fmt: skip
    (taught,) = format_taught(tokenizer, [sample], max_tokens=200).samples
    targets = [token for token, wanted in zip(taught.ids, taught.mask, strict=True) if wanted]
    assert tokenizer.decode(targets) == "order_status<|im_end|>"
    first = taught.soft[0]
    assert first.at == 0
    assert first.ids[0] == tokenizer("order", add_special_tokens=False)["input_ids"][0]
    assert sum(first.probabilities) == pytest.approx(0.9)
    starts = [len(tokenizer.decode(targets[:at])) for at in range(len(targets))]
    assert {starts[one.at] for one in taught.soft} <= {0, 5, 8}
    # What the teacher spelled is not the answer: words only.
    odd = msgspec.structs.replace(sample, incumbent="order status")
    assert format_taught(tokenizer, [odd], max_tokens=200).samples[0].soft == ()
    missing = make_sample(2, "x", "gold")
    assert [one.code for one in format_taught(tokenizer, [missing], max_tokens=200).rejects] == ["no_teacher"]


def test_the_soft_loss_is_the_divergence_written_out(tiny):
    config = msgspec.structs.replace(CONFIG, method="distill", soft_share=0.25)
    base = bases.load(tiny, config)
    trainer = DistillTrainer(base, config)
    long = TaughtSample(
        "a", (1, 9, 8, 7, 30, 31, 2), (False,) * 4 + (True,) * 3, (SoftTarget(1, (31, 40), (0.6, 0.3)),)
    )
    short = TaughtSample(
        "b", (1, 9, 20, 2), (False,) * 2 + (True,) * 2, (SoftTarget(0, (20, 21), (0.5, 0.5)),)
    )
    with torch.no_grad():
        found, targets, _ = trainer.loss_sum([long, short])
        trainer.model.set_attn_implementation("sdpa")
        wanted = 0.0
        for one in (long, short):
            logs = torch.log_softmax(trainer.model(input_ids=torch.tensor([one.ids])).logits[0], -1)
            rows = [at - 1 for at, wanted_here in enumerate(one.mask) if wanted_here]
            soft = {told.at: told for told in one.soft}
            for at, row in enumerate(rows):
                word = -logs[row, one.ids[row + 1]]
                told = soft.get(at)
                if told is None:
                    wanted += word
                    continue
                p, q = torch.tensor(told.probabilities), logs[row, list(told.ids)]
                rest = 1 - float(p.sum())
                apart = (p * (p.log() - q)).sum()
                if rest > 1e-6:
                    apart += rest * (math.log(rest) - torch.log(1 - q.exp().sum()))
                wanted += 0.75 * word + 0.25 * apart
    assert targets == 5
    assert float(found) == pytest.approx(float(wanted), rel=1e-4)


@pytest.mark.parametrize("changes", [*CASES.values(), {"lora_dropout": 0.1}], ids=[*CASES, "dropout"])
def test_a_method_learns_in_bf16_too(tmp_path, job, changes):
    outcome = Run(job, {**changes, "precision": "bf16"}, tmp_path).go()
    first, last = (sum(loss for _, loss in part) / 3 for part in (outcome.curve[:3], outcome.curve[-3:]))
    assert last < 0.9 * first


def test_an_evaluation_changes_no_gradient_of_a_4_bit_base(tmp_path, tokenizer):
    pytest.importorskip("bitsandbytes")
    base = weights_at(tmp_path, make_model(tokenizer, hidden_size=64, intermediate_size=128), tokenizer)
    config = msgspec.structs.replace(CONFIG, method="qlora", precision="bf16")
    trainer = table.of("qlora").make(bases.load(base, config), config)
    for name, weights in trainer.model.named_parameters():
        if "lora_B" in name:  # a fresh adapter's zeros would hide most of the gradient
            weights.data.normal_(std=0.05)
    encoded = table.of("qlora").format(tokenizer, task_samples(8), config).samples

    def gradient():
        trainer.parameters.zero_gradient()
        trainer.loss_sum(encoded)[0].backward()
        return trainer.parameters.gradient.clone()

    before = gradient()
    trainer.evaluate(encoded)
    assert torch.equal(gradient(), before)


def test_full_fine_tuning_moves_every_weight_and_adapters_move_none_of_the_base(tmp_path, job, tiny):
    before = {name: one.clone() for name, one in bases.load(tiny, CONFIG).model.named_parameters()}
    run = Run(job, CASES["full"], tmp_path / "full")
    run.go()
    after = dict(run.trainer.model.named_parameters())
    assert all(not torch.equal(after[name], one) for name, one in before.items())
    lora = Run(job, {}, tmp_path / "lora")
    lora.go()
    base = dict(lora.trainer.base.model.named_parameters())
    untouched = [one for name, one in base.items() if "lora_" not in name]
    assert len(untouched) == len(before)
    assert all(torch.equal(a, b) for a, b in zip(untouched, before.values(), strict=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "magic"}, "no training method 'magic'"),
        ({"method": "dpo", "beta": 0.0}, "beta is 0.0"),
        ({"learning_rate": math.inf}, "learning_rate is inf"),
        ({"seed": -5}, "seed is -5"),
        ({"method": "kto", "batch_size": 1}, "batch_size is 1"),
        ({"method": "distill", "soft_share": 2.0}, "soft_share is 2.0"),
    ],
)
def test_options_that_cannot_work_are_refused_before_anything_is_loaded(changes, message):
    with pytest.raises(TrainingError, match=message):
        table.check(msgspec.structs.replace(CONFIG, **changes))


def test_the_paged_optimizer_says_what_it_needs(tiny):
    from freehold.training.compute.trainer_base import make_optimizer

    with pytest.raises(TrainingError, match="needs a CUDA device"):
        make_optimizer(torch.zeros(2), "cpu", msgspec.structs.replace(CONFIG, optimizer="paged_adamw"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dpo", "full", "distill"])
def test_a_worker_leaves_a_whole_adapter(tmp_path, job, name):
    dataset = job.dataset
    config = msgspec.structs.replace(CONFIG, threads=1, **CASES[name])
    made = training.make(config=config, dataset=dataset, base=job.base, out_dir=tmp_path, name=name)
    events = list(training.train(made))
    assert events[-1].kind == "end"
    adapter = training.finished(made)
    assert ("model.safetensors" in adapter.files) == (name == "full")
    assert adapter.config.method == config.method
