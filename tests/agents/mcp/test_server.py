"""The server as a client of the official library meets it: from a log to a verdict, and what is refused on the way."""

import json
from datetime import timedelta

import anyio
import pytest

from freehold.agents.mcp.answers import MOST_BYTES
from freehold.agents.mcp.calling import AgentLimits, AgentServer
from freehold.agents.mcp.tool import CallRate
from freehold.agents.mcp.tools import TOOLS

mcp = pytest.importorskip("mcp")
from mcp_types import ElicitResult  # noqa: E402

from freehold.agents.mcp import server  # noqa: E402
from freehold.agents.mcp.server import build, tool_of  # noqa: E402

MODES = ("legacy", "auto")
"""The handshake up to 2025-11-25, and the one of 2026-07-28."""


class User:
    """Answers what the client asks them, and remembers it."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    async def __call__(self, context, params):
        self.asked.append(params.message)
        return ElicitResult(action="accept", content={"agree": self.answers.pop(0)})


def talk(root, script, *, user=None, mode="legacy", limits=None, **options):
    """Run `script(client)` against a server of the project in `root`; returns what it returns, and the agent."""
    agent = AgentServer(root, TOOLS, limits or AgentLimits(), allowed=options.pop("allowed", ()))

    async def run():
        async with mcp.Client(build(agent, **options), mode=mode, elicitation_callback=user) as client:
            return await script(client)

    return anyio.run(run), agent


def text(result):
    (one,) = result.content
    assert result.structured_content is None, "not said twice"
    return one.text


def told(result):
    """What the client's model reads, as an object: an error's is its last line."""
    return json.loads(text(result).rpartition("\n")[2])


def test_every_tool_says_what_it_does_to_the_world():
    for tool in TOOLS.values():
        listed = tool_of(tool)
        hints = listed.annotations
        assert len(listed.description) > 40 and listed.title
        assert hints.read_only_hint == (tool.effect == "reads")
        assert (hints.destructive_hint is None) == hints.read_only_hint, "left out it counts as the worst"
        assert (tool.asks is not None) == (tool.effect == "acts"), tool.name
        assert ("asks the user first" in listed.description.lower()) == (tool.effect == "acts"), tool.name
        assert listed.input_schema["type"] == "object" and not listed.input_schema["additionalProperties"]
        assert ("confirmation" in listed.input_schema["properties"]) == (tool.effect == "acts"), tool.name
        if tool.destructive:
            assert tool.effect == "acts", tool.name


MOST_TOOLS, MOST_LISTED_BYTES, MOST_READ_TOKENS = 22, 18_000, 8_000
"""What an agent reads: the listing before its first word, and all of it from a log to a verdict, four characters each.
With answers of the most bytes each it would be 11,600."""


def listing(tools):
    return json.dumps(
        [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools],
        separators=(",", ":"),
    )


def test_from_a_log_to_a_verdict_by_the_descriptions_alone(folder):
    """A scripted client that knows of no tool: it searches the descriptions for what it wants next, takes the names of
    arguments from the schemas, and follows what the server tells."""
    (folder / "freehold.toml").rename(folder / "engine.txt")
    user, steps, read = User(True), [], []

    async def script(client):
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        read.extend([client.instructions, listing(listed.values())])

        def find(*words):
            found = [
                tool
                for tool in listed.values()
                if all(w in f"{tool.title} {tool.description}".lower() for w in words)
            ]
            assert found, words
            return found[0]

        async def use(tool, **arguments):
            assert set(arguments) <= set(tool.input_schema["properties"]), tool.name
            made = await client.call_tool(tool.name, arguments, progress_callback=progress)
            assert not made.is_error, text(made)
            read.append(text(made))
            return told(made)

        async def progress(done, total, message):
            steps.append((len(read), done, message))

        tasks = await use(
            find("which tasks are in a log"), files=["traffic.jsonl"], input="message", label="gold"
        )
        assert tasks["requests"] == 400
        assert "find_tasks" in client.instructions and "migrate" in client.instructions
        draft = await use(find("writes freehold.toml"), files=["traffic.jsonl"], incumbent="rented-1")
        assert draft["open"] and (folder / "freehold.toml").exists()
        # The user decides what the log could not tell; here also that a shipped fake serves, so that it takes seconds.
        (folder / "engine.txt").rename(folder / "freehold.toml")
        ruling = await use(find("may this model be used"), model="HuggingFaceTB/SmolLM2-135M-Instruct")
        assert ruling["outcome"] == "allowed"
        plan = await use(find("how many held-out items"), margin=0.05)
        assert plan["sentence"]
        ready = await use(find("what stands in the way"))
        assert all(one["outcome"] != "fail" for one in ready["preflight"]["findings"])
        made = await use(find("whole journey", "verdict"))
        report = await use(find("report: "), kind="report", id=made["report_id"])
        whole = json.loads(text(await client.call_tool("read", {"kind": "report", "full": True})))
        return made, report, whole

    (made, report, whole), _ = talk(folder, script, user=user, mode="auto")
    assert made["outcome"] == "promote" and made["comparison"]["verdict"] == "promote"
    assert (
        report["outcome"] == "promote"
        and report["candidates"][0]["score"] == report["comparison"]["candidate_mean"]
    )
    assert len(user.asked) == 1 and "run the whole journey of inbox here" in user.asked[0]
    assert steps == sorted(steps) and len({step[:2] for step in steps}) == len(steps), (
        "it goes up in each call"
    )
    assert any("dataset" in message for *_, message in steps)
    assert "candidates[].disagreements" in whole["left_out"], "questions and answers of traffic stay here"
    assert "refund" not in json.dumps(whole["candidates"][0].get("disagreements", []))
    assert all(len(one.encode()) <= MOST_BYTES for one in read[2:])
    assert sum(map(len, read)) / 4 <= MOST_READ_TOKENS, [len(one) for one in read]


def test_the_listing_is_short_and_an_agent_that_is_to_look_only_gets_what_reads(folder):
    async def script(client):
        return (await client.list_tools()).tools

    tools, _ = talk(folder, script)
    assert len(tools) <= MOST_TOOLS and len(listing(tools).encode()) <= MOST_LISTED_BYTES

    async def look(client):
        return await script(client), await client.call_tool("migrate", {})

    (few, refused), _ = talk(folder, look, limits=AgentLimits(read_only=True))
    assert {tool.name for tool in few} == {name for name, one in TOOLS.items() if one.effect == "reads"}
    assert all(tool.annotations.read_only_hint for tool in few)
    assert refused.is_error and "there is no tool migrate" in text(refused)


@pytest.mark.parametrize("mode", MODES)
def test_what_the_user_does_not_agree_to_is_not_done(folder, mode):
    user = User(False)

    async def script(client):
        return await client.call_tool("migrate", {})

    made, _ = talk(folder, script, user=user, mode=mode)
    assert made.is_error and text(made).startswith("error: your user did not agree\nhint: ")
    assert len(user.asked) == 1 and not (folder / ".freehold" / "reports").exists()


@pytest.mark.parametrize(("mode", "elicits"), [("legacy", True), ("auto", False)])
def test_without_a_client_that_asks_it_takes_a_code_from_the_users_terminal(folder, mode, elicits):
    """No callback: the client declares no elicitation. With `elicits` off a client's own question does not count."""
    said, user = [], None if elicits else User(True)

    async def script(client):
        first = await client.call_tool("migrate", {})
        guessed = await client.call_tool("migrate", {"confirmation": "2222-2222"})
        (waiting,) = agent_of.confirmations.waiting()
        code = agent_of.confirmations.approve(waiting)
        other = await client.call_tool("migrate", {"fresh": True, "confirmation": code})
        right = await client.call_tool("migrate", {"confirmation": code})
        again = await client.call_tool("migrate", {"confirmation": code})
        return first, guessed, other, right, again

    agent_of = AgentServer(folder, TOOLS, AgentLimits())

    async def run():
        built = build(agent_of, elicits=elicits, say=said.append)
        async with mcp.Client(built, mode=mode, elicitation_callback=user) as client:
            return await script(client)

    first, guessed, other, right, again = anyio.run(run)
    assert first.is_error and "freehold mcp confirm" in text(first) and "confirmation=CODE" in text(first)
    assert told(first)["code"] == "confirmation_needed"
    assert said and "run the whole journey of inbox" in said[0]
    assert guessed.is_error and "not the code" in text(guessed)
    assert other.is_error and "the arguments differ" in text(other)
    assert not right.is_error and told(right)["outcome"] == "promote"
    assert again.is_error and "it was used" in text(again)


