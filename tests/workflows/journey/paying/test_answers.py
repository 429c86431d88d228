import stat
from decimal import Decimal

import pytest

from freehold.errors import StorageError
from freehold.evals.answers import ChatAnswer
from freehold.types.trace import Usage
from freehold.workflows.journey.paying.answers import PaidAnswers

YES = ChatAnswer(output="yes", usage=Usage(prompt_tokens=5, completion_tokens=1))


def test_answers_and_dollars_outlive_the_process(tmp_path):
    path = tmp_path / "deep" / "asked.jsonl"
    with PaidAnswers(path) as paid:
        paid.ask("one", "train", Decimal("0.5"))
        assert paid.committed_usd == Decimal("0.5")
        paid.answer("one", YES, Decimal("0.1"))
        assert paid.committed_usd == Decimal("0.1")
    with PaidAnswers(path) as paid:
        assert paid.get("one") == YES
        assert paid.of("train") == (5, 1, Decimal("0.1"), 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_request_under_way_at_a_kill_counts_at_its_most(tmp_path):
    path = tmp_path / "asked.jsonl"
    with PaidAnswers(path) as paid:
        paid.ask("one", "train", Decimal("0.5"))
    with PaidAnswers(path) as paid:
        assert paid.get("one") is None
        assert paid.spent_usd == Decimal("0.5")
        paid.ask("one", "train", Decimal("0.5"))
    with PaidAnswers(path) as paid:
        assert paid.spent_usd == Decimal("1.0")
        paid.ask("one", "train", Decimal("0.5"))
        paid.answer("one", YES, Decimal("0.1"))
    with PaidAnswers(path) as paid:
        assert paid.get("one") == YES
        assert paid.spent_usd == Decimal("1.1")


def test_a_line_cut_by_a_crash_spoils_no_other(tmp_path):
    path = tmp_path / "asked.jsonl"
    with PaidAnswers(path) as paid:
        paid.ask("one", "train", Decimal("0.5"))
        paid.answer("one", YES, Decimal("0.1"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with PaidAnswers(path) as paid:
        assert paid.get("one") is None
        assert paid.spent_usd == Decimal("0.5")
        paid.ask("two", "held_out", Decimal("0.2"))
        paid.answer("two", YES, Decimal("0.1"))
    with PaidAnswers(path) as paid:
        assert paid.get("two") == YES
        assert paid.spent_usd == Decimal("0.6")


def test_what_may_be_better_next_time_is_paid_and_not_kept(tmp_path):
    lost = ChatAnswer(fault="infrastructure", error="connection_lost: gone")
    with PaidAnswers(tmp_path / "asked.jsonl") as paid:
        paid.ask("one", "train", Decimal("0.5"))
        paid.answer("one", lost, Decimal("0.5"))
        assert paid.get("one") is None
        assert paid.spent_usd == Decimal("0.5")


def test_looking_makes_no_file(tmp_path):
    with PaidAnswers(tmp_path / "deep" / "asked.jsonl", reading=True) as paid:
        assert paid.spent_usd == 0
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StorageError, match="cannot be written down"),
        PaidAnswers(tmp_path / "file" / "asked.jsonl"),
    ):
        pass
