"""`freehold evaluate`: a candidate against the frozen incumbent, or two files of outputs."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from freehold.cli.options import (
    address,
    anyway_option,
    config_option,
    json_option,
    markdown_option,
    not_with,
    only_with,
    print_json,
    variable_name,
    write_markdown,
)
from freehold.cli.output import echo
from freehold.errors import UsageError
from freehold.types.verdict import EXIT_CODES

if TYPE_CHECKING:
    from freehold.evals.replay import ReplayOptions
    from freehold.types.evaluated import Evaluation
    from freehold.types.evaluation import Comparison, Task
    from freehold.workflows.project import Project
    from freehold.workflows.prove.evaluate import HeldOutSelection, ServedCandidate
    from freehold.workflows.prove.outputs import OutputFiles


@click.command("evaluate")
@click.option(
    "--endpoint", "url", callback=address, help="Address of the candidate, such as http://127.0.0.1:8420."
)
@click.option("--model", help="The candidate's model name there.")
@click.option("--dataset", "dataset_id", help="Dataset: id, name or folder (default: the latest).")
@click.option(
    "--api-key-env", callback=variable_name, help="Environment variable that holds the endpoint's key."
)
@click.option("--fresh", is_flag=True, help="Ask everything again instead of using kept answers.")
@click.option(
    "--a",
    "a",
    metavar="FILE[::NAME]",
    help="Outputs of the incumbent: JSON lines, or another tool's results.",
)
@click.option("--b", "b", metavar="FILE[::NAME]", help="Outputs of the candidate.")
@click.option(
    "--task",
    "scorer",
    help="Scorer instead of freehold.toml's, or a TOML file with a [task]; 'given': the files' scores.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Scorer option; the value is JSON or text.",
)
@click.option("--margin", type=float, help="Largest drop you accept, on the score's scale.")
@click.option(
    "--planned-looks",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How often these items will be evaluated in all; alpha is divided among the looks.",
)
@click.option(
    "--gold", type=click.Path(path_type=Path), help="Right answers {id, gold}, where a and b have none."
)
@click.option("--items", type=click.IntRange(min=0), default=0, help="Show this many disagreements.")
@markdown_option
@config_option
@anyway_option
@json_option("freehold.types.evaluated:Evaluation")
def command(  # click passes each option
    url: str | None,
    model: str | None,
    dataset_id: str | None,
    api_key_env: str | None,
    fresh: bool,
    a: str | None,
    b: str | None,
    scorer: str | None,
    options: tuple[str, ...],
    margin: float | None,
    planned_looks: int,
    gold: Path | None,
    items: int,
    markdown: Path | None,
    config_path: Path | None,
    anyway: bool,
    as_json: bool,
) -> None:
    """Is the candidate good enough, on your items, against the model you pay for?

    Exit code 0: promote, 1: reject, 3: hold (not proven either way), 2: it could not be done.

    \b
    Example:
      freehold evaluate --endpoint http://127.0.0.1:8420 --model smollm2:helpdesk
      freehold evaluate --a gpt4o.jsonl --b smollm2.jsonl --task label --margin 0.02 --items 10
      freehold evaluate --a gpt4o.jsonl --b smollm2.jsonl --task label --markdown verdict.md
    """
    from freehold.evals.replay import ReplayOptions
    from freehold.types.endpoint import Endpoint
    from freehold.workflows.project import open_project
    from freehold.workflows.prove.evaluate import HeldOutSelection, ServedCandidate
    from freehold.workflows.prove.outputs import OutputFiles, files_task
    from freehold.workflows.prove.task import task_of

    if (a is None) != (b is None) or (a is None) == (url is None):
        raise UsageError(
            "say what to compare: an endpoint, or two files of outputs",
            hint="--endpoint URL --model NAME, or --a FILE --b FILE",
        )
    only_with("--a", a is not None, "gold")
    not_with("--a", a is not None, "model", "dataset_id", "api_key_env", "fresh")
    project = open_project(config_path)
    stated = files_task if a is not None else task_of
    task = stated(project, scorer=scorer, options=_parsed(options), margin=margin)
    if a is not None and b is not None:
        outputs = OutputFiles(a, b, gold)
        made = _of_files(project, outputs, task, planned_looks=planned_looks, anyway=anyway)
        _tell(made, items, markdown, as_json=as_json)
    if model is None:
        raise UsageError(
            "no model of the endpoint is named", hint=f"--model NAME; curl {url}/v1/models lists them"
        )
    asking = _Asking(
        project,
        ServedCandidate(
            Endpoint(name=str(url), engine="remote", base_url=str(url), api_key_env=api_key_env), model
        ),
        task,
        HeldOutSelection(dataset_id, planned_looks=planned_looks),
        ReplayOptions(),
        fresh,
        anyway,
    )
    _tell(_replayed(asking), items, markdown, as_json=as_json)


class _Asking(NamedTuple):
    """What is put to a candidate, and how."""

    project: Project
    candidate: ServedCandidate
    task: Task
    selection: HeldOutSelection
    options: ReplayOptions
    fresh: bool
    anyway: bool


def _tell(made: Evaluation, items: int, markdown: Path | None, *, as_json: bool) -> NoReturn:
    from freehold.report.markdown import comparison_markdown

    comparison = made.comparison
    assert comparison is not None  # only a journey may do without an incumbent
    write_markdown(markdown, comparison_markdown(comparison))
    if as_json:
        print_json(made)
    else:
        _show(made, comparison, items)
    sys.exit(EXIT_CODES[comparison.verdict])


def _of_files(
    project: Project, outputs: OutputFiles, task: Task, *, planned_looks: int, anyway: bool
) -> Evaluation:
    """Two files compared; the look is counted in the project's store."""
    import anyio

    from freehold.cli.progress import progress
    from freehold.workflows.prove.outputs import evaluate_files

    with progress() as shown:
        return anyio.run(
            partial(
                evaluate_files,
                project,
                outputs,
                task,
                planned_looks=planned_looks,
                anyway=anyway,
                progress=shown,
            )
        )