def test_an_answer_to_another_question_does_not_count(folder):
    """2026-07-28: the state that the client echoes is its own call's, once."""
    from mcp_types import CallToolRequestParams

    from freehold.agents.mcp.server import _Desk

    agent = AgentServer(folder, TOOLS, AgentLimits())

    async def run():
        desk = _Desk(agent, elicits=True, say=lambda text: None)
        migrate, fresh = (agent.understand("migrate", one) for one in ({}, {"fresh": True}))

        def ask(asked, state=None):
            answers = (
                None if state is None else {"confirm": ElicitResult(action="accept", content={"agree": True})}
            )
            params = CallToolRequestParams(name="migrate", input_responses=answers, request_state=state)
            return desk._ask_by_result(params, asked, "…")

        state = ask(migrate).request_state
        assert ask(fresh, state) is not None, "another call's answer"
        assert ask(migrate, state) is not None, "spent"
        state = ask(migrate).request_state
        assert ask(migrate, "made up") is not None
        assert ask(migrate, state) is None
        assert ask(migrate, state) is not None, "once"

    anyio.run(run)


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("find_tasks", {"files": ["/etc/passwd"]}, "outside the project's folder"),
        ("find_tasks", {"files": ["../secret.jsonl"]}, "outside the project's folder"),
        ("scan_code", {"paths": ["/"]}, "outside the project's folder"),
        ("check_fit", {"model": "http://169.254.169.254/"}, "not by an address"),
        ("check_fit", {"model": "../model.gguf"}, "outside the project's folder"),
        ("compare_scores", {"file": "/etc/passwd", "margin": 0.1}, "outside the project's folder"),
        ("evaluate_answers", {"incumbent_file": "a.jsonl", "candidate_file": "/x::y"}, "outside"),
        (
            "evaluate_answers",
            {"incumbent_file": "a", "candidate_file": "b", "scorer": "evil.py:run"},
            "scorer",
        ),
        ("evaluate_served", {"url": "http://example.com/", "model": "m"}, "not an address of this machine"),
        (
            "evaluate_served",
            {"url": "http://127.0.0.1@example.com/", "model": "m"},
            "not an address of this machine",
        ),
        ("draft_project", {"files": ["~/.ssh/id_rsa"]}, "outside the project's folder"),
        ("migrate", {"anyway": True}, "anyway"),
        ("move_traffic", {"kind": "promote", "force": True}, "force"),
        ("plan_power", {"margin": 7}, "margin"),
        ("plan_power", {}, "margin"),
        ("promote_now", {}, "there is no tool promote_now"),
        ("forget", {"id": "everyone"}, "not whom or what to forget"),
        ("compare_scores", {"margin": 0.1}, "one of the two"),
    ],
)
def test_bad_calls_are_errors_with_a_message_and_nothing_is_done(folder, tool, arguments, message):
    (folder.parent / "secret.jsonl").write_text('{"secret": 4711}\n')
    user = User(*[True] * 5)

    async def script(client):
        return await client.call_tool(tool, arguments)

    made, _ = talk(folder, script, user=user)
    assert made.is_error and message in text(made) and text(made).startswith("error: ")
    assert "4711" not in text(made) and user.asked == []
    assert told(made)["code"] and told(made)["retryable"] is False


