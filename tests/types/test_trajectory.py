from freehold.types.evaluation import Score
from freehold.types.trajectory import Trajectory, TurnTaken


def test_results_of_tools_are_counted_by_where_they_came_from():
    turns = (
        TurnTaken(number=1, answer="x", results=("exact", "nearest 0.83", "exact")),
        TurnTaken(number=2, answer="y"),
        TurnTaken(number=3, answer="z", results=("miss",)),
    )
    played = Trajectory(
        session="s",
        turns=turns,
        ended="finished",
        success=Score(value=1.0),
        recorded_success=Score(value=1.0),
        recorded_turns=3,
        parted_at=None,
        messages=(),
    )
    assert [played.results(how) for how in ("exact", "nearest", "miss", "end")] == [2, 1, 1, 0]
