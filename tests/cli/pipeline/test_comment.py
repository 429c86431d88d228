"""comment.sh against a forge of one's own: one comment, changed by later runs; the token is never printed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.pipeline.forge import TOKEN, Forge, serving

import freehold.cli

pytestmark = pytest.mark.process

SCRIPT = Path(freehold.cli.__path__[0]) / "pipeline" / "comment.sh"
MARK = "<!-- freehold-check: freehold -->"


@pytest.fixture
def comment(tmp_path):
    report = tmp_path / "report.md"

    def run(forge, address, text="### ✓ Promote", **more):
        report.write_text(f"{MARK}\n{text}\n")
        own = {
            "CHECK_REPORT": str(report),
            "CHECK_PYTHON": sys.executable,
            "CHECK_COMMENT_TOKEN": TOKEN,
        }
        if forge.kind == "github":
            own |= {
                "GITHUB_API_URL": address,
                "GITHUB_REPOSITORY": "own/shop",
                "CHECK_PULL_REQUEST": "7",
            }
        else:
            own |= {
                "GITLAB_CI": "true",
                "CI_API_V4_URL": address,
                "CI_PROJECT_ID": "42",
                "CI_MERGE_REQUEST_IID": "7",
            }
        environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), **own, **more}
        ran = subprocess.run(
            ["bash", "-x", str(SCRIPT)], env=environment, capture_output=True, text=True, cwd=tmp_path
        )
        assert TOKEN not in ran.stdout + ran.stderr
        assert not list(tmp_path.glob("freehold-comment.*"))
        return ran

    return run


@pytest.mark.parametrize(
    "forge",
    [
        Forge("github"),
        Forge("github", me="octo", user="octo"),
        Forge("gitlab", me="project_42_bot", user="project_42_bot"),
    ],
    ids=["github, by its workflow", "github, by a person's token", "gitlab"],
)
def test_a_second_run_changes_the_comment_of_the_first(forge, comment):
    for number in range(230):  # on the third page
        forge.say("alice", f"comment {number}")
    with serving(forge) as address:
        first = comment(forge, address)
        forge.say("bob", "fine by me")
        second = comment(forge, address, "### ✕ Reject “schön”")
    assert (first.returncode, first.stdout) == (0, "commented\n")
    assert (second.returncode, second.stdout) == (0, "commented\n")
    assert len(forge.comments) == 232
    assert forge.comments[230]["body"] == f"{MARK}\n### ✕ Reject “schön”\n"


def test_a_strangers_comment_with_the_mark_is_left_alone(comment):
    forge = Forge("github")
    forge.say("mallory", f"{MARK}\nmine")
    forge.say("github-actions[bot]", f"another check\n{MARK}")
    with serving(forge) as address:
        comment(forge, address)
    assert [one["body"].splitlines()[-1] for one in forge.comments] == ["mine", MARK, "### ✓ Promote"]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"CHECK_COMMENT_TOKEN": ""}, "the job has no token that may comment"),
        ({"CHECK_COMMENT_TOKEN": 'a"\nurl = "http://evil"'}, "characters that no token has"),
        ({"CHECK_PULL_REQUEST": "7/../../x"}, "not a number"),
        ({"GITHUB_REPOSITORY": "own/shop/../../user"}, "the repository is not known"),
        ({"GITHUB_API_URL": "file:///etc/passwd"}, "the address of the API is not known"),
        ({"CHECK_REPORT": "/nowhere"}, "there is no report"),
    ],
)
def test_where_it_cannot_comment_nothing_is_asked(more, why, comment):
    forge = Forge("github")
    with serving(forge) as address:
        ran = comment(forge, address, **more)
    assert ran.returncode == 0 and ran.stdout.startswith("not commented: ") and why in ran.stdout
    assert forge.asked == []


@pytest.mark.parametrize("status", [401, 500])
def test_a_forge_that_fails_does_not_fail_the_check(status, comment):
    forge = Forge("github")
    forge.broken = status
    with serving(forge) as address:
        ran = comment(forge, address)
    assert (ran.returncode, ran.stdout) == (
        0,
        f"not commented: the comments could not be read (HTTP {status})\n",
    )
