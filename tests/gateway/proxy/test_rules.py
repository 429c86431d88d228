"""Which rules may decide, and their routers."""

import asyncio

import pytest
from tests.gateway.proxy.mixtures import mixed, own, rule_for

from freehold.errors import FreeholdError, StorageError
from freehold.gateway.proxy import rules
from freehold.gateway.proxy.rules import Rules
from freehold.types.deferral import RouterFiles

ONE = own("candidate", "http://127.0.0.1:1")
FILES = RouterFiles(path="router.bin", sha256="ab")


class Fixed:
    def score_text(self, text):
        return 0.5


def test_a_rule_decides_for_the_candidate_it_was_proven_for():
    assert Rules().refusal(rule_for(ONE), ONE, "tuned") is None


def test_not_for_another_and_the_operator_is_told_once_of_both(caplog):
    known, rule = Rules(), rule_for(ONE)
    moved = own("candidate", "http://127.0.0.1:2")
    assert [known.refusal(rule, moved, "tuned") for _ in range(3)] == ["other_version"] * 3
    assert known.refusal(rule, ONE, "base") == "other_version"
    assert len(caplog.messages) == 2
    assert rule.candidate_id in caplog.text and moved.candidate_id("tuned") in caplog.text


@pytest.mark.parametrize(
    "change",
    [{"threshold": 0.1}, {"always_incumbent": ({"team": "legal"},)}, {"candidate": "other"}, {"id": ""}],
)
def test_a_rule_that_was_changed_after_its_proof_decides_nothing(change):
    import msgspec

    assert Rules().refusal(msgspec.structs.replace(rule_for(ONE), **change), ONE, "tuned") == "unreadable"


def test_a_router_is_read_once(monkeypatch):
    seen = []
    known = Rules(lambda rule: seen.append(rule) or Fixed())
    rule = rule_for(ONE, way="router", signal="router", router=FILES)

    async def ask():
        await known.warm(
            [mixed("mix", ONE, rule), mixed("plain", ONE, None), mixed("cascade", ONE, rule_for(ONE))]
        )
        return await asyncio.gather(*(known.router(rule) for _ in range(3)))

    routers = asyncio.run(ask())
    assert len(seen) == 1 and len(set(map(id, routers))) == 1 and known.known(rule) is routers[0]


def test_one_that_cannot_be_read_is_tried_again_after_a_while(monkeypatch, caplog):
    def load(rule):
        seen.append(rule)
        raise StorageError("the router is not the one that was proven")

    seen = []
    known = Rules(load)
    rule = rule_for(ONE, way="router", signal="router", router=FILES)

    async def ask():
        for _ in range(3):
            with pytest.raises(FreeholdError, match="not the one that was proven"):
                await known.router(rule)

    asyncio.run(ask())
    assert len(seen) == 1 and len(caplog.messages) == 1
    monkeypatch.setattr(rules, "AGAIN_AFTER_S", 0.0)
    asyncio.run(ask())
    assert len(seen) == 4
