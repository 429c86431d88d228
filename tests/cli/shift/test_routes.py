"""What a change does is in tests/workflows/shift/test_routes.py."""

import pytest


@pytest.fixture
def route(freehold, project):
    ran = freehold(
        "routes",
        "set",
        "support",
        "--model",
        "gpt-4o",
        "--incumbent",
        "incumbent",
        "--why",
        "first",
        "--json",
    )
    assert ran.code == 0, ran.err
    return ran.json


def test_a_route_is_listed_shown_and_has_a_history(freehold, route):
    assert freehold("routes", "show", "support", "--json").json["revision"] == route["revision"] == 1
    assert [line["route"]["name"] for line in freehold("routes", "list", "--json").items] == ["support"]
    assert "support" in freehold("routes", "list").out
    assert "\nincumbent  incumbent\n" in freehold("routes", "show", "support").out
    assert [change["why"] for change in freehold("routes", "history", "support", "--json").items] == ["first"]
    removed = freehold("routes", "remove", "support", "--json")
    assert removed.fields == {"name": "support", "freed_bytes": None, "files_stay_at": None}
    assert freehold("routes", "list", "--json").items == []


def test_mistakes(refused, freehold, route):
    refused("routes", "show", "other", message="the store has no route other", hint="routes here: support")
    refused("routes", "remove", "other", message="no route other")
    refused("routes", "set", "support", "--limit", "concurrency=x", message="limit concurrency is 'x'")
    assert "nothing to change: name an option" in freehold("routes", "set", "support").err


def test_a_cache_is_set_shown_and_taken_away(freehold, refused, route):
    made = freehold(
        "routes", "set", "support", "--cache", "seconds=60", "--cache", "tools=true", "--json"
    ).json
    assert made["cache"] == {"seconds": 60.0, "mib": 16.0, "shared": False, "tools": True}
    assert (
        "cache      seconds 60.0, mib 16.0, shared false, tools true"
        in freehold("routes", "show", "support").out
    )
    refused("routes", "set", "support", "--cache", "seconds=0", message="the cache's seconds is 0.0")
    refused("routes", "set", "support", "--cache", "for=60", message="cache 'for=60' is not understood")
    assert freehold("routes", "set", "support", "--cache", "-", "--json").json["cache"] is None
