"""`freehold license`: may I use this model for this, and what must I do?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.documents import print_json
from freehold.cli.operation import CONFIG, CommandGroup, Reply, arg, group, operation, opt
from freehold.cli.options import answered_by, now
from freehold.cli.output import Aside, Block, echo

if TYPE_CHECKING:
    from freehold.licensing.identify import Identified
    from freehold.types.license import Lineage, Ruling
    from freehold.types.use import UseProfile

EXIT_CODES = dict.fromkeys(("allowed", "allowed_with_obligations"), 0)
EXIT_CODES |= dict.fromkeys(("not_allowed", "needs_separate_license"), 1) | {"unclear": 3}
_COLORS = {"allowed": "green", "allowed_with_obligations": "green", "unclear": "yellow"}


class RuleByDefault(CommandGroup):
    """A word that is not a command of this group is a model to rule on."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["rule", *args]
        return super().parse_args(ctx, args)


@group("license", RuleByDefault)
def license() -> None:
    """May I use this model for this, and what must I do?

    Without a command, rules on a MODEL or a file of cases for the use in [use] of freehold.toml. MODEL may be a file or
    folder that says what it is made of: a lineage, an adapter's manifest, a model card, a GGUF file.
    Exit code: 0 allowed, 1 not allowed or a separate licence is needed, 3 unclear, 2 usage.

    \b
    Example:
      freehold license google/gemma-3-270m
      freehold license lineage.json --set mode=hosted_service --json
      freehold license --cases license_cases.json --json
      freehold license comply meta-llama/Llama-3.1-8B-Instruct --out legal/
    """


DECLARED = opt("Licence of a MODEL the catalog does not know.", "--license", metavar="ID|FILE")
BASE = opt("What a MODEL is a quantized or converted copy of, where its name does not tell.", metavar="ID")
SETTINGS = opt("Lay a value over the use profile.", "--set", metavar="KEY=VALUE")


@operation(
    "rule",
    "freehold.types.license:Ruling",
    case="freehold.workflows.license.cases:CaseAnswer",
    within=license,
)
def rule_command(
    model: str | None = arg(),
    *,
    declared: str | None = DECLARED,
    base: str | None = BASE,
    settings: tuple[str, ...] = SETTINGS,
    config_path: Path | None = CONFIG,
    cases_path: Path | None = opt("Answer a file of worked cases.", "--cases"),
    as_json: bool,
) -> Reply:
    """Rule on a MODEL or a file of cases (this is what `freehold license MODEL` does).

    \b
    Example:
      freehold license rule Qwen/Qwen2.5-3B --set commercial=true --set mode=internal
    """
    if cases_path is not None:
        return Reply(None, None, _answer_cases(cases_path, as_json))
    ruling, _, _ = _ruling(model, declared, base, settings, config_path)
    return Reply(ruling, partial(_ruling_view, model=model or ""), EXIT_CODES[ruling.outcome])


def _ruling_view(ruling: Ruling, model: str) -> Iterator[Block]:
    from freehold.workflows.license.rule import explain, similar_models

    first, _, rest = explain(ruling).partition("\n")
    yield click.style(first, fg=_COLORS.get(ruling.outcome, "red"), bold=True)
    yield from rest.splitlines()
    yield from _age(model)
    if ruling.outcome == "unclear" and (near := similar_models(model)):
        yield Aside(f"{click.style('hint:', fg='cyan', bold=True)} did you mean {' or '.join(near)}?")


def _age(model: str) -> Iterator[Block]:
    """Say it where the licence of a release was looked up too long ago to be taken for fresh."""
    from datetime import date

    from freehold.catalog.freshness import is_stale, said
    from freehold.catalog.licenses import releases_of

    days = [date.fromisoformat(one.checked) for one in releases_of(model) if one.checked]
    today = now().date()
    if days and is_stale("licences of releases", max(days), today):
        told = said("licences of releases", max(days), today)
        yield Aside(f"{told}: compare the licence of {model} with the file in your copy of it")


def _answer_cases(path: Path, as_json: bool) -> int:
    from freehold.errors import InputError
    from freehold.workflows.license.cases import answer_case, read_cases, unread_case

    unread = 0
    for case in read_cases(path):
        try:
            answer = answer_case(case, path=str(path))
        except InputError as error:
            # One case that cannot be read must not cost the answers to the others.
            echo(f"error: {error.message}", err=True)
            answer = unread_case(case, error.message)
            unread += 1
        if as_json:
            print_json(answer, "case", one_line=True)
        else:
            echo(f"{answer.id}: {answer.verdict}  {', '.join(answer.obligations)}".rstrip())
    return 2 if unread else 0


@operation("comply", "freehold.cli.printed:Complied", within=license)
def comply_command(
    model: str | None = arg(),
    *,
    declared: str | None = DECLARED,
    base: str | None = BASE,
    settings: tuple[str, ...] = SETTINGS,
    config_path: Path | None = CONFIG,
    out: Path = opt("Folder to write into."),
) -> Reply:
    """Write NOTICE, attribution, use-restriction annex, model-card section and checklist.

    Duties that were ticked on the console's screen Licence are ticked in the checklist, with who and since when.

    \b
    Example:
      freehold license comply google/gemma-3-270m --set mode=hosted_service --out legal/
    """
    from freehold.types.license import duty_id
    from freehold.workflows.license.rule import comply, done_in, named_after, rule_for_model
    from freehold.workflows.project import open_project

    ruling, lineage, use = _ruling(model, declared, base, settings, config_path)
    ruling = rule_for_model(lineage.model, named_after(lineage, use), lineage=lineage)
    marks = done_in(open_project(config_path, looks=True), ruling)
    due = [one for one in ruling.obligations if not (one.recommended or one.passive)]
    done = sum(duty_id(ruling.model, one) in marks for one in due)
    files = tuple(str(path) for path in comply(ruling, out, lineage, marks))

    def view(_: object) -> Iterator[Block]:
        yield from files
        if due:
            yield Aside(f"{done} of {len(due)} duties are ticked as done (freehold console, Licence)")
        yield from (Aside(f"mend first: {text}") for text in ruling.details["violation_texts"])

    made = {"outcome": ruling.outcome, "files": files, "due": len(due), "done": done}
    return Reply(made, view, EXIT_CODES[ruling.outcome])


