"""What a team does is in tests/gateway/limits/test_team_changes.py."""


def test_keys_of_a_team_share_its_limits(freehold, project):
    assert "no teams" in freehold("keys", "teams").err
    assert "no team is named 'search'" in freehold("keys", "add", "early", "--team", "search").err
    made = freehold("keys", "team", "set", "search", "--rpm", "60", "--usd-per-month", "500")
    assert made.code == 0 and "requests_per_minute 60, usd_per_month 500" in made.out
    freehold("keys", "add", "app-eu", "--team", "search")
    freehold("keys", "add", "app-us")
    told = freehold("keys", "team", "set", "search", "--tpm", "9000", "--key", "app-us", "--json").json
    assert told["limits"]["requests_per_minute"] == 60 and told["limits"]["tokens_per_minute"] == 9000
    (line,) = freehold("keys", "teams", "--json").items
    assert line["keys"] == ["app-eu", "app-us"]
    assert "app-eu, app-us" in freehold("keys", "teams").out
    assert "team search" in freehold("keys", "list").out
    freehold("keys", "team", "set", "search", "--without-key", "app-eu", "--limit", "requests_per_minute=")
    (line,) = freehold("keys", "teams", "--json").items
    assert line["keys"] == ["app-us"] and line["limits"]["requests_per_minute"] is None
    assert freehold("keys", "team", "set", "search", "--key", "nosuch").code == 2
    assert freehold("keys", "team", "set", "a/b", "--rpm", "1").code == 2
    assert "did you mean search" in freehold("keys", "add", "late", "--team", "serch").err


def test_a_team_gets_another_name_and_goes_on(freehold, refused, project):
    freehold("keys", "team", "set", "search", "--rpm", "60")
    freehold("keys", "add", "app", "--team", "search")
    told = freehold("keys", "team", "rename", "search", "discovery", "--json").json
    assert (told["name"], told["counted_as"], told["limits"]["requests_per_minute"]) == (
        "discovery",
        "search",
        60,
    )
    (line,) = freehold("keys", "teams", "--json").items
    assert (line["name"], line["keys"]) == ("discovery", ["app"])
    assert "counted as search" in freehold("keys", "team", "rename", "discovery", "find").out
    freehold("keys", "team", "set", "other", "--rpm", "1")
    refused("keys", "team", "rename", "find", "other", message="there is a team named other")
    refused("keys", "team", "rename", "search", "x", message="no team is named 'search'")
    assert freehold("keys", "team", "rename", "find", "a/b").code == 2


def test_a_team_is_removed_once_it_has_no_keys_or_they_are_released(freehold, refused, project):
    freehold("keys", "team", "set", "search", "--rpm", "60")
    freehold("keys", "add", "app", "--team", "search")
    refused("keys", "team", "remove", "search", message="the team search has keys", hint="--release-keys")
    assert len(freehold("keys", "teams", "--json").items) == 1
    told = freehold("keys", "team", "remove", "search", "--release-keys", "--json").json
    assert told["name"] == "search" and freehold("keys", "teams", "--json").items == []
    assert freehold("keys", "list", "--json").items[0].get("team") is None
    refused("keys", "team", "remove", "search", message="no team is named 'search'")
    freehold("keys", "team", "set", "search", "--rpm", "60", "--key", "app")
    freehold("keys", "revoke", "app")
    assert freehold("keys", "team", "remove", "search").err == "removed the team search\n"
