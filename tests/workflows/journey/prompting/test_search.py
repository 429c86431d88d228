"""A whole search over real HTTP: found, killed and gone on with, within its budget."""

import os
import signal
import subprocess
import sys
import threading
from decimal import Decimal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.prompts.modelled import SYSTEM
from tests.workflows.journey.prompting.shop import GOOD, Shop, Watched, block, planned, project, served

from freehold.errors import UpstreamError
from freehold.evals.chat.chat_client import Patience
from freehold.prompts.measuring import SearchEndedError
from freehold.store import open_store
from freehold.types.dataset import Dataset
from freehold.types.progress import Silent
from freehold.types.prompting import PromptSearch
from freehold.workflows.journey.paying.answers import PaidAnswers
from freehold.workflows.journey.prompting.search import ASKED, FOUND, folder_of, run
from freehold.workflows.project import open_project

ONCE = Patience(attempts=1)
PRICED = "price = { prompt = 1.0, completion = 1.0 }"


def only_rewriting(plan):
    """The plan without the plain ways, which help this model enough already."""
    import dataclasses

    return dataclasses.replace(plan, variants=plan.variants[:1])


def test_the_plain_ways_alone_halve_what_cannot_be_read(tmp_path, shop):
    opened, dataset = project(tmp_path, shop.url)
    watched = Watched()
    made = run(planned(opened, dataset), served(shop.url), progress=watched)
    assert (made.as_sent.malformed_share, made.best.malformed_share) == (1.0, 0.0)
    assert made.best.name == "reminder"
    assert {f"+{line}" for line in made.preparation.reminder.splitlines()} <= set(made.diff)
    assert (made.proposer, made.proposals, made.proposer_requests) == (None, (), 0)
    assert (
        made.candidate_requests
        == len(shop.of("small"))
        <= planned(opened, dataset).estimate.candidate_requests
    )
    assert shop.repeated("small") == [], "nothing is asked twice"
    assert watched.updates[-1][0] == watched.updates[-1][1]
    assert made.added_tokens > 0 and made.added_usd_per_1000_requests is None, "no price is known"


def test_a_scripted_proposer_halves_what_cannot_be_read_within_sixty_requests(tmp_path, shop):
    opened, dataset = project(tmp_path, shop.url, price=PRICED)
    plan = only_rewriting(planned(opened, dataset, proposer="incumbent", requests=60))
    made = run(plan, served(shop.url), progress=Silent())
    assert made.as_sent.malformed_share == 1.0 and made.best.malformed_share <= 0.5
    assert made.preparation.system == GOOD and made.preparation.system_was == SYSTEM
    assert made.words == "It writes sentences where JSON was wanted."
    assert made.proposer_requests == len(shop.of("writer")) <= 60
    assert f"+{GOOD}" in made.diff
    assert made.spent_usd > 0 and made.proposer == "incumbent (writer)"
    per_token = made.added_usd_per_1000_requests / (Decimal(made.added_tokens * 1000) / 1_000_000)
    assert per_token == pytest.approx(1, abs=1e-3), "a dollar for a million tokens"
    kept = msgspec.json.decode((folder_of(plan, served(shop.url)) / FOUND).read_bytes(), type=PromptSearch)
    assert kept == made


def test_the_held_out_part_and_validation_texts_never_reach_the_proposer(tmp_path, shop):
    opened, dataset = project(tmp_path, shop.url)
    run(
        only_rewriting(planned(opened, dataset, proposer="incumbent", requests=6)),
        served(shop.url),
        progress=Silent(),
    )
    shown = str(shop.of("writer"))
    assert "t " in shown and not any(f"{split} {n}: my" in shown for split in "hv" for n in range(32))


@pytest.mark.parametrize("at", [3, 30, 45, 60])
def test_a_killed_search_goes_on_and_pays_nothing_twice(tmp_path, at):
    """Killed where answer number `at` has come and is not yet written down: all before is on the disk, and what is
    asked again is at most what was under way."""
    whole, whole_shop = _search_of(tmp_path / "whole", kill_at=None)
    made, shop = _search_of(tmp_path / "killed", kill_at=at)
    assert (made.trials, made.proposals) == (whole.trials, whole.proposals)
    again = len(shop.asked) - len(whole_shop.asked)
    assert 1 <= again <= 3, "three requests are under way at once"
    assert made.proposer_requests == len(shop.of("writer"))


def _search_of(folder, *, kill_at):
    folder.mkdir()
    shop = Shop(block("Be kind to people."), "no block at all", block(GOOD))
    try:
        opened, dataset = project(folder, shop.url)
        if kill_at is not None:
            script = (
                "import sys; from pathlib import Path\n"
                "from tests.workflows.journey.prompting.test_search import search_until\n"
                "search_until(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))"
            )
            given = [sys.executable, "-c", script, str(folder), shop.url, str(kill_at)]
            ran = subprocess.run(given, timeout=120, check=False)
            assert ran.returncode == 9, "it was killed"
        return run(_small_plan(opened, dataset), served(shop.url), progress=Silent()), shop
    finally:
        shop.shutdown()
        shop.server_close()


def _small_plan(opened, dataset):
    return only_rewriting(planned(opened, dataset, proposer="incumbent", requests=4))


def search_until(folder, url, count):
    """In a process of its own: search, and die without a word at answer number `count`."""
    written, original = [], PaidAnswers.answer

    def answer(self, *given):
        if len(written) >= count:
            os._exit(9)
        written.append(given)
        original(self, *given)

    PaidAnswers.answer = answer
    opened = open_project(folder / "freehold.toml")
    with open_store(opened.store_url) as store:
        dataset = store.latest(Dataset)
    run(_small_plan(opened, dataset), served(url), progress=Silent())


