"""Learning from preferences: where it starts, where it ends, and the papers' formula."""

import math

import pytest
import torch
from tests.training.methods.runs import CASES, CONFIG, Run

pytestmark = pytest.mark.timeout(600)


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
