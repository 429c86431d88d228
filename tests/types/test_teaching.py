from decimal import Decimal

from freehold.types.teaching import Paraphrases, PseudoLabels, Teaching

LABELS = PseudoLabels(
    way="agreed",
    right_answers=100,
    pseudo=50,
    agreed=40,
    asked=100,
    right={"all": 80, "agreed": 90, "none": 85},
)
WRITTEN = Paraphrases(
    model="writer", endpoint="house", classes=2, written=20, kept=12, left_out={"nearly the same as another": 8},
    requests=6, spent_usd=Decimal("0.25"), stopped="the budget", share=0.1,
)  # fmt: skip


def test_how_many_pseudo_labels_are_learned_follows_from_the_way():
    ways = {"all": 50, "agreed": 40, "none": 0}
    for way, learned in ways.items():
        found = PseudoLabels(way=way, right_answers=1, pseudo=50, agreed=40)
        assert found.learned == learned
        assert found.text.startswith(f"{learned} of 50 answers of the incumbent")
    assert LABELS.text.endswith("heads have right with all 80.0%, agreed 90.0%, none 85.0%")


def test_what_was_written_is_told_with_its_share_and_its_price():
    assert WRITTEN.text == (
        "12 of 20 messages that writer wrote for 2 rare classes are learned from: 10.0% of the training samples "
        "(6 requests, $0.2500); left out: 8 nearly the same as another; ended early: the budget"
    )


def test_all_of_it_in_lines():
    teaching = Teaching(id="t", dataset_id="d", pseudo_labels=LABELS, paraphrases=WRITTEN, texts=7)
    assert teaching.lines == (LABELS.text, WRITTEN.text, "7 messages without an answer are learned from")
    assert Teaching(id="t", dataset_id="d").lines == ()
