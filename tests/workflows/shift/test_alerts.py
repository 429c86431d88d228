"""Alarms to a webhook: what it gets, and what is said when it does not get it."""

import pytest
from tests.workflows.shift.shifting import START

from freehold.types.config import WatchConfig
from freehold.workflows.shift.alarms import Alarm, send_alarm

pytestmark = pytest.mark.process

ALARM = Alarm(kind="rolled_back", app="shop", route="support", at=START, why="too slow", action="rolled_back")
TOLD = {
    "kind": "rolled_back",
    "app": "shop",
    "route": "support",
    "at": "2026-03-01T12:00:00Z",
    "why": "too slow",
    "action": "rolled_back",
}
HOOK = WatchConfig(webhook_env="ALARM_URL")


def test_without_hooks_nothing_is_told():
    assert send_alarm(ALARM, WatchConfig()) == ()


def test_a_webhook_gets_the_alarm_as_json(hook):
    bodies, answer = hook
    assert send_alarm(ALARM, HOOK) == () and bodies == [TOLD]
    answer["status"] = 500
    assert send_alarm(ALARM, HOOK) == ("the alarm's webhook answered 500",)


@pytest.mark.parametrize(
    ("address", "trouble"),
    [
        (None, "ALARM_URL is not set"),
        ("ftp://secret", "ALARM_URL is not an http:// or https:// address"),
        ("http://127.0.0.1:1/secret", "cannot be reached: URLError"),
        ("http://[secret", "cannot be reached: ValueError"),
    ],
)
def test_a_webhook_that_cannot_be_told_is_named_without_its_address(monkeypatch, address, trouble):
    if address is None:
        monkeypatch.delenv("ALARM_URL", raising=False)
    else:
        monkeypatch.setenv("ALARM_URL", address)
    (said,) = send_alarm(ALARM, HOOK)
    assert trouble in said and "secret" not in said