@operation("init", within=license)
def init_command(
    *,
    settings: tuple[str, ...] = opt("Answer without being asked.", "--set", metavar="KEY=VALUE"),
    config_path: Path | None = CONFIG,
) -> None:
    """Ask what the licences will ask, and store it in [use] of freehold.toml. Empty means unknown.

    \b
    Example:
      freehold license init
      freehold license init --set commercial=true --set seat=DE
    """
    from freehold.workflows.license.use import QUESTIONS, use_table, with_settings, write_use
    from freehold.workflows.project import open_project

    project = open_project(config_path, looks=True)
    use = with_settings(project.config.use, settings)
    path = config_path or project.config_path or project.root / "freehold.toml"
    if not settings:
        answers = []
        for key, question in QUESTIONS:
            now = getattr(use, key)
            shown = ", ".join(now) if isinstance(now, tuple) else ("" if now is None else str(now))
            with answered_by("--set KEY=VALUE answers without being asked, as in --set commercial=true"):
                told = click.prompt(question, default=shown, show_default=bool(shown), err=True)
            if str(told).strip() and str(told) != shown:
                answers.append(f"{key}={told}")
        use = with_settings(use, tuple(answers))
    write_use(path, use)
    echo(use_table(use), nl=False)
    echo(f"written to {path}", err=True)


@operation("identify", "freehold.licensing.identify:Identified", within=license)
def identify_command(file: Path = arg()) -> Reply:
    """Say which licence the text of FILE is. Changed text is never reported as the original.

    Exit code: 0 the same text as a known one, 3 changed or unknown.

    \b
    Example:
      freehold license identify LICENSE
    """
    from freehold.workflows.license.rule import identify_file

    found = identify_file(file)
    return Reply(found, partial(_identified, file), 0 if found.answer == "same" else 3)


def _identified(file: Path, found: Identified) -> Iterator[Block]:
    if found.answer == "same":
        yield f"{file}: {found.title} ({found.license_id})"
    elif found.answer == "changed":
        yield f"{file}: changed from {found.title} ({found.nearest}), closeness {found.closeness:.2f}"
        yield f"  {len(found.added)} sentences are not the original's, {found.missing} are missing"
        for text in found.added[:20]:
            yield f"  + {text}"
        for gap in found.gaps[:20]:
            yield f"  - {gap}"
        left = max(len(found.added) - 20, 0) + max(len(found.gaps) - 20, 0)
        if left:
            yield f"  … and {left} more; --json has all"
    else:
        yield f"{file}: no known licence"
    for title, closeness in found.twins:
        yield f"  not: {title} (closeness {closeness:.2f})"
    if found.note:
        yield f"  {found.note}"


@operation("bom", within=license)
def bom_command(
    model: str | None = arg(),
    *,
    declared: str | None = DECLARED,
    base: str | None = BASE,
    settings: tuple[str, ...] = SETTINGS,
    config_path: Path | None = CONFIG,
    out: Path | None = opt("File (default: stdout).", dir_okay=False),
) -> Reply:
    """Write a CycloneDX 1.6 bill of materials: lineage, licences with links, hashes, data, services.

    Exit code as that of the ruling: 0 allowed, 1 not allowed or a separate licence is needed, 3 unclear.

    \b
    Example:
      freehold license bom .freehold/adapters/support --out support.cdx.json
    """
    from freehold.files import shared
    from freehold.workflows.license.bom import bill_of_materials
    from freehold.workflows.license.lineage import file_hashes, lineage_path

    ruling, lineage, use = _ruling(model, declared, base, settings, config_path)
    path = lineage_path(model or "")
    text = bill_of_materials(ruling, lineage, use, hashes={} if path is None else file_hashes(path))
    if out is None:
        echo(text, whole=True)
    else:
        with shared(out):
            out.write_text(text + "\n", encoding="utf-8")
        echo(str(out))
    if EXIT_CODES[ruling.outcome]:
        echo(f"{ruling.model}: {ruling.outcome.replace('_', ' ')}; freehold license says why", err=True)
    return Reply(None, None, EXIT_CODES[ruling.outcome])


def _ruling(
    model: str | None,
    declared: str | None,
    base: str | None,
    settings: tuple[str, ...],
    config_path: Path | None,
) -> tuple[Ruling, Lineage, UseProfile]:
    from freehold.workflows.license.lineage import lineage_path, read_lineage
    from freehold.workflows.license.rule import lineage_of_model, rule_asked
    from freehold.workflows.license.use import with_settings
    from freehold.workflows.project import open_project

    if model is None:
        raise click.UsageError("give a MODEL, or the file or folder that says what it is made of")
    config = open_project(config_path, looks=True).config
    use = with_settings(config.use, settings)
    if (path := lineage_path(model)) is None:
        lineage = lineage_of_model(model, declared=declared, copy_of=base)
    elif declared is not None or base is not None:
        raise click.UsageError("--license and --base go with a model's name; a lineage file says both")
    else:
        lineage, stated = read_lineage(path, use)
        use = use if stated is None else with_settings(stated, settings)
    return rule_asked(lineage, config, use), lineage, use
