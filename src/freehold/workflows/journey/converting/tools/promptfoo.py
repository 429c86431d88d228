"""A configuration of promptfoo, `promptfooconfig.yaml`.

Source of the shape: promptfoo.dev/docs/configuration/reference, /docs/providers and its JSON schema
(promptfoo.dev/config-schema.json), read 2026-11-29. `targets` is another name of `providers`.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from freehold.workflows.journey.converting.addresses import (
    VendorAddress,
    address,
    azure_address,
    is_own_engine,
    key_variable,
    vendor_of,
)
from freehold.workflows.journey.converting.parts import ConfigParts, ConvertedModel
from freehold.workflows.journey.converting.source import Source

TITLE = "promptfoo"
_SCORERS = {
    "contains": "contains", "icontains": "contains", "contains-all": "contains", "contains-any": "contains",
    "icontains-all": "contains", "icontains-any": "contains", "contains-json": "json_fields",
    "equals": "exact", "is-json": "json_fields", "is-valid-openai-tools-call": "tool_call", "regex": "regex",
    "similar": "semantic", "tool-call-f1": "tool_call", "llm-rubric": "judge", "factuality": "judge",
    "model-graded-closedqa": "judge", "model-graded-factuality": "judge", "g-eval": "judge", "select-best": "judge",
}  # fmt: skip
"""Kinds of assertions, and the scorer that asks the same of an answer."""
_FORMS = ("chat", "messages", "completion", "responses")
_TABLES = (".csv", ".jsonl", ".json", ".tsv")


def recognises(document: Any) -> bool:
    """Whether this is such a file."""
    if not isinstance(document, dict) or not document.keys() & {"providers", "targets"}:
        return False
    return bool(document.keys() & {"prompts", "tests", "defaultTest", "scenarios"})


def convert(document: Any, parts: ConfigParts, incumbent: str | None) -> list[str]:
    """The incumbent, candidates, the scorer and the data. Returns what was not read."""
    root = Source(document)
    asked = _vendors(root, parts)
    wanted = parts.one_of((one.model for one, _ in asked if one.model is not None), incumbent)
    first = next((one for one in asked if one[0].model == wanted), asked[0] if asked else None)
    if first is not None:
        parts.set_incumbent(*first)
        if len(asked) > 1 and incumbent is None:
            parts.assume(
                f"{first[0].model} is the model to leave, as the first provider; --incumbent names another"
            )
    for one, source in asked:
        if one is not (first or (None, ""))[0] and one.model is not None:
            parts.candidate(
                one.model, method="as_is", source=source, endpoint=parts.own_endpoint(one.address)
            )
    _prompts(root, parts)
    _tests(root, parts)
    _assertions(root, document, parts)
    root.take("description")
    return [where for where in root.unread() if not where.startswith("$")]


def _vendors(root: Source, parts: ConfigParts) -> list[tuple[ConvertedModel, str]]:
    key = "providers" if "providers" in root else "targets"
    listed = root.take(key)
    found: list[tuple[ConvertedModel, str]] = []
    for place, one in enumerate(listed if isinstance(listed, list) else [listed]):
        where = f"{key}[{place}]"
        source = Source(
            {"id": one} if isinstance(one, str) else one if isinstance(one, dict) else {}, where, root.opened
        )
        if isinstance(one, dict) and "id" not in one and len(one) == 1:  # {"openai:gpt-4o": {config: …}}
            ((name, inner),) = one.items()
            source.take(str(name))
            source = Source({"id": name, **(inner if isinstance(inner, dict) else {})}, where, root.opened)
        asked = _asked(source, parts)
        if asked is not None:
            found.append((asked, where))
    return found


def _asked(source: Source, parts: ConfigParts) -> ConvertedModel | None:
    name = source.text("id") or ""
    source.take("label")
    config = source.part("config") or Source({}, source.at("config"))
    vendor, _, rest = name.partition(":")
    form, separator, model = rest.partition(":")
    if not separator or form not in _FORMS:
        model = rest
    base = config.text("apiBaseUrl", "apiHost", "baseUrl", "base_url")
    if base is not None and not base.startswith("http") and re.fullmatch(r"[\w.:-]+", base):
        base = f"https://{base}"
    place: VendorAddress | None
    if vendor_of(vendor) == "azure":
        place = azure_address(base, model, config.text("apiVersion"))
    elif vendor in ("bedrock", "vertex", "http", "https", "file", "exec", "python", "package"):
        place = None
    else:
        place = address(vendor, base)
    if place is None or not model:
        parts.lacks(source.path, "not a provider with an address that freehold can ask")
        return None
    usual = None if is_own_engine(vendor) else key_variable(vendor)
    named = config.text("apiKeyEnvar")
    given = config.take("apiKey")
    if named is not None and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", named):
        env = parts.key(f"${named}", None, config.at("apiKeyEnvar"))
    elif base is not None and given is None:
        env = None
    else:
        env = parts.key(given, usual, config.at("apiKey"))
    limit = config.whole("max_tokens", "max_completion_tokens")
    if limit is not None and limit >= 1:
        parts.task["max_tokens"] = max(limit, parts.task.get("max_tokens", 0))
    return ConvertedModel(place._replace(api_key_env=env), model)


def _prompts(root: Source, parts: ConfigParts) -> None:
    given = root.take("prompts")
    listed = given if isinstance(given, list) else [given]
    texts = [one for one in listed if isinstance(one, str)]
    variables = sorted({name for text in texts for name in re.findall(r"\{\{\s*(\w+)\s*\}\}", text)})
    if len(listed) == 1 and len(texts) == 1 and len(variables) == 1 and "\n" not in texts[0].strip("\n"):
        before, after = re.split(r"\{\{\s*\w+\s*\}\}", texts[0], maxsplit=1)
        if "{{" not in after and not after.strip(" \"'.?") and not texts[0].startswith("file://"):
            parts.data |= {"input": variables[0], "system": before.strip(" \"':") or None}
            parts.note("prompts", "[data] system, input")
            parts.assume(
                "what stands before the prompt's one variable is the instruction, the variable is the question"
            )
            return
    if given is not None:
        parts.lacks(
            "prompts",
            "the requests of your traffic carry their prompt; freehold prompt searches for better ones",
        )


def _tests(root: Source, parts: ConfigParts) -> None:
    given = root.take("tests")
    listed = given if isinstance(given, list) else [given]
    files = [
        one.removeprefix("file://")
        for one in listed
        if isinstance(one, str) and one.lower().endswith(_TABLES)
    ]
    inside = [one for one in files if not one.startswith("/") and ".." not in one.split("/")]
    if inside:
        beside = Path(
            parts.file
        ).parent  # promptfoo reads them from the configuration's folder, freehold from its own
        parts.data["files"] = [str(beside / one) for one in inside]
        parts.data["label"] = "__expected"
        parts.note("tests", "[data] files")
        parts.assume("the column __expected of the tests is what is right")
    others = len([one for one in listed if one is not None]) - len(inside)
    if others:
        parts.lacks(
            "tests",
            f"{others:,} that stand in the file itself, or are made by a program: put them into a CSV or JSON lines "
            "file, a column for each variable and one for what is right, and name it in [data] held_out_files",
        )


def _assertions(root: Source, document: dict[str, Any], parts: ConfigParts) -> None:
    default = document.get("defaultTest")
    tests = document.get("tests")
    kinds: Counter[str] = Counter()
    for test in [default, *(tests if isinstance(tests, list) else [])]:
        listed = test.get("assert") if isinstance(test, dict) else None
        for one in listed if isinstance(listed, list) else []:
            if isinstance(one, dict) and isinstance(one.get("type"), str):
                kinds[one["type"]] += 1
    known = Counter({kind: count for kind, count in kinds.items() if kind in _SCORERS})
    for kind in kinds.keys() - known.keys():
        parts.lacks(
            f"assert: {kind[:60]}",
            'a scorer of your own: [task] scorer = "code", options callable = FILE:FUNCTION',
        )
    root.take("defaultTest")
    if not known:
        return
    ((kind, _),) = known.most_common(1)
    scorer = _SCORERS[kind]
    for other in known.keys() - {kind}:
        parts.lacks(f"assert: {other}", f"one scorer decides, and most of the assertions are {kind}")
    grader = _grader(default)
    if scorer == "judge":
        asked = _asked(grader, parts) if grader is not None else None
        if asked is None:
            parts.lacks(f"assert: {kind}", '[task] scorer = "judge" needs the base_url and model of a judge')
            return
        parts.judge(asked, f"assert: {kind}")
        return
    if scorer == "semantic":
        parts.lacks(
            f"assert: {kind}", '[task] scorer = "semantic" needs the base_url and model of an embeddings API'
        )
        return
    parts.task["scorer"] = scorer
    parts.note(f"assert: {kind}", "[task] scorer")
    parts.assume(
        "what is right is compared with what your data says is right, not with the values in the assertions"
    )


def _grader(default: Any) -> Source | None:
    """The model that grades, as `defaultTest.options.provider` says it."""
    options = default.get("options") if isinstance(default, dict) else None
    vendor = options.get("provider") if isinstance(options, dict) else None
    if isinstance(vendor, dict) and "text" in vendor:
        vendor = vendor["text"]
    if isinstance(vendor, str):
        return Source({"id": vendor}, "defaultTest.options.provider")
    return Source(vendor, "defaultTest.options.provider") if isinstance(vendor, dict) else None
