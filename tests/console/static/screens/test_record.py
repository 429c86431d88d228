"""A record in a real browser: as it is stored, its ids leading on, and nothing in it is markup."""

import pytest

from freehold.store import open_store
from freehold.types.serving.rollout import Rollout

pytestmark = pytest.mark.browser


def test_a_record_is_a_list_of_its_fields(visit, project):
    with open_store(project.store_url) as store:
        (rollout,) = store.records(Rollout)
    page = visit.open(f"record?id={rollout.key}", waits=".tree")
    shown = page.locator("#screen").inner_text()
    assert Rollout.kind in shown and "support <b>intents</b>" in shown and "shadow_share" in shown
    visit.clean()
