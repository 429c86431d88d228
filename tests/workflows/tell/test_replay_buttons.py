"""The console's buttons on a trace: what asking it again costs, and the answer, cut where it is long."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tests.workflows.shift.shifting import ROUTE, trace

from freehold.errors import UsageError
from freehold.store import open_store
from freehold.types.trace import Usage
from freehold.workflows.project import open_project
from freehold.workflows.tell.replay_buttons import ReplayBody, ReplayPlanBody, plan, replay
from freehold.workflows.tell.views.trace import TEXT_MAX

AT = datetime(2026, 11, 29, tzinfo=UTC)


def test_a_plan_and_then_the_answer(tmp_path, monkeypatch, incumbent):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text(
        f'[app]\nname = "a"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "{incumbent.url}"\n'
        "price = { prompt = 10, completion = 100 }\n"
    )
    project = open_project()
    with open_store(project.store_url) as store:
        store.save_route(ROUTE, who="ada", at=AT)
        store.add_traces([trace(1, id="one", usage=Usage(prompt_tokens=4, completion_tokens=2))])
        told = plan(project, store, ReplayPlanBody(id="one", side="incumbent"), who="ada", at=AT)
        assert told.most_usd > 0 and incumbent.seen == []
        with pytest.raises(UsageError, match="not agreed"):
            replay(project, store, ReplayBody(id="one", side="incumbent"), who="ada", at=AT)
        incumbent.says = "x" * (TEXT_MAX + 5)
        agreed = ReplayBody(id="one", side="incumbent", agreed_usd=told.most_usd)
        shown = replay(project, store, agreed, who="ada", at=AT)
        assert len(shown.content.text) == TEXT_MAX and shown.content.characters == TEXT_MAX + 5
        assert shown.usd == Decimal("0.002") and shown.error is None
