"""A cheap model before the candidate: chosen by cost at equal shares, proven with it, the same when planned again."""

import pytest
from tests.gateway.loopback import FakeUpstream, plain
from tests.gateway.proxy.mixtures import told
from tests.workflows.journey.mixing.test_mixer import project
from tests.workflows.journey.mixing.test_upper import with_candidates

from freehold.store import open_store
from freehold.types.endpoint import ServePlan
from freehold.types.evaluated import ItemLook
from freehold.types.progress import Silent
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.journey.mixture import plan_mixture
from freehold.workflows.shift.routes import format_rule


def sure_of(name, is_easy):
    """A server that is right and sure where a request is easy for it, and else neither."""
    fake = FakeUpstream()

    def respond(seen):
        if not seen.body:
            return plain({"object": "list", "data": [{"id": name, "object": "model"}]})
        text = seen.json["messages"][-1]["content"]
        if is_easy(text):
            return plain(told("lamp" if "lamp" in text else "refund", -0.01 - 1e-5 * (len(text) % 7)))
        return plain(told("sofa", -2.0 - 1e-3 * (sum(map(ord, text)) % 97)))

    fake.answer = respond
    return fake


@pytest.fixture
def models():
    """What is easy for either does not show in the words, so that no router can tell."""
    quick = sure_of("quick", lambda text: int(text.split()[1]) % 4 == 1)
    careful = sure_of("careful", lambda text: int(text.split()[1]) % 4 != 3)
    yield quick, careful
    quick.close()
    careful.close()


def test_a_cheap_model_answers_first_and_all_of_it_is_one_look(tmp_path, models):
    quick, careful = models
    tables, ends = "", ""
    for name, fake, price in (("quick", quick, 1), ("careful", careful, 50)):
        tables += f'[[candidates]]\nmodel = "{name}"\nendpoint = "{name}"\nmethod = "as_is"\n'
        ends += f'[[endpoints]]\nname = "{name}"\nbase_url = "{fake.base_url}"\n'
        ends += f"price = {{ prompt = {price}, completion = {price} }}\n"
    opened = with_candidates(project(tmp_path, more=f"[defer]\ntiers = 2\n{ends}"), tables)
    migration = migrate(opened, progress=Silent())
    (proven,) = [one for one in migration.report.candidates if one.mixture is not None]
    mixture = proven.mixture
    assert proven.model == "careful" and mixture.is_proven
    first, last = mixture.rule.tiers
    assert (first.model, first.endpoint, first.base_url) == ("quick", "quick", quick.base_url)
    assert last == mixture.rule.candidate and last.model == "careful" and mixture.rule.problem is None
    assert mixture.share == pytest.approx(0.75, abs=0.06), "what either is sure of"
    asked, after = mixture.shares_asked
    assert asked == 1.0 and after == pytest.approx(0.75, abs=0.06), "the candidate is asked the less for it"
    with open_store(opened.store_url) as store:
        assert store.count_records(ItemLook) == 1
        assert store.latest(ServePlan).in_front == (), "both are served elsewhere"
    seen = len(quick.seen), len(careful.seen)
    again = plan_mixture(opened, progress=Silent())
    assert again.id == mixture.id and (len(quick.seen), len(careful.seen)) == seen
    assert format_rule(mixture.rule).startswith("quick/quick answers where its m")
