"""Commands that show strangers' words, over a store that is full of bytes that steer a terminal."""

import pytest
from tests.cli.conftest import pair, write_lines

from freehold.store import open_store
from freehold.types.route import Route, Target
from freehold.workflows.project import now, open_project

pytestmark = pytest.mark.process

HOSTILE = (
    "\x1b]0;title\x07 \x1b]52;c;cm0=\x07 \x1b]8;;http://evil\x1b\\\\link \x1b[2J\x1b[1A\x1b[8m \x9b31m \r"
    "\u202ereversed\u2066 \u200bhidden\ufeff \u2028 \x7f"
)


@pytest.fixture
def store(freehold, project):
    rows = [
        pair(
            f"{n} {HOSTILE}",
            HOSTILE,
            model=f"gpt-4o{HOSTILE}",
            gold=HOSTILE,
            conversation_id=f"c{n}{HOSTILE}",
        )
        for n in range(60)
    ]
    rows[0]["request"]["messages"][0]["role"] = f"user{HOSTILE}"
    write_lines(project / "traffic-x.jsonl", rows)
    assert freehold("import", "traffic-x.jsonl").code == 0
    assert freehold("dataset", "build").code == 0
    with open_store(open_project(project).store_url) as opened:
        route = Route(name=f"r{HOSTILE}", model=f"m{HOSTILE}", incumbent=Target(endpoint="incumbent"))
        opened.save_route(route, who=HOSTILE, at=now(), why=HOSTILE)
    return project


COMMANDS = [
    ("traces", "list"),
    ("traces", "list", "--json"),
    ("traces", "show", "ID"),
    ("traces", "show", "ID", "--json"),
    ("traces", "list", "--model", HOSTILE),
    ("traces", "show", HOSTILE),
    ("dataset", "show"),
    ("dataset", "show", "--json"),
    ("dataset", "check"),
    ("dataset", "show", HOSTILE),
    ("routes", "list"),
    ("keys", "list"),
    ("rollout", "status"),
    ("import", "traffic-x.jsonl", "--dry-run"),
    ("import", f"{HOSTILE.replace('/', '')}.jsonl"),
    ("license", "check", HOSTILE),
    ("catalog", "list", HOSTILE),
    ("scan", "."),
    (HOSTILE,),
    ("traces", "show", "--config", HOSTILE, "x"),
]


def steers(text):
    return sorted({one for one in text if one not in "\n\t" and not one.isprintable()})


def test_no_command_hands_a_strangers_bytes_to_the_terminal(freehold, store):
    (trace, *_) = freehold("traces", "list", "--json").items
    (store / f"evil{HOSTILE.replace('/', '')}.py").write_text(
        f"m = 'gpt-4o'  # {HOSTILE.replace(chr(13), '')}\n"
    )
    shown = ""
    for words in COMMANDS:
        ran = freehold(*(trace["id"] if word == "ID" else word for word in words))
        assert (steers(ran.out), steers(ran.err)) == ([], []), words
        assert "Traceback" not in ran.err, (words, ran.err)
        shown += ran.out
    assert shown.count("\\x1b]52;c;cm0=") > 20, "the words were shown, and shown plainly"
