"""The dashboard and the alerts: what they name is exported, and each alert fires where it should and only there."""

import contextlib
import re
import shutil
import subprocess

import click
import pytest
import yaml
from tests.deploy.monitoring_files import (
    ALERTS,
    ROOT,
    all_queries,
    dashboard,
    filled,
    metric_names,
    panels,
    rules,
)
from tests.snippets import shell
from tests.snippets.blocks import anchors

from freehold.gateway.telemetry.exposition import GAUGES, LABELLED_GAUGES
from freehold.gateway.telemetry.meters import COUNTERS, HISTOGRAMS

EXPORTED = {
    **{f"{name}_total": labels for name, (_, labels) in COUNTERS.items()},
    **dict.fromkeys(GAUGES, ()),
    **{name: labels for name, (_, labels) in LABELLED_GAUGES.items()},
    **{
        f"{name}_{part}": (*labels, *(("le",) if part == "bucket" else ()))
        for name, (_, labels) in HISTOGRAMS.items()
        for part in ("bucket", "sum", "count")
    },
}
OF_THE_SCRAPE = {"instance", "job"}


def test_what_a_query_names_is_exported():
    for name, written in all_queries().items():
        query = filled(written)
        named = metric_names(query)
        assert named <= set(EXPORTED), (name, named - set(EXPORTED))
        assert named or "up{" in query, name
        for metric, selector in re.findall(r"\b(freehold_[a-z_]+)\{([^}]*)\}", query):
            asked = set(re.findall(r"(\w+)(?:=~|!~|!=|=)", selector))
            assert asked <= {*EXPORTED[metric], *OF_THE_SCRAPE}, (name, metric, asked)
        assert "$" not in query, f"{name}: a variable that Grafana is not told of"


def test_every_metric_is_on_the_dashboard():
    shown = set().union(*map(metric_names, all_queries().values()))
    families = {re.sub(r"_(bucket|sum|count)$", "", name) if name not in GAUGES else name for name in shown}
    every = {*(f"{name}_total" for name in COUNTERS), *GAUGES, *LABELLED_GAUGES, *HISTOGRAMS}
    assert every - families == set()


def test_panels_say_what_they_show_and_ask_the_chosen_prometheus():
    titles = [panel["title"] for panel in panels()]
    assert len(set(titles)) == len(titles)
    for panel in panels():
        assert panel["description"].endswith("."), panel["title"]
        assert {one["datasource"]["uid"] for one in (panel, *panel["targets"])} == {"${datasource}"}
    board = dashboard()
    assert [one["name"] for one in board["templating"]["list"]] == ["datasource", "route", "key"]
    assert "Rollbacks" in [one["name"] for one in board["annotations"]["list"]]


def test_an_alert_says_what_to_do():
    for rule in rules():
        alert, said = rule["alert"], rule["annotations"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), alert
        assert set(said) == {"summary", "description", "action", "runbook_url"} and all(said.values()), alert
        path, _, anchor = said["runbook_url"].partition("#")
        assert anchor == alert.lower() and anchor in anchors(ROOT / path), alert
        for line in re.findall(r"\bfreehold ([a-z][^.,;:()]*)", re.sub(r"{{.*?}}", "x", said["action"])):
            with contextlib.suppress(click.MissingParameter):  # "raise the cap: freehold keys limit"
                shell.context_of(line.split())
        assert re.search(r"freehold [a-z]|\[incumbent\]|/targets|Renew", said["action"]), alert


def test_alerts_have_names_of_their_own_and_the_page_names_no_other():
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    page = (ROOT / "docs" / "guides" / "monitoring.md").read_text()
    assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == names


promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
HERE = 'instance="g:8420",job="freehold"'
DAY_S = 86_400


def of(name, labels=""):
    return f"{name}{{{labels}{',' if labels else ''}{HERE}}}"