def test_a_larger_budget_goes_on_where_a_smaller_one_ended(tmp_path, shop):
    opened, dataset = project(tmp_path, shop.url)
    first = run(
        only_rewriting(planned(opened, dataset, proposer="incumbent", requests=1)),
        served(shop.url),
        progress=Silent(),
    )
    assert (first.proposer_requests, first.chosen) == (1, 0)
    second = run(
        only_rewriting(planned(opened, dataset, proposer="incumbent", requests=3)),
        served(shop.url),
        progress=Silent(),
    )
    assert second.proposer_requests == 3 == len(shop.of("writer"))
    assert second.preparation.system == GOOD


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    requests=st.integers(1, 9), cents=st.integers(0, 6), bad=st.lists(st.sampled_from([500, 429]), max_size=3)
)
def test_no_budget_is_ever_exceeded(tmp_path_factory, monkeypatch, requests, cents, bad):
    monkeypatch.setattr("freehold.workflows.journey.prompting.proposer.WAITS_SECONDS", (0.0, 0.0))
    folder = tmp_path_factory.mktemp("budget")
    shop = Shop(*bad, *[block(f"Answer number {n} in JSON, please.") for n in range(30)])
    try:
        usd = Decimal(cents) / 100
        opened, dataset = project(folder, shop.url, price=PRICED)
        plan = only_rewriting(planned(opened, dataset, proposer="incumbent", requests=requests, usd=usd))
        try:
            made = run(plan, served(shop.url), progress=Silent())
        except SearchEndedError:
            assert usd < Decimal("0.01"), "not even the request as it is sent could be measured"
            return
        assert made.proposer_requests == len(shop.of("writer")) <= requests
        assert made.spent_usd <= usd
        with PaidAnswers(folder_of(plan, served(shop.url)) / ASKED, reading=True) as paid:
            assert paid.committed_usd == made.spent_usd
    finally:
        shop.shutdown()
        shop.server_close()


def test_a_proposer_that_dies_leaves_what_was_found(tmp_path, monkeypatch):
    monkeypatch.setattr("freehold.workflows.journey.prompting.proposer.WAITS_SECONDS", (0.0,))
    shop = Shop(block(GOOD), 503)
    try:
        opened, dataset = project(tmp_path, shop.url)
        plan = only_rewriting(planned(opened, dataset, proposer="incumbent", requests=30))
        made = run(plan, served(shop.url), progress=Silent())
        assert made.preparation.system == GOOD
        assert "the proposer answers nothing any more" in made.stopped and "503" in made.stopped
        assert made.proposer_requests == 3
    finally:
        shop.shutdown()
        shop.server_close()


def test_a_refused_key_ends_the_proposals(tmp_path):
    shop = Shop(401)
    try:
        opened, dataset = project(tmp_path, shop.url)
        made = run(
            only_rewriting(planned(opened, dataset, proposer="incumbent", requests=30)),
            served(shop.url),
            progress=Silent(),
        )
        assert "401" in made.stopped and (made.chosen, made.proposer_requests) == (0, 1)
    finally:
        shop.shutdown()
        shop.server_close()


def test_a_candidate_that_dies_is_an_error_and_what_was_measured_stays(tmp_path, shop):
    opened, dataset = project(tmp_path, shop.url)
    plan = planned(opened, dataset)

    def die(body):
        if len(shop.of("small")) > 20:
            raise ConnectionError

    shop.on_ask = die
    with pytest.raises(UpstreamError, match="answers nothing any more") as caught:
        run(plan, served(shop.url), progress=Silent(), patience=ONCE)
    assert "not asked again" in caught.value.hint
    shop.on_ask, before = None, len(shop.of("small"))
    made = run(plan, served(shop.url), progress=Silent())
    assert made.best.name == "reminder"
    assert len(shop.of("small")) - before <= made.candidate_requests - 20


def test_ctrl_c_does_not_wait_for_answers_that_are_on_their_way(tmp_path, shop):
    """The model never answers its fourth request; what came before is kept."""
    opened, dataset = project(tmp_path, shop.url)
    plan, ended = planned(opened, dataset), threading.Event()

    def interrupt(body):
        if len(shop.asked) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        if len(shop.asked) >= 4:
            ended.wait(100)
            raise ConnectionError

    shop.on_ask = interrupt
    try:
        with pytest.raises(KeyboardInterrupt):
            run(plan, served(shop.url), progress=Silent())
        assert not ended.is_set()
    finally:
        ended.set()
    with PaidAnswers(folder_of(plan, served(shop.url)) / ASKED, reading=True) as paid:
        assert paid.of("answers").requests >= 4


def test_the_candidate_may_propose_for_itself(tmp_path):
    shop = Shop()
    small, asked = Shop.answer, []

    def answer(self, body):
        if "Write a better system prompt" in body["messages"][0]["content"]:
            asked.append(body["model"])
            return block(GOOD)
        return small(self, body)

    shop.answer = answer.__get__(shop)
    try:
        opened, dataset = project(tmp_path, shop.url)
        plan = only_rewriting(planned(opened, dataset, proposer="itself", requests=5))
        made = run(plan, served(shop.url), progress=Silent())
        assert made.preparation.system == GOOD and set(asked) == {"small"}
    finally:
        shop.shutdown()
        shop.server_close()