def test_a_flood_is_refused_and_told_when_to_come_again(folder, monkeypatch):
    monkeypatch.setattr(CallRate.__init__, "__defaults__", (lambda: 0.0,))  # a clock that stands

    async def script(client):
        return [await client.call_tool("plan_power", {"margin": 0.05}) for _ in range(6)]

    made, _ = talk(folder, script, limits=AgentLimits(calls_per_minute=4))
    assert [one.is_error for one in made] == [False] * 4 + [True] * 2
    assert "more than 4 calls a minute" in text(made[-1]) and told(made[-1])["retryable"]


def test_a_user_who_is_slow_to_answer_keeps_no_other_call_waiting(folder):
    asked, answer = anyio.Event(), anyio.Event()

    async def user(context, params):
        asked.set()
        await answer.wait()
        return ElicitResult(action="accept", content={"agree": False})

    async def script(client):
        made = {}

        async def migrate():
            made["slow"] = await client.call_tool("migrate", {})

        async with anyio.create_task_group() as group:
            group.start_soon(migrate)
            await asked.wait()
            with anyio.fail_after(60):
                made["other"] = await client.call_tool("plan_power", {"margin": 0.05})
            answer.set()
        return made

    made, _ = talk(folder, script, user=user)
    assert not made["other"].is_error and "did not agree" in text(made["slow"])


def test_a_user_who_never_answers_is_not_waited_for_without_end(folder, monkeypatch):
    monkeypatch.setattr(server, "LASTS", timedelta(seconds=2))

    async def user(context, params):
        await anyio.sleep_forever()

    async def script(client):
        with anyio.fail_after(60):
            return [await client.call_tool("migrate", {}) for _ in range(2)]

    made, _ = talk(folder, script, user=user)
    assert ["did not answer" in text(one) for one in made] == [True, True]


@pytest.mark.process
def test_a_cancelled_call_stops_the_work(folder):
    """The client goes away in the middle of a migration on a slow engine: the lock is free again."""
    path = folder / "freehold.toml"
    path.write_text(path.read_text().replace("in_process = true", "delay_ms = 600_000"))
    began = anyio.Event()

    async def script(client):
        async def progress(done, total, message):
            if message.startswith("[4]"):
                began.set()

        async with anyio.create_task_group() as group:

            async def call():
                await client.call_tool("migrate", {}, progress_callback=progress)

            group.start_soon(call)
            await began.wait()
            await anyio.sleep(0.2)
            group.cancel_scope.cancel()
        with anyio.fail_after(60):
            while True:
                await anyio.sleep(0.2)
                if not locked():
                    return True

    def locked():
        from freehold.store import leases, open_store
        from freehold.workflows.journey.steps import LOCK
        from freehold.workflows.project import open_project

        with open_store(open_project(folder).store_url) as store:
            return leases.held(store.database, LOCK) is not None

    ended, _ = talk(folder, script, user=User(True))
    assert ended
