"""The server as the protocol's own library runs it: tools, progress, and the question to the user.

The library takes seconds to import, so that this module is imported late: see `opening`.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import mcp_types as types
import msgspec
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp_types.version import is_version_at_least

from freehold import __version__
from freehold.agents.mcp.calling import AgentServer, AskedCall
from freehold.agents.mcp.confirming import LASTS, ConfirmationNeededError
from freehold.agents.mcp.opening import INSTRUCTIONS, NAME, TITLE
from freehold.agents.mcp.tool import Tool
from freehold.api.calling import interrupt
from freehold.errors import FreeholdError, UsageError
from freehold.progress import StepWork, amount

TELL_SECONDS = 0.5


class AgentProgress:
    """A `freehold.progress.Progress` that hands (number, total, text) to `tell`: the total is what is known to be
    done so far, None where the work does not know. After `close` it raises KeyboardInterrupt: the work is no longer
    waited for, and ends at its next sign of life."""

    def __init__(
        self, tell: Callable[[float, float | None, str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell, self._clock = tell, clock
        self._step, self._at = "", -TELL_SECONDS
        self._before = self._number = 0.0
        self._work = StepWork()
        self._closed = False

    def step(self, name: str, *, note: str = "") -> None:
        self._step, self._work = name, StepWork()
        self.say(name + (f" — {note}" if note else ""))

    def update(self, done: float, total: float | None, *, unit: str = "", note: str = "") -> None:
        if self._work.is_another(done, total, unit):
            self._before = self._number
        if self._closed or self._clock() - self._at >= TELL_SECONDS:
            said = f"{self._step}: {amount(done, total, unit)}" if self._step else amount(done, total, unit)
            known = None if total is None else self._before + total
            self._send(self._before + done, known, said + (f" — {note}" if note else ""))

    def say(self, text: str) -> None:
        self._before = self._number + 1
        self._send(self._before, None, text)

    def close(self) -> None:
        self._closed = True

    def _send(self, number: float, total: float | None, text: str) -> None:
        if self._closed:
            raise KeyboardInterrupt
        if number > self._number:  # the protocol's rule
            self._number, self._at = number, self._clock()
            self._tell(number, total, text)


MANY_ROUNDS = "2026-07-28"
"""From this version of the protocol on a question comes back as a result, and its answer with the same call again
(SEP-2322); before, the server asks in the middle of the call."""
_WAITING_MOST = 8
_QUESTION = "confirm"
Context = ServerRequestContext[Any, Any]


def build(
    agent: AgentServer, *, elicits: bool = True, say: Callable[[str], None] = lambda text: None
) -> Server[Any]:
    """A server of the protocol over an agent's tools. Without `elicits` the user confirms on a terminal only. `say` is
    told of each call that waits for that."""
    desk = _Desk(agent, elicits=elicits, say=say)
    return Server(
        NAME,
        version=__version__,
        title=TITLE,
        instructions=INSTRUCTIONS,
        on_list_tools=desk.list_tools,
        on_call_tool=desk.call_tool,
    )


def tool_of(tool: Tool) -> types.Tool:
    """A tool as clients list it. A hint that is left out counts as the worst, where the tool does more than read."""
    acts = tool.effect != "reads"
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.input_schema(),
        annotations=types.ToolAnnotations(
            read_only_hint=not acts,
            destructive_hint=tool.destructive if acts else None,
            idempotent_hint=tool.idempotent if acts else None,
            open_world_hint=tool.open_world,
        ),
    )


class _Desk:
    """Handlers of one server. One call works at a time, as on a command line; a few may wait. So do questions to users,
    apart from the work: a user who is slow to answer must not keep another agent's call waiting."""

    def __init__(self, agent: AgentServer, *, elicits: bool, say: Callable[[str], None]) -> None:
        self._agent, self._elicits, self._say = agent, elicits, say
        self._turn, self._asking = anyio.CapacityLimiter(1), anyio.CapacityLimiter(1)
        self._asked: dict[str, tuple[str, float]] = {}

    async def list_tools(self, context: Context, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[tool_of(one) for one in self._agent.tools.values()])

    async def call_tool(
        self, context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        try:
            asked = self._agent.understand(params.name, params.arguments or {})
            waiting = sum(one.statistics().tasks_waiting for one in (self._turn, self._asking))
            if waiting >= _WAITING_MOST:
                raise UsageError(f"{_WAITING_MOST} calls wait already", hint="wait for their answers")
            if asked.tool.effect == "acts":
                async with self._asking:
                    question = await self._agree(context, params, asked)
                if question is not None:
                    return question
            async with self._turn:
                made = await self._run(context, asked)
        except FreeholdError as error:
            return _failed(error, self._agent)
        return types.CallToolResult(content=[_text(msgspec.json.encode(made).decode())])

    async def _agree(
        self, context: Context, params: types.CallToolRequestParams, asked: AskedCall
    ) -> types.InputRequiredResult | None:
        """Have the user agree to a call that acts. None: go on. Raises `UsageError` where they did not."""
        if asked.arguments.confirmation is not None:
            self._agent.confirmations.redeem(asked.id, asked.arguments.confirmation)
            return None
        async with self._turn:
            what = await anyio.to_thread.run_sync(self._agent.question, asked)
        capabilities = context.session.client_capabilities
        elicitation = None if capabilities is None else capabilities.elicitation
        # A client that declares no mode at all means forms (2025-06-18).
        forms = elicitation is not None and (elicitation.form is not None or elicitation.url is None)
        if not (self._elicits and forms):
            self._agent.confirmations.ask(asked.tool.name, asked.id, what)
            self._say(f"waits for you: {what}\n  freehold mcp confirm")
            raise ConfirmationNeededError(
                what,
                hint="ask the user to run `freehold mcp confirm` in a terminal and to give you the code it shows; then "
                "call again with the same arguments and confirmation=CODE",
            )
        if is_version_at_least(context.protocol_version, MANY_ROUNDS):
            return self._ask_by_result(params, asked, what)
        with anyio.move_on_after(LASTS.total_seconds()):
            answer = await context.session.elicit_form(
                what, _form(asked.tool), related_request_id=context.request_id
            )
            _check_agreed(answer)
            return None
        raise UsageError("your user did not answer", hint="ask the user what they want, then call again")

    def _ask_by_result(
        self, params: types.CallToolRequestParams, asked: AskedCall, what: str
    ) -> types.InputRequiredResult | None:
        """The question as a result, and its answer when the same call comes again with the state it was given."""
        now = anyio.current_time()
        self._asked = {
            state: (call, at) for state, (call, at) in self._asked.items() if now - at < LASTS.total_seconds()
        }
        answer = (params.input_responses or {}).get(_QUESTION)
        if answer is not None and params.request_state is not None:
            call, _ = self._asked.pop(params.request_state, ("", 0.0))  # once
            if call == asked.id and isinstance(answer, types.ElicitResult):
                _check_agreed(answer)
                return None
        state = secrets.token_urlsafe(24)
        self._asked[state] = (asked.id, now)
        form = types.ElicitRequestFormParams(message=what, requested_schema=_form(asked.tool))
        return types.InputRequiredResult(
            input_requests={_QUESTION: types.ElicitRequest(params=form)}, request_state=state
        )

    async def _run(self, context: Context, asked: AskedCall) -> dict[str, Any]:
        """The tool in a thread, which a cancelled call interrupts."""
        thread: list[threading.Thread] = []
        progress = AgentProgress(lambda *said: anyio.from_thread.run(context.session.report_progress, *said))

        def work() -> dict[str, Any]:
            thread.append(threading.current_thread())
            try:
                return self._agent.run(asked, progress)
            except KeyboardInterrupt:
                raise UsageError(f"{asked.tool.name} was stopped", hint="what was finished is kept") from None
            finally:
                progress.close()

        try:
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        except anyio.get_cancelled_exc_class():
            progress.close()
            for one in thread:
                interrupt(one)
            raise


def _form(tool: Tool) -> dict[str, Any]:
    agree = {
        "type": "boolean",
        "title": tool.title,
        "description": "Tick to agree to this, once.",
        "default": False,
    }
    return {"type": "object", "properties": {"agree": agree}, "required": ["agree"]}


def _check_agreed(answer: types.ElicitResult) -> None:
    if answer.action != "accept" or (answer.content or {}).get("agree") is not True:
        raise UsageError(
            "your user did not agree", hint="do not ask for the same again; ask the user what they want"
        )


def _failed(error: FreeholdError, agent: AgentServer) -> types.CallToolResult:
    """Words for a model, and on the last line what a program reads of it."""
    said = f"error: {agent.say(error.message)}" + (f"\nhint: {agent.say(error.hint)}" if error.hint else "")
    more = {"code": error.code(), "retryable": error.retryable, **msgspec.to_builtins(error.told())}
    last = msgspec.json.encode(agent.answers.document(more)).decode()
    return types.CallToolResult(content=[_text(f"{said}\n{last}")], is_error=True)


def _text(text: str) -> types.TextContent:
    """The only form of an answer: every client hands its model text, some hand it the structure as well, and one that
    reads the structure alone does so only where there is one."""
    return types.TextContent(type="text", text=text)
