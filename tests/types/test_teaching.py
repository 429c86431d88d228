from freehold.types.teaching import PseudoLabels, Teaching

LABELS = PseudoLabels(
    way="agreed",
    right_answers=100,
    pseudo=50,
    agreed=40,
    asked=100,
    right={"all": 80, "agreed": 90, "none": 85},
)


def test_how_many_pseudo_labels_are_learned_follows_from_the_way():
    ways = {"all": 50, "agreed": 40, "none": 0}
    for way, learned in ways.items():
        found = PseudoLabels(way=way, right_answers=1, pseudo=50, agreed=40)
        assert found.learned == learned
        assert found.text.startswith(f"{learned} of 50 answers of the incumbent")
    assert LABELS.text.endswith("heads have right with all 80.0%, agreed 90.0%, none 85.0%")


def test_all_of_it_in_lines():
    teaching = Teaching(id="t", dataset_id="d", pseudo_labels=LABELS, texts=7)
    assert teaching.lines[0] == LABELS.text
    assert teaching.lines[1].startswith("7 messages without a trusted answer are given to it")
    assert Teaching(id="t", dataset_id="d").lines == ()
