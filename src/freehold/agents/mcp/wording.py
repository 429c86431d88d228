"""What freehold tells people in commands and options, in the words of tools: an agent has no command line.

Commands that are left as they are have no tool: they are for the agent's user.
"""

from __future__ import annotations

import re
from collections.abc import Collection

COMMANDS = {
    "assess": "assess_models", "audit": 'read(kind="audit")', "compare": "compare_scores", "cost": "estimate_cost",
    "dataset": 'read(kind="dataset")', "dataset check": 'read(kind="dataset")', "dataset show": 'read(kind="dataset")',
    "dataset build": 'make(kind="dataset")',
    "defer plan": 'run_step(kind="mixture")', "doctor": 'read(kind="diagnosis")', "down": 'gateway(kind="stop")',
    "evaluate": "evaluate_served", "evaluate --a": "evaluate_answers", "fit": "check_fit", "forget": "forget",
    "freeze": 'run_step(kind="freeze")', "import": "import_traffic", "init": "draft_project",
    "license": "check_license", "migrate": "migrate", "migrate --dry-run": "check_migration",
    "parity": 'run_step(kind="parity")',
    "power": "plan_power", "quants": 'check_fit(quantization="all")', "report": 'read(kind="report")',
    "report --evaluations": 'read(kind="evaluations")', "report --open": 'read(kind="report")',
    "rescue": "prepare_rescue", "retirements": 'read(kind="retirements")',
    "rollout advance": 'move_traffic(kind="advance")', "rollout pause": 'move_traffic(kind="pause")',
    "rollout promote": 'move_traffic(kind="promote")', "rollout rollback": 'move_traffic(kind="roll_back")',
    "rollout start": 'move_traffic(kind="begin")', "rollout status": 'read(kind="rollout")', "scan": "scan_code",
    "status": 'read(kind="status")', "store backup": 'make(kind="backup")', "store check": 'read(kind="store")',
    "tasks": "find_tasks", "train": 'run_step(kind="train")', "up": 'gateway(kind="start")', "watch": "watch_promoted",
    "watch --history": 'read(kind="checks")',
}  # fmt: skip
"""Commands that have a tool; a longer one comes before the group it is of."""
FOR_PEOPLE = (
    "dataset card", "dataset diff", "dataset export", "license comply", "license identify", "license init",
)  # fmt: skip
"""Commands of such a group that have none."""
OPTIONS = {"context": "context_tokens", "gold": "gold_file", "license": "declared", "quant": "quantization"}
"""Options that are called otherwise as an argument."""
OF_THE_SERVER = frozenset({"allow", "budget_usd", "max_requests"})
"""Arguments of tools by whose names an option is meant that the user starts the server with."""
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]+)(?![\w-])")
_KILL = re.compile(r"stop it: kill \d+")


class Wording:
    """Puts texts into the words of the tools that a server has, and of their arguments."""

    def __init__(self, tools: Collection[str], arguments: Collection[str]) -> None:
        self._said = {name: said for name, said in COMMANDS.items() if said.partition("(")[0] in tools}
        self._arguments = set(arguments) - OF_THE_SERVER
        names = "|".join(map(re.escape, sorted((*self._said, *FOR_PEOPLE), key=len, reverse=True)))
        self._command = re.compile(rf"\bfreehold ({names})(?![\w-])(?: --([a-z][a-z-]+))?")

    def __call__(self, text: str) -> str:
        if "freehold " in text:
            text = self._command.sub(self._tool, text)
        if "--" in text and "freehold " not in text:  # a command's that stays are the command's
            text = _OPTION.sub(lambda found: self._argument(found[1]) or found[0], text)
        return _KILL.sub("cancel it there", text)

    def _tool(self, found: re.Match[str]) -> str:
        """The tool of a command; the command where an option follows that the tool lacks."""
        command, option = found.groups()
        argument = option and self._argument(option)
        if command not in self._said or (option and not argument):
            return found[0]
        return f"{self._said[command]} {argument}" if argument else self._said[command]

    def _argument(self, option: str) -> str | None:
        name = OPTIONS.get(option, option.replace("-", "_"))
        return name if name in self._arguments else None
