"""Codes that only the user sees."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from freehold.agents.mcp.confirming import LASTS, TRIES, Confirmations, call_id
from freehold.errors import UsageError

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
CALL = call_id("move_traffic", {"kind": "promote", "route": None, "why": "", "confirmation": None})


@pytest.fixture
def desk(tmp_path):
    return Confirmations(tmp_path / "mcp")


def asked(desk):
    return desk.ask("move_traffic", CALL, "move all traffic", at=NOW)


def test_a_code_lets_the_same_call_through_once(desk):
    code = desk.approve(asked(desk))
    assert re.fullmatch(r"[2-9A-Z]{4}-[2-9A-Z]{4}", code)
    desk.redeem(CALL, f" {code.lower()} ", at=NOW)
    with pytest.raises(UsageError, match="it was used"):
        desk.redeem(CALL, code, at=NOW)


def test_a_code_is_for_one_tool_with_one_set_of_arguments(desk):
    code = desk.approve(asked(desk))
    other = call_id("move_traffic", {"kind": "promote", "route": "other", "why": ""})
    assert (
        other
        != CALL
        == call_id("move_traffic", {"kind": "promote", "route": None, "why": "", "confirmation": "X"})
    )
    with pytest.raises(UsageError, match="the arguments differ"):
        desk.redeem(other, code, at=NOW)
    desk.redeem(CALL, code, at=NOW)


def test_nothing_is_let_through_before_the_user_agreed_or_after_they_did_not(desk):
    request = asked(desk)
    with pytest.raises(UsageError, match="not the code"):
        desk.redeem(CALL, "2222-2222", at=NOW)
    desk.refuse(request)
    with pytest.raises(UsageError):
        desk.redeem(CALL, "2222-2222", at=NOW)


def test_codes_are_not_guessed(desk):
    code = desk.approve(asked(desk))
    for _ in range(TRIES):
        with pytest.raises(UsageError, match="not the code"):
            desk.redeem(CALL, "2222-2222", at=NOW)
    with pytest.raises(UsageError, match="used"):
        desk.redeem(CALL, code, at=NOW)


def test_codes_get_too_old(desk):
    code = desk.approve(asked(desk))
    with pytest.raises(UsageError, match="too old"):
        desk.redeem(CALL, code, at=NOW + LASTS + timedelta(seconds=1))


def test_the_folder_does_not_hold_the_code_and_others_do_not_read_it(desk, tmp_path):
    code = desk.approve(asked(desk))
    (file,) = (tmp_path / "mcp").glob("*.json")
    assert code.replace("-", "") not in file.read_text() and code not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600 and (tmp_path / "mcp").stat().st_mode & 0o777 == 0o700


def test_the_same_call_waits_once_and_odd_files_are_passed_over(desk, tmp_path):
    assert asked(desk).id == asked(desk).id
    (tmp_path / "mcp" / "odd.json").write_text("{")
    (tmp_path / "mcp" / "other.json").write_text(json.dumps({"id": 1}))
    assert [one.what for one in desk.waiting(at=NOW)] == ["move all traffic"]
    assert Confirmations(tmp_path / "none").waiting() == []
