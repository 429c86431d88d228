from decimal import Decimal

import anyio
import pytest
from tests.workflows.incumbent.fine_tuning_api import KEY

from freehold.errors import UpstreamError
from freehold.evals.chat.chat_client import Patience
from freehold.types.config import PriceConfig
from freehold.types.dataset import Message, Sample
from freehold.types.endpoint import Endpoint
from freehold.types.evaluation import Task
from freehold.types.progress import Silent
from freehold.workflows.journey.harvest.asking import Sender
from freehold.workflows.journey.harvest.parts import Asked, answers_to
from freehold.workflows.journey.paying.answers import PaidAnswers
from freehold.workflows.journey.paying.prices import Prices

PRICES = Prices(PriceConfig(prompt=Decimal(1), completion=Decimal(1)), "mine")
SAMPLES = [Sample(id=f"s{n}", messages=(Message(role="user", content=f"a lamp {n}"),)) for n in range(30)]


def send(api, path, budget_usd):
    endpoint = Endpoint(name=api.url, engine="remote", base_url=api.url, api_key_env=KEY)
    asked = Asked(endpoint, "mine", Task(name="t", scorer="exact", max_tokens=10))
    came = []
    with PaidAnswers(path) as paid:
        sender = Sender(
            endpoint, paid, PRICES, budget_usd, patience=Patience(attempts=1, first_wait_seconds=0.0)
        )
        part = answers_to("train", asked, SAMPLES)
        anyio.run(sender.send, [part], Silent(), lambda ask, answer: came.append(answer.output))
        return sender.stopped, came, paid.spent_usd


def test_the_budget_holds_with_what_was_really_used(api, tmp_path):
    # 22 tokens each are used, of about 120 that a request could cost.
    stopped, came, spent = send(api, tmp_path / "asked.jsonl", Decimal("0.0005"))
    assert stopped.startswith("the budget")
    assert len(came) == len(api.asked)
    assert spent == len(came) * Decimal("0.000022") <= Decimal("0.0005")
    assert len(came) >= 10
    stopped, came, spent = send(api, tmp_path / "asked.jsonl", None)
    assert (stopped, len(came), len(api.asked)) == (None, 30, 30)
    assert came == ["lamp"] * 30


def test_an_api_that_only_fails_ends_it(api, tmp_path):
    api.limited = 1000
    with pytest.raises(UpstreamError, match="answers nothing any more: http_429"):
        send(api, tmp_path / "asked.jsonl", None)
    assert 1000 - api.limited <= 12
