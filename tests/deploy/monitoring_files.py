"""The dashboard and the alerts as tests read them."""

import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "freehold.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
# What Grafana puts in their place; Prometheus itself knows no variables.
VARIABLES = {"$__rate_interval": "20s", "$__range": "30s", "$route": ".*", "$key": ".*"}


def dashboard():
    return json.loads(DASHBOARD.read_text())


def rules():
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return group["rules"]


def panels():
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def panel_queries():
    """Each query of the dashboard's panels by a name that says where it is."""
    return {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in panels()
        for target in panel["targets"]
    }


def all_queries():
    """Every query of the dashboard (panels, annotations, variables) and of the alerts."""
    board = dashboard()
    queries = panel_queries()
    queries |= {f"annotation {one['name']}": one["expr"] for one in board["annotations"]["list"]}
    queries |= {f"alert {rule['alert']}": rule["expr"] for rule in rules()}
    return queries


def filled(query):
    """A query with its variables replaced, as Grafana does it."""
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return query


def metric_names(query):
    return set(re.findall(r"\bfreehold_[a-z_]+", query))