UNANSWERED = of("freehold_failures_total", 'route="r",arm="incumbent",why="upstream_timeout"')
FINE = of("freehold_requests_total", 'route="r",endpoint="e",arm="incumbent",status="200"')
BROKEN = of("freehold_requests_total", 'route="r",endpoint="e",arm="incumbent",status="502"')
SPENT = of("freehold_name_spend_usd", 'name="key:app",period="day"')
CAP = of("freehold_name_cap_usd", 'name="key:app",period="day"')
ENDS = of("freehold_certificate_expires_seconds", 'certificate="c.pem"')


def histogram(name, slow_at_s, per_minute):
    """Requests of which one in ten takes longer than `slow_at_s`, in the two buckets around it."""
    labels = 'route="r",arm="incumbent",' if "first_byte" in name else 'route="r",'
    whole = f"0+{per_minute}x60"
    return {
        f'{name}_bucket{{{labels}le="{slow_at_s}",{HERE}}}': f"0+{per_minute * 0.9:g}x60",
        f'{name}_bucket{{{labels}le="{slow_at_s * 3}",{HERE}}}': whole,
        f'{name}_bucket{{{labels}le="+Inf",{HERE}}}': whole,
        f"{name}_count{{{labels.rstrip(',')},{HERE}}}": whole,
    }


# By alert: series after whose hour it fires, and series after whose hour it does not. Values as promtool writes them.
CASES = {
    "FreeholdDown": ({of("up"): "1x50 0x10"}, {of("up"): "1x50 0 1x9"}),
    "FreeholdNotScraped": ({'up{job="other"}': "1x60"}, {of("up"): "0x60"}),
    "FreeholdNotReady": ({of("freehold_ready"): "1x50 0x10"}, {of("freehold_ready"): "1x56 0x4"}),
    "FreeholdRouteUnanswered": (
        {of("freehold_route_unanswered", 'route="r"'): "0x50 1x10"},
        {of("freehold_route_unanswered", 'route="r"'): "0x56 1x4"},
    ),
    "FreeholdErrorRate": (
        {FINE: "0+10x60", BROKEN: "0+1x60", UNANSWERED: "0+1x60"},
        # Few requests, all of which fail; and many, of which few fail.
        {FINE: "0+100x60", UNANSWERED: "0+1x60", BROKEN.replace('"r"', '"rare"'): "0x50 1+0x10"},
    ),
    "FreeholdRefusedByEndpoint": (
        {of("freehold_requests_total", 'endpoint="e",status="401"'): "0+10x60"},
        {
            of("freehold_requests_total", 'endpoint="e",status="401"'): "0+4x60",
            of("freehold_requests_total", 'endpoint="e",status="200"'): "0+10x60",
        },
    ),
    "FreeholdRequestsRefusedUnchecked": (
        {of("freehold_refusals_total", 'code="keys_unavailable",path="chat"'): "0+3x60"},
        {of("freehold_refusals_total", 'code="rate_limit_exceeded",path="chat"'): "0+3x60"},
    ),
    "FreeholdSlow": (
        histogram("freehold_first_byte_seconds", 10, 20),
        # Fast; and slow, but hardly any.
        histogram("freehold_first_byte_seconds", 1, 20)
        | {k.replace('"r"', '"rare"'): v for k, v in histogram("freehold_first_byte_seconds", 10, 1).items()},
    ),
    "FreeholdAddsLatency": (
        histogram("freehold_added_seconds", 0.25, 20),
        histogram("freehold_added_seconds", 0.01, 20),
    ),
    "FreeholdRolledBack": (
        {of("freehold_rollbacks_total", 'route="r"'): "0x55 1x5"},
        {of("freehold_rollbacks_total", 'route="r"'): "0x20 1x40"},
    ),
    "FreeholdBreakerOpen": (
        {of("freehold_breaker_open", 'endpoint="e"'): "2x60"},
        {of("freehold_breaker_open", 'endpoint="e"'): "2x50 _x10"},
    ),
    "FreeholdEndpointDown": (
        {
            of("freehold_endpoint_up", 'endpoint="e"'): "1x50 0x10",
            'freehold_endpoint_up{endpoint="e"}': "1x60",
        },
        {of("freehold_endpoint_up", 'endpoint="e"'): "1x57 0x3"},
    ),
    "FreeholdFallsBack": (
        {FINE: "0+10x60", of("freehold_fallbacks_total", 'route="r",why="timeout"'): "0+3x60"},
        {FINE: "0+10x60", of("freehold_fallbacks_total", 'route="r",why="timeout"'): "0+1x60"},
    ),
    "FreeholdSpendNearCap": ({SPENT: "8.5x60", CAP: "10x60"}, {SPENT: "7.9x60", CAP: "10x60"}),
    "FreeholdCapReached": ({SPENT: "10x60", CAP: "10x60"}, {SPENT: "9.9x60", CAP: "10x60"}),
    "FreeholdCostUnknown": (
        {of("freehold_cost_unknown_total", 'endpoint="e",model="m"'): "0+1x60"},
        {of("freehold_cost_unknown_total", 'endpoint="e",model="m"'): "0+0.1x60"},
    ),
    "FreeholdTracesNotKept": (
        {
            of("freehold_traces_dropped_total", 'why="queue"'): "0x55 4x5",
            of("freehold_traces_lost_total", 'why="store"'): "0x60",
        },
        {
            of("freehold_traces_dropped_total", 'why="queue"'): "4x60",
            of("freehold_traces_lost_total", 'why="store"'): "0x60",
        },
    ),
    "FreeholdRecorderDown": (
        {of("freehold_recorder_alive"): "1x50 0x10"},
        {of("freehold_recorder_alive"): "1x50 0 1x9"},
    ),
    "FreeholdRecorderFails": (
        {of("freehold_recorder_failures_total", 'what="retention"'): "0x50 1+1x9"},
        {of("freehold_recorder_failures_total", 'what="retention"'): "2x60"},
    ),
    "FreeholdProcessesReplaced": (
        {of("freehold_restarts_total", 'process="worker",why="ended"'): "0x50 1+1x9"},
        {of("freehold_restarts_total", 'process="worker",why="ended"'): "0x50 1x10"},
    ),
    "FreeholdConfigStale": (
        # 2 where two gateways run from one file, and each says so for both.
        {of("freehold_config_stale"): "0x40 1x10 2x10"},
        {of("freehold_config_stale"): "0x55 1x5"},
    ),
    "FreeholdCertificateExpires": ({ENDS: f"{7 * DAY_S}x200"}, {ENDS: f"{30 * DAY_S}x200"}),
    "FreeholdCertificateExpiresSoon": ({ENDS: f"{2 * DAY_S}x60"}, {ENDS: f"{7 * DAY_S}x60"}),
}


