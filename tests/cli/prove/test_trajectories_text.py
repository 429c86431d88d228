from freehold.cli.prove.trajectories_text import show_trajectories
from freehold.stats.compare import compare_scores
from freehold.stats.rules import DecisionRule
from freehold.types.evaluation import Comparison, Task
from freehold.types.trajectory import TrajectoryEvaluation, TurnSurvival


def made(turns):
    result = compare_scores(list("abc"), [1, 1, 1], [1, 0, 1], DecisionRule(margin=0.1))
    return TrajectoryEvaluation(
        id="x",
        task=Task(name="t", scorer="turn"),
        success="final_calls",
        dataset_id="d",
        incumbent="old",
        candidate="new",
        endpoint="http://x",
        comparison=Comparison.of(result, id="c", task="t", incumbent="old", candidate="new"),
        sessions=3,
        turns=7,
        ended={"finished": 2, "turn_limit": 1},
        results={"exact": 4},
        sessions_with_a_miss=0,
        survival=tuple(
            TurnSurvival(
                turn=n, at_risk=9, as_recorded=8, accuracy=8 / 9, survived=(8 / 9) ** n, if_independent=0.8**n
            )
            for n in range(1, turns + 1)
        ),
        results_file="there.jsonl",
    )


def test_a_table_shows_how_long_decisions_stay_as_recorded(capsys):
    show_trajectories(made(2))
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:2] == ["ended", "2"] and "1 turn limit" in line for line in lines)
    assert any(line.split()[:5] == ["1", "9", "88.9%", "88.9%", "80.0%"] for line in lines)
    assert lines[-1].endswith("there.jsonl")


def test_a_long_table_is_cut_and_says_so(capsys):
    show_trajectories(made(15))
    assert "… and 3 more turns (--json has them)" in capsys.readouterr().out
