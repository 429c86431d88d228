"""A chat template in Ollama's language, where the model's own is simple enough for it.

The model's template is only ever asked, never parsed: what it writes around a system, a user and an assistant message,
and before the first one, is inferred from rendered conversations. The pieces put together must then render several
other conversations to the letter; where they do not (tools, dropped reasoning, alternation rules), there is none, and
None says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Chat = list[dict[str, str]]
Render = Callable[[Chat, bool], str]
"""A conversation, and whether the beginning of the answer is wanted, to text."""

_MARK = "\x02MARK\x03"


class Pieces(NamedTuple):
    """What stands before and after each role's text; `opening` before everything, `unasked` where no system message
    is given, `answer` where the model begins to write."""

    opening: str
    unasked: str
    around: dict[str, tuple[str, str]]
    answer: str

    def render(self, chat: Chat, asked: bool) -> str:
        """The text of a conversation, as the Ollama template writes it."""
        text = self.opening
        if not chat or chat[0]["role"] != "system":
            text += self.unasked
        for message in chat:
            before, after = self.around[message["role"]]
            text += before + message["content"] + after
        return text + (self.answer if asked else "")


def infer_pieces(render: Render) -> Pieces | None:
    """The pieces of a template; None when it is not made of such pieces. `render` may raise `ValueError` or what
    jinja raises: a template that refuses a plain conversation has none."""
    import jinja2

    try:
        pieces = _pieces(render)
        return pieces if pieces is not None and _reproduces(render, pieces) else None
    except (jinja2.TemplateError, ValueError, KeyError, TypeError):
        return None  # a `ValueError` also where a message's text is not written at all


def _chat(*parts: tuple[str, str]) -> Chat:
    return [{"role": role, "content": text} for role, text in parts]


def _pieces(render: Render) -> Pieces | None:
    system = render(_chat(("system", _MARK + "s"), ("user", _MARK + "u")), False)
    alone = render(_chat(("user", _MARK + "u")), False)
    two = render(_chat(("user", _MARK + "u"), ("assistant", _MARK + "a"), ("user", _MARK + "v")), False)
    asked = render(_chat(("user", _MARK + "u")), True)
    if not asked.startswith(alone):
        return None
    before_system, rest = system.split(_MARK + "s", 1)
    between, after_user = rest.split(_MARK + "u", 1)
    before_alone, after_alone = alone.split(_MARK + "u", 1)
    first, rest = two.split(_MARK + "u", 1)[1].split(_MARK + "a", 1)
    middle, last = rest.split(_MARK + "v", 1)
    if after_user != after_alone or last != after_user or not first.startswith(after_user):
        return None
    before_assistant = first[len(after_user) :]
    # What stands between an answer and the next question is the answer's end and the question's beginning. Most
    # templates end all turns alike; that cut comes first.
    usual = len(middle) - _common_length(middle, after_user)
    for size in (usual, *reversed(range(len(middle) + 1))):
        before_user = middle[len(middle) - size :]
        if not (between.endswith(before_user) and before_alone.endswith(before_user)):
            continue
        pieces = Pieces(
            opening="",
            unasked=before_alone[: len(before_alone) - size],
            around={
                "system": (before_system, between[: len(between) - size]),
                "user": (before_user, after_user),
                "assistant": (before_assistant, middle[: len(middle) - size]),
            },
            answer=asked[len(alone) :],
        )
        if _reproduces(render, pieces):
            return pieces
    return None


def _common_length(one: str, other: str) -> int:
    """Characters two texts begin with alike."""
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _reproduces(render: Render, pieces: Pieces) -> bool:
    chats = [
        _chat(("user", "Hello?")),
        _chat(("system", "Be brief."), ("user", "What is 2 + 2?")),
        _chat(("user", "One"), ("assistant", "Two"), ("user", "Three")),
        _chat(
            ("system", "S"),
            ("user", "A"),
            ("assistant", "B"),
            ("user", "C"),
            ("assistant", "D"),
            ("user", "E"),
        ),
    ]
    return all(render(chat, True) == pieces.render(chat, True) for chat in chats)


def go_template(pieces: Pieces) -> str:
    """The template in the language of Go's ``text/template``, as a Modelfile's ``TEMPLATE`` has it."""

    def literal(text: str) -> str:
        # Text is put in as Go strings: braces, quotes and line ends then mean themselves.
        if not text:
            return ""
        escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
        return '{{ "' + escaped + '" }}'

    branches = ""
    for number, (role, (before, after)) in enumerate(pieces.around.items()):
        word = "if" if number == 0 else "else if"
        branches += f'{{{{ {word} eq .Role "{role}" }}}}{literal(before)}{{{{ .Content }}}}{literal(after)}'
    unasked = ""
    if pieces.unasked:
        unasked = (
            '{{ if not (eq (index .Messages 0).Role "system") }}' + literal(pieces.unasked) + "{{ end }}"
        )
    return (
        literal(pieces.opening)
        + unasked
        + "{{ range .Messages }}"
        + branches
        + "{{ end }}{{ end }}"
        + literal(pieces.answer)
    )


def modelfile(
    source: str,
    *,
    adapter: str | None,
    template: str | None,
    stops: tuple[str, ...],
    context: int,
    comment: str | None = None,
) -> str:
    """The text of a Modelfile for ``ollama create NAME -f Modelfile``. `comment` is one line without its sign."""
    lines = [f"# {comment}"] if comment is not None else []
    lines.append(f"FROM {source}")
    if adapter is not None:
        lines.append(f"ADAPTER {adapter}")
    if template is not None:
        lines.append(f'TEMPLATE """{template}"""')
    lines += [f'PARAMETER stop "{stop}"' for stop in stops]
    lines += [f"PARAMETER num_ctx {context}", "PARAMETER temperature 0"]
    return "\n".join(lines) + "\n"
