"""What a key may use is in tests/workflows/shift/test_keys.py."""


def test_a_key_is_shown_once(freehold, project):
    made = freehold("keys", "add", "app", "--limit", "concurrency=2", "--json").json
    assert made["limits"]["concurrency"] == 2
    (line,) = freehold("keys", "list", "--json").json
    assert line["name"] == "app" and "secret" not in line
    shown = freehold("keys", "list").out
    assert made["secret"] not in shown and "concurrency 2" in shown


def test_people_are_told_that_the_first_key_shuts_the_gateway(freehold, project):
    first = freehold("keys", "add", "app")
    assert first.out.startswith("fh-")
    assert "only its hash is stored" in first.err and "asks everybody for a key" in first.err
    assert "asks everybody" not in freehold("keys", "add", "other").err
    assert freehold("keys", "revoke", "app").err == "revoked app\n"
    assert freehold("keys", "revoke", "other").err.startswith("revoked other; no key is left")
    assert freehold("keys", "revoke", "--forget-all").err.startswith("forgot 2 keys")


def test_limits_are_changed_and_taken_away(freehold, project):
    freehold("keys", "add", "app", "--limit", "concurrency=2")
    assert freehold("keys", "limit", "app", "usd_per_day=5", "--json").json["usd_per_day"] == "5"
    assert freehold("keys", "limit", "app", "usd_per_day=", "concurrency=").out == "app: no limits\n"


def test_mistakes(refused, freehold, project):
    freehold("keys", "add", "app")
    refused("keys", "add", "app", message="app")
    refused("keys", "limit", "app", "concurrency=x", message="limit concurrency is 'x': expected a number")
    refused(
        "keys", "limit", "gone", "concurrency=1", message="no key named gone is in force", hint="keys: app"
    )
    refused("keys", "revoke", "gone", message="no key named gone is in force", hint="keys: app")
    assert "name a key, or say --forget-all" in freehold("keys", "revoke").err
