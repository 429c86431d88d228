"""What a check finds is in tests/workflows/watch/test_watch.py."""


def test_no_checks_yet(freehold, project):
    assert freehold("watch", "--history", "--json").items == []
    ran = freehold("watch", "--history")
    assert (ran.out, ran.err) == ("", "no checks yet: freehold watch --once makes one\n")


def test_mistakes(refused, freehold, project):
    refused("watch", "--once", message="the store has no route support")
    freehold("rollout", "start", "--candidate", "base:app")
    refused("watch", "--once", message="only a promoted one is watched", hint="freehold rollout status")
    for budget, why in (
        ("x", "'x' is not a number"),
        ("-1", "'-1' is below 0"),
        ("nan", "'nan' is not a number"),
    ):
        ran = freehold("watch", "--once", "--budget", budget)
        assert ran.code == 2 and f"Invalid value for '--budget': {why}" in ran.err
