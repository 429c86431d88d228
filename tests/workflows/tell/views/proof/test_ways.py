"""What would change a verdict, with commands that exist."""

import shlex

import msgspec
import pytest
from tests.report import sample_report
from tests.workflows.prove.test_results import evaluation

from freehold.cli.main import cli
from freehold.types.evaluation import LookCount, SliceResult
from freehold.types.verdict import Reason, Verdict
from freehold.workflows.tell.views.proof.ways import ways_out


def made(**changes):
    return msgspec.structs.replace(
        evaluation("e1", "d"), comparison=sample_report.comparison(**changes), candidate="org/some model"
    )


def commands(found):
    return [way.command for way in found]


HARMED = SliceResult(
    name="language=de", n=40, difference=-0.2, ci_low=-0.3, ci_high=-0.1, p_harm=0.001, p_harm_adjusted=0.002,
    harmed=True,
)  # fmt: skip
SPENT = LookCount(
    number=2, planned=1, items=10, shared=10, first_at=None, first_evaluation="e0", alpha=0.0, alpha_spent=0.025,
    may_promote=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"verdict": "promote", "reasons": ("noninferior",)}, "freehold rollout start"),
        ({"verdict": "hold", "needed_n": 1400}, "freehold power --margin 0.03"),
        ({"verdict": "hold", "look": SPENT}, "freehold import NEW.jsonl --held-out"),
        ({"verdict": "hold", "needed_n": None, "slices": (HARMED,)}, "freehold dataset check"),
        ({"verdict": "reject", "needed_n": None}, "freehold defer plan"),
    ],
)
def test_what_decides_comes_first(changes, first):
    assert commands(ways_out(made(**changes)))[0] == first


def test_what_blocks_besides_the_comparison_stands_above_it():
    blocked = Verdict(
        id="v", outcome="reject", candidate="c", incumbent="i",
        reasons=(
            Reason(code="interval_spans_margin", text="by scores", record_id="c" * 32, effect="hold"),
            Reason(code="license_not_allowed", text="Not for this use.", record_id="r", effect="reject"),
            Reason(code="does_not_fit", text="Too large.", record_id="f", effect="hold"),
            Reason(code="latency_noted", text="slow", effect=None),
        ),
    )  # fmt: skip
    found = ways_out(made(verdict="promote"), blocked)
    assert [way.text for way in found] == ["Not for this use.", "Too large."]
    assert commands(found) == ["freehold license 'org/some model'", "freehold fit 'org/some model'"]


def test_without_an_incumbent_it_says_how_to_get_one():
    assert commands(ways_out(evaluation("e1", "d"))) == ["freehold freeze"]


def test_every_command_exists():
    """Each is a command of freehold with options that it has."""
    found = {
        way.command
        for changes in (
            {"verdict": "hold", "look": SPENT, "slices": (HARMED,)},
            {"verdict": "reject"},
            {"verdict": "promote"},
        )
        for way in ways_out(made(**changes))
    }
    for line in found:
        words = shlex.split(line)
        assert words[0] == "freehold"
        command = cli
        rest = words[1:]
        while rest and hasattr(command, "get_command"):
            command = command.get_command(None, rest.pop(0))
            assert command is not None, line
            if not hasattr(command, "get_command") or not rest or rest[0].startswith("-"):
                break
        options = {name for one in command.params for name in one.opts}
        assert {word for word in rest if word.startswith("--")} <= options, line
