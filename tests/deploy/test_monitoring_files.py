"""Dashboard and alerts: what they name is exported, and what they promise of themselves holds."""

import re

from tests.deploy.monitoring_files import ROOT, all_queries, dashboard, filled, metric_names, panels, rules

from freehold.cli.main import COMMANDS
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
PAGE_COLUMNS = 24


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


def test_panels_lie_apart_on_a_page_of_1280_pixels():
    taken = {}
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= PAGE_COLUMNS
        # A column is 53 px there: a number needs 160, a picture with its legend 300.
        assert place["w"] >= (3 if panel["type"] == "stat" else 6)
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["id"]) == panel["id"], panel["title"]
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)


def test_panels_say_what_they_show_and_ask_the_chosen_prometheus():
    titles = [panel["title"] for panel in panels()]
    assert len(set(titles)) == len(titles)
    for panel in panels():
        assert panel["description"].endswith("."), panel["title"]
        assert {one["datasource"]["uid"] for one in (panel, *panel["targets"])} == {"${datasource}"}
    board = dashboard()
    assert [one["name"] for one in board["templating"]["list"]] == ["datasource", "route", "key"]
    assert "Rollbacks" in [one["name"] for one in board["annotations"]["list"]]


def anchors(page):
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_an_alert_says_what_to_do():
    for rule in rules():
        alert, said = rule["alert"], rule["annotations"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), alert
        assert set(said) == {"summary", "description", "action", "runbook_url"} and all(said.values()), alert
        path, _, anchor = said["runbook_url"].partition("#")
        assert anchor == alert.lower() and anchor in anchors(ROOT / path), alert
        assert set(re.findall(r"\bfreehold ([a-z][a-z-]+)", said["action"])) <= set(COMMANDS), alert
        assert re.search(r"freehold [a-z]|\[incumbent\]|/targets|Renew", said["action"]), alert


def test_alerts_have_names_of_their_own_and_the_page_names_no_other():
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    page = (ROOT / "docs" / "guides" / "monitoring.md").read_text()
    assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == names