@pytest.mark.process
def test_every_alert_is_tried():
    assert list(CASES) == [rule["alert"] for rule in rules()]


@pytest.mark.process
@promtool
def test_promtool_reads_the_rules():
    ran = subprocess.run(["promtool", "check", "rules", ALERTS], capture_output=True, text=True)
    assert ran.returncode == 0 and f"{len(rules())} rules found" in ran.stdout, ran.stdout + ran.stderr
    assert not ran.stderr


def tried(folder, alert, *series):
    """A file of tests over one alert alone: after the first of the `series` it fires, after the other it is silent."""
    (rule,) = [one for one in rules() if one["alert"] == alert]
    alone, file = folder / f"{alert}.rules.yaml", folder / f"{alert}.yaml"
    alone.write_text(yaml.safe_dump({"groups": [{"name": "alone", "rules": [rule]}]}))
    after = "3h" if alert == "FreeholdCertificateExpires" else "60m"
    firing = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
    tests = [
        {
            "name": f"{alert} {'fires' if expected else 'is silent'}",
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in given.items()],
            "promql_expr_test": [
                {
                    "expr": f"count({firing})",
                    "eval_time": after,
                    "exp_samples": [{"labels": "{}", "value": 1}] if expected else [],
                }
            ],
        }
        for given, expected in zip(series, (True, False), strict=True)
    ]
    content = {"rule_files": [alone.name], "evaluation_interval": "1m", "tests": tests}
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


@pytest.mark.process
@promtool
def test_each_alert_fires_and_is_silent(tmp_path):
    files = [tried(tmp_path, alert, *both) for alert, both in CASES.items()]
    ran = subprocess.run(["promtool", "test", "rules", *files], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
