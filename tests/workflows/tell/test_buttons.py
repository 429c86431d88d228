"""The buttons of a rollout do what they say, and force nothing."""

import pytest
from tests.workflows.shift.shifting import LATER, begun

from freehold.errors import UsageError
from freehold.store import open_store
from freehold.workflows.tell import buttons


def test_a_button_does_what_it_says_and_forces_nothing(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.sqlite") as store:
        begun(store)

        def press(button, why):
            button(None, store, buttons.RouteButton(route="support", why=why), who="bo", at=LATER)

        press(buttons.pause, "lunch")
        assert store.routes()[0].state == "incumbent"
        press(buttons.advance, "on")
        assert store.routes()[0].state == "shadow"
        with pytest.raises(UsageError):
            press(buttons.promote, "now")
        press(buttons.rollback, "enough")
        assert store.routes()[0].state == "rolled_back"
        assert store.route_history("support")[-1].why == "enough"
        with pytest.raises(UsageError):
            press(buttons.pause, "after the end")
