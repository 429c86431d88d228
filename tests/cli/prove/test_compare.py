import json

import pytest
from click.testing import CliRunner

from freehold.cli.main import cli
from freehold.errors import InputError, UsageError

ASKED = [
    "n", "unscored", "difference", "ci_low", "ci_high", "level", "method", "p_noninferiority", "a_only",
    "b_only", "smallest_detectable", "needed_n", "verdict", "reasons",
]  # fmt: skip


@pytest.fixture
def pairs(tmp_path):
    def write(rows):
        path = tmp_path / "pairs.jsonl"
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def rows(both=0, wins=0, losses=0, neither=0, unscored=0):
    scores = [(1, 1)] * both + [(0, 1)] * wins + [(1, 0)] * losses + [(0, 0)] * neither
    scores += [(1, None)] * unscored
    return [{"id": f"q{i}", "a": a, "b": b} for i, (a, b) in enumerate(scores)]


def compare(path, *options, margin="0.02"):
    return CliRunner().invoke(cli, ["compare", "--pairs", str(path), "--margin", margin, *options])


@pytest.mark.parametrize(
    ("counts", "code", "verdict"),
    [
        ({"both": 980, "wins": 10, "losses": 10}, 0, "promote"),
        ({"both": 800, "losses": 200}, 1, "reject"),
        ({"both": 20}, 3, "hold"),
        ({"unscored": 7}, 3, "hold"),
        ({"both": 3, "losses": 1}, 3, "hold"),
    ],
)
def test_exit_codes_and_fields(pairs, counts, code, verdict):
    result = compare(pairs(rows(**counts)), "--json")
    assert result.exit_code == code, result.output
    out = json.loads(result.stdout)
    assert list(out)[: len(ASKED) + 1] == ["schema", *ASKED]
    assert out["verdict"] == verdict
    assert out["reasons"]
    assert out["unscored"] == counts.get("unscored", 0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "q1", "a": 1, "b": 0}', "id 'q1' occurs more than once"),
        ('{"id": "x", "a": NaN, "b": 0}', "pairs.jsonl:3: not valid JSON"),
        ('{"id": "x", "a": "1", "b": 0}', "pairs.jsonl:3: not a pair: Expected"),
        ('{"a": 1, "b": 0}', "pairs.jsonl:3: not a pair: Object missing required field `id`"),
        ('{"id": "x", "a": 3, "b": 0}', "the incumbent's score of 'x' is 3, outside 0 to 1"),
        ("not json", "pairs.jsonl:3: not valid JSON"),
        ('{"id": "x", "a": 1}', "pairs.jsonl:3: not a pair: Object missing required field `b`"),
    ],
)
def test_bad_lines_are_named(pairs, line, message):
    result = compare(pairs([*rows(both=2), line]))
    assert isinstance(result.exception, InputError | UsageError)
    assert message in result.exception.message
    assert result.exception.hint
    assert result.exception.exit_code == 2


def test_a_margin_above_the_incumbents_own_rate_is_a_usage_error(pairs):
    result = compare(pairs(rows(both=10, neither=90)), margin="0.1")
    assert isinstance(result.exception, UsageError)
    assert "no candidate could fail" in result.exception.message


def test_ranges_are_declared(pairs):
    lines = [{"id": str(i), "a": 4, "b": 4 + (i % 2)} for i in range(100)]
    assert isinstance(compare(pairs(lines)).exception, UsageError)
    result = compare(pairs(lines), "--range", "1", "5", "--json", margin="0.2")
    out = json.loads(result.stdout)
    assert (out["verdict"], out["reasons"]) == ("promote", ["superior"])
    assert out["difference"] == 0.5
    told = compare(pairs(lines), "--range", "1", "5", margin="0.2").stdout
    assert "+0.5000 (95% interval" in told and "margin 0.2\n" in told, "points are for shares"


def test_a_person_reads_points_and_no_code(pairs):
    told = compare(pairs([{"id": str(i), "a": 1, "b": int(i > 2)} for i in range(200)]), margin="0.05").stdout
    assert "−1.5 points (95% interval" in told and "margin 5 points" in told
    assert "100.0%, 98.5%" in told and "noninferior" not in told and "0.015" not in told


def test_pairs_are_piped_in(pairs):
    lines = "\n".join(f'{{"id": {number}, "a": 1, "b": {int(number != 0)}}}' for number in range(200))
    piped = CliRunner().invoke(cli, ["compare", "--pairs", "-", "--margin", "0.05", "--json"], input=lines)
    assert piped.exit_code == 0, piped.output
    assert json.loads(piped.stdout)["n"] == 200
    bad = CliRunner().invoke(
        cli, ["compare", "--pairs", "-", "--margin", "0.05"], input='{"id": 1, "a": 1, "b": 1}\n[]'
    )
    assert "-:2: " in str(bad.exception)


def power(*options):
    return CliRunner().invoke(cli, ["power", *options])


def test_rows_with_what_a_given_n_can_show():
    result = power("--margin", "0.05", "--discordance", "0.1", "--n", "200", "--json")
    out = json.loads(result.stdout)
    equal = out["rows"][0]
    assert (equal["n"], equal["n_normal"]) == (351, 314)
    assert equal["power"] >= 0.8
    assert equal["power_at_n"] == pytest.approx(0.56, abs=0.01)
    assert out["zero_loss_n"] == 75
    assert out["rows"][1]["n"] > equal["n"]


@pytest.mark.parametrize(
    "options",
    [
        ["--margin", "0"],
        ["--margin", "0.02", "--discordance", "0.01", "--difference", "0.05"],
        ["--margin", "0.02", "--discordance", "0.1", "--difference", "-0.03"],
        ["--margin", "0.02", "--pilot", "30", "20"],
    ],
)
def test_impossible_assumptions_are_refused(options):
    assert isinstance(power(*options).exception, UsageError)