def _replayed(asking: _Asking) -> Evaluation:
    """The candidate asked the held-out samples."""
    import anyio

    from freehold.cli.progress import progress
    from freehold.workflows.prove.evaluate import evaluate_project

    with progress() as shown:
        shown.step("replay the held-out samples")
        return anyio.run(
            partial(
                evaluate_project,
                asking.project,
                asking.candidate,
                asking.task,
                selection=asking.selection,
                options=asking.options,
                fresh=asking.fresh,
                anyway=asking.anyway,
                progress=shown,
            )
        )


def _show(made: Evaluation, comparison: Comparison, items: int) -> None:
    from freehold.cli.prove.comparison_text import (
        differing_text,
        show_comparison,
        show_items,
        show_latency,
    )

    show_comparison(comparison)
    show_latency(made.latency)
    if made.incumbent_cost_usd is not None:
        echo(
            f"  the incumbent         about ${made.incumbent_cost_usd:.2f} for these requests at the list price"
        )
    if made.sandbox is not None:
        echo(f"  sandbox              {made.sandbox}, for your scorer")
    if made.from_cache:
        echo(f"\n  {made.from_cache:,} answers were kept from before; --fresh asks again")
    differing = differing_text(made.disagreements_total, comparison)
    if items:
        show_items(made.disagreements[:items], differing)
    elif made.disagreements_total:
        echo(f"\n  {differing}; --items 10 shows the first")
    if made.results_file:
        echo(f"  every answer and score: {made.results_file}")


def _parsed(options: tuple[str, ...]) -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = {}
    for option in options:
        key, equals, text = option.partition("=")
        if not equals:
            raise UsageError(
                f"--option {option}: expected KEY=VALUE", hint="for example --option tolerance=0.01"
            )
        try:
            found[key] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            found[key] = text
    return found
