"""Tools that prove."""

import json
from decimal import Decimal

import pytest

from freehold.agents.mcp.places import OutsideError
from freehold.errors import FreeholdError, UsageError


def answers(folder, name, right):
    rows = [{"id": str(n), "output": "yes" if n < right else "no", "gold": "yes"} for n in range(200)]
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_scores_of_a_file_and_of_values(folder, use):
    pairs = [[1, 1]] * 180 + [[1, 0]] * 5 + [[0, 1]] * 15
    (folder / "pairs.jsonl").write_text(
        "".join(json.dumps({"id": n, "a": a, "b": b, "part": "x"}) + "\n" for n, (a, b) in enumerate(pairs))
    )
    of_file = use("compare_scores", file="pairs.jsonl", margin=0.05, slices=["part"])
    of_values = use("compare_scores", pairs=pairs, margin=0.05)
    assert of_file["verdict"] == of_values["verdict"] == "promote" and of_file["slices"]


def test_two_files_of_answers_and_the_look_is_counted(folder, use):
    answers(folder, "a.jsonl", 180)
    answers(folder, "b.jsonl", 190)
    made = use(
        "evaluate_answers", incumbent_file="a.jsonl", candidate_file="b.jsonl", scorer="exact", margin=0.05
    )
    assert made["comparison"]["verdict"] == "promote" and made["comparison"]["look"]["number"] == 1
    assert made.get("disagreements", []) == [] and made["left_out"]["disagreements"]
    assert use("list_evaluations")["list"][0]["verdict"] == "promote"


def test_the_journey_says_what_it_will_do_and_ends_with_a_verdict(use, question):
    assert "make ready or train HuggingFaceTB/SmolLM2-135M-Instruct" in question("migrate")
    assert use("check_migration")["preflight"]["findings"]
    made = use("migrate")
    assert made["exit_code"] == 0 and made["candidates"][0]["stopped"] is None
    assert use("show_report")["id"] == use("show_report", report_id=made["report"][-32:-20])["id"]
    with pytest.raises(UsageError, match="mixture"):
        use("show_mixture")


def test_questions_say_how_much_and_where_to(folder, use, question):
    path = folder / "freehold.toml"
    path.write_text(path.read_text().replace('"rented-1"', '"gpt-4o"\nbase_url = "http://127.0.0.1:1"'))
    with pytest.raises(FreeholdError):
        question("freeze_incumbent")  # there is no dataset yet: the user is not asked
    use("check_migration")
    said = question("freeze_incumbent", repeats=2)
    assert "requests to gpt-4o at http://127.0.0.1:1, about $" in said
    assert question("evaluate_served", url="http://127.0.0.1:8420", model="m", max_requests=20).startswith(
        "send up to 20 held-out samples to m"
    )
    for url in ("https://example.com", "ftp://127.0.0.1/", "http://localhost.evil.example/"):
        with pytest.raises(OutsideError):
            question("evaluate_served", url=url, model="m")
    assert question("train_adapter") and question("check_parity") and question("plan_mixture")


def test_what_fails_to_be_asked_is_given_back_to_the_budget_only_as_far_as_it_was_not_sent(agent, use):
    use("check_migration")
    with pytest.raises(FreeholdError):  # nothing listens there
        use("evaluate_served", url="http://127.0.0.1:9", model="m", max_requests=30)
    assert agent.budget.requests == 1_000 - 30 and agent.budget.usd == Decimal(5)
