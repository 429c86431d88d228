import pytest

pytestmark = pytest.mark.process


def test_an_endpoint_is_driven(freehold, serving, project):
    ran = freehold(
        "load", serving["url"], "--streams", "1,2", "--seconds", "0.3", "--completion-tokens", "4", "--json"
    )
    assert ran.code == 0, ran.err
    assert [level["streams"] for level in ran.json["levels"]] == [1, 2]
    assert all(level["requests_per_second"] > 0 and not level["errors"] for level in ran.json["levels"])


def test_people_get_a_table(freehold, serving, project):
    ran = freehold("load", serving["url"], "--streams", "1", "--seconds", "0.3")
    assert ran.out.splitlines()[0].split()[:2] == ["streams", "req/s"]
    assert "\nknee    1 streams" in ran.out


def test_mistakes(refused, freehold, project):
    refused("load", "http://127.0.0.1:1", message="nothing answers at http://127.0.0.1:1", hint="freehold up")
    refused(
        "load", "--streams", "x", message="streams 'x' are not numbers from 1 to 4096", hint="--streams 1,4,8"
    )
    assert freehold("load", "--seconds", "0").code == 2
