"""A project from Python: what `freehold.Project` is, in the order of the journey."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freehold.api.calling import Answers, FilePath, answer_files, blocking, finished, paths, watched
from freehold.api.choosing import ProjectQuestions
from freehold.errors import UsageError
from freehold.progress import Progress

if TYPE_CHECKING:
    from freehold.api.traffic import ProjectCare, ProjectTraffic
    from freehold.types.dataset import DataCard, Dataset, SplitName
    from freehold.types.evaluated import Evaluation, EvaluationLine, Freeze
    from freehold.types.gates import ParityReport
    from freehold.types.mixture import Mixture
    from freehold.types.report import Report
    from freehold.types.training import Adapter
    from freehold.workflows.data.imports import ImportResult
    from freehold.workflows.journey.init import Draft
    from freehold.workflows.journey.migrate import Migration, Prepared
    from freehold.workflows.journey.rescue import Rescue
    from freehold.workflows.journey.step_costs import Asking


class FreeholdProject(ProjectQuestions):
    """A folder with a `freehold.toml`, and what freehold keeps of it.

    Methods stand in the order of the journey. What they return is what the command of the same name prints with
    ``--json``. One migration of a project runs at a time, in whichever process: a second one raises `LockedError` (a
    `UsageError`) that says who runs. Calls block until they are done, in notebooks too.
    """

    @classmethod
    def load(cls, path: FilePath | None = None, *, must_exist: bool = True) -> FreeholdProject:
        """Open a project: its folder or its `freehold.toml` (default: the one in this folder or above).

        Without `must_exist` a folder that has none is a project with defaults. Raises `ConfigError` for a file that is
        missing, wrong, or not to be trusted.
        """
        from freehold.workflows.project import CONFIG_NAME, open_project, without_file

        place = None if path is None else Path(path)
        if place is not None and not must_exist and place.is_dir() and not (place / CONFIG_NAME).exists():
            return cls(without_file(place.resolve()))
        return cls(open_project(place, must_exist=must_exist))

    @staticmethod
    @blocking
    def draft(
        *files: FilePath,
        folder: FilePath = ".",
        held_out: FilePath | None = None,
        incumbent: str | None = None,
    ) -> Draft:
        """Write a first `freehold.toml` into a folder from what log files tell; what they do not tell is in `open`.

        `held_out` is a file kept for the proof. Raises `UsageError` where there is one already.
        """
        from freehold.workflows.journey.init import DraftRequest, draft

        apart = () if held_out is None else paths((held_out,))
        return draft(DraftRequest(Path(folder), paths(files), apart, incumbent=incumbent))

    @staticmethod
    @blocking
    def prepare_rescue(
        file: FilePath, *, model: str | None = None, folder: FilePath = ".", progress: Progress | None = None
    ) -> Rescue:
        """My fine-tuned GPT stops on a date: make a project of its fine-tuning file, and say when and what is next.

        Writes `freehold.toml` (one that is there is used as it is), imports the file and builds the dataset. No API is
        asked. Raises `UsageError`, `InputError`.
        """
        from freehold.workflows.journey.rescue import RescueRequest, begin

        request = RescueRequest(Path(folder), Path(file), model=model)
        return begin(request, progress=watched(progress))[1]

    @property
    def traffic(self) -> ProjectTraffic:
        """The gateway, rollouts and what is watched: everything that moves traffic."""
        from freehold.api.traffic import ProjectTraffic

        return ProjectTraffic(self._opened)

    @property
    def care(self) -> ProjectCare:
        """The store and what is in it: checks, backups, deletions, the audit record."""
        from freehold.api.traffic import ProjectCare

        return ProjectCare(self._opened)

    # --- data

    @blocking
    def import_traffic(
        self, *files: FilePath, held_out: bool = False, progress: Progress | None = None, **columns: str
    ) -> tuple[ImportResult, ...]:
        """Bring logged traffic in as traces; bad records are kept aside with line and reason.

        `held_out` keeps all of it for the proof. `columns` are keys of `[data]`: `format`, `input`, `label`,
        `incumbent`, `answers`. Without files those that `[data]` names. Raises `InputError`.
        """
        import msgspec

        from freehold.types.config import DataConfig
        from freehold.workflows.data.imports import LogFile, import_files, named_files

        unknown = set(columns) - {"format", "input", "label", "incumbent", "answers"}
        if unknown:
            raise UsageError(f"{unknown.pop()} is not a key of [data] that an import takes")
        data = msgspec.structs.replace(self.config.data, **columns)
        named = [LogFile(path, held_out) for path in paths(files)] or named_files(self._opened)
        told = msgspec.structs.replace(DataConfig(), **columns) if files else None
        return import_files(self._opened, named, data=data, named=told, progress=watched(progress))

    @blocking
    def check_dataset(self, *, progress: Progress | None = None) -> DataCard:
        """What building a dataset would find and do: personal data, repeats, leaks, doubtful labels. Keeps nothing."""
        from freehold.workflows.data.dataset import check

        return check(self._opened, progress=watched(progress))

    @blocking
    def build_dataset(self, *, progress: Progress | None = None) -> Dataset:
        """Make an immutable dataset of the traces that are there. The same traces give the same dataset."""
        from freehold.workflows.data.dataset import build

        return build(self._opened, progress=watched(progress))

    def dataset(self, wanted: str | None = None) -> Dataset:
        """A dataset by its id, the beginning of it, its name or its folder; without one, the last that was built."""
        from freehold.workflows.data.dataset import find_dataset
        from freehold.workflows.project_store import opened_store

        with opened_store(self._opened, reads=True) as (store, _):
            return find_dataset(store, wanted)

    # --- the journey

    @blocking
    def rehearse(self, *, progress: Progress | None = None) -> Prepared:
        """Build the dataset and look at everything that could stop a migration. Nothing is paid for or trained."""
        from freehold.workflows.journey.migrate import rehearse

        return rehearse(self._opened, progress=watched(progress))

    @blocking
    def migrate(
        self, *, fresh: bool = False, anyway: bool = False, progress: Progress | None = None
    ) -> Migration:
        """The whole journey: import, dataset, ruling, fit, training, proof, report.

        Steps whose inputs have not changed are skipped (unless `fresh`), so a stopped call goes on where it was.
        Raises `PreflightError` before anything takes long where no good end is possible, unless `anyway`.
        """
        from freehold.workflows.journey.migrate import migrate

        return migrate(
            self._opened,
            progress=watched(progress),
            fresh=fresh,
            beginning="anyway" if anyway else "careful",
        )

    @blocking
    def train(
        self,
        *,
        base: str | None = None,
        name: str | None = None,
        progress: Progress | None = None,
        **options: Any,
    ) -> Adapter:
        """Train an adapter on the last dataset. `options` are keys of `[train]` (``epochs=3``).

        Raises `TrainingError`, `WeightsError`, `UsageError` for an unknown key.
        """
        import msgspec

        from freehold.types.config import FinetuneConfig
        from freehold.workflows.train.train import options_for, train_project, training_inputs

        unknown = set(options) - set(FinetuneConfig.__struct_fields__)
        if unknown:
            raise UsageError(
                f"{unknown.pop()} is not a key of [train]", hint="freehold settings --keys train"
            )
        shown = watched(progress)
        config = msgspec.structs.replace(options_for(self.config, base), **options)
        what = training_inputs(self._opened, base=base, dataset=None, name=name, progress=shown)
        return train_project(self._opened, what, config=config, progress=shown)

    # --- prove

    @blocking
    def freeze(
        self,
        *,
        split: SplitName = "held_out",
        repeats: int = 1,
        max_requests: int | None = None,
        progress: Progress | None = None,
    ) -> Freeze:
        """Record the incumbent's answers before it is retired. It is asked, and paid for; asked again this goes on."""
        from freehold.evals.asking import Budget
        from freehold.evals.replay import ReplayOptions
        from freehold.workflows.prove.freeze import freeze

        options = ReplayOptions(budget=Budget(max_requests, None))
        shown = watched(progress)
        return finished(
            lambda: freeze(self._opened, split=split, repeats=repeats, options=options, progress=shown)
        )

    def freeze_cost(self, *, repeats: int = 1) -> Asking:
        """What freezing the held-out samples would ask and cost at the list price, without what is frozen already.

        Nothing is sent. Raises `UsageError` where no incumbent is named or no dataset is built.
        """
        from freehold.workflows.journey.step_costs import to_ask

        incumbent = self.config.incumbent
        if incumbent is None:
            raise UsageError("no incumbent is named", hint="[incumbent] in freehold.toml")
        return to_ask(self._opened, self.dataset(), incumbent.model, repeats)

    @blocking
    def evaluate(
        self,
        url: str,
        model: str,
        *,
        api_key_env: str | None = None,
        limit: int | None = None,
        max_requests: int | None = None,
        planned_looks: int = 1,
        anyway: bool = False,
        progress: Progress | None = None,
    ) -> Evaluation:
        """Is a served candidate good enough, on the held-out samples, against the incumbent's frozen answers?

        `url` is where it is served, `model` its name there, `api_key_env` the environment variable with a key. At most
        `max_requests` are sent. Every call is a look at these samples, and looks are counted.
        """
        from freehold.evals.asking import Budget
        from freehold.evals.replay import ReplayOptions
        from freehold.types.endpoint import Endpoint
        from freehold.workflows.prove.evaluate import HeldOutSelection, ServedCandidate, evaluate_project
        from freehold.workflows.prove.task import task_of

        endpoint = Endpoint(name=url, engine="remote", base_url=url, api_key_env=api_key_env)
        shown = watched(progress)
        return finished(
            lambda: evaluate_project(
                self._opened,
                ServedCandidate(endpoint, model),
                task_of(self._opened),
                selection=HeldOutSelection(None, limit, planned_looks),
                options=ReplayOptions(budget=Budget(max_requests, None)),
                anyway=anyway,
                progress=shown,
            )
        )

    @blocking
    def evaluate_files(
        self,
        incumbent: Answers,
        candidate: Answers,
        *,
        gold: Answers | None = None,
        scorer: str | None = None,
        options: Mapping[str, Any] | None = None,
        margin: float | None = None,
        planned_looks: int = 1,
        progress: Progress | None = None,
    ) -> Evaluation:
        """Is the candidate good enough, on your items? From two files of answers (JSON lines, or another tool's), or
        from answers in memory: ``{id: answer}``, lists, arrays, columns, frames of rows.

        `gold` holds right answers where the files have none. What is not said comes from the project's `[task]`;
        without one the scores that stand in the files count. The look at these items is counted in the project's
        store. `Project.evaluate` asks a served candidate. Raises `InputError`, `UsageError`.
        """
        from freehold.workflows.prove.outputs import OutputFiles, evaluate_files, files_task

        if scorer is None and self._opened.config_path is None and gold is not None:
            scorer = "exact"
        task = files_task(self._opened, scorer=scorer, options=dict(options or {}), margin=margin)
        shown = watched(progress)
        with answer_files(incumbent, candidate, gold) as (old, new, right):
            outputs = OutputFiles(str(old), str(new), right)
            return finished(
                lambda: evaluate_files(
                    self._opened, outputs, task, planned_looks=planned_looks, progress=shown
                )
            )

    @blocking
    def parity(self, *, model: str | None = None, progress: Progress | None = None) -> ParityReport:
        """Is what is served what was trained? Of what `migrate` chose last, or of a model by name."""
        from freehold.workflows.prove.parity import project_parity

        return project_parity(self._opened, model=model, adapter=None, count=120, progress=watched(progress))

    @blocking
    def plan_mixture(
        self, *, candidate: str | None = None, share: float | None = None, progress: Progress | None = None
    ) -> Mixture:
        """Not good enough for everything: what may it answer? Plans mixtures, and looks at them once. `share` is the
        most that it is to answer, from 0 to 1, of the shares that are proven (None: by what each costs)."""
        from freehold.workflows.journey.mixture import plan_mixture

        return plan_mixture(self._opened, label=candidate, share=share, progress=watched(progress))

    # --- tell

    def mixture(self, candidate: str | None = None) -> Mixture:
        """The mixture that was planned last. Raises `UsageError` where there is none."""
        from freehold.workflows.journey.mixture import kept_mixture

        return kept_mixture(self._opened, candidate)

    def report(self, report_id: str | None = None) -> Report:
        """The report of the last migration, or by the beginning of its id. Raises `UsageError` where there is none."""
        from freehold.workflows.tell.report import find

        return find(self._opened, report_id)

    def evaluations(self) -> tuple[EvaluationLine, ...]:
        """All evaluations side by side, the last one first."""
        from freehold.workflows.tell.report import evaluations

        return tuple(evaluations(self._opened))


FreeholdProject.__name__ = FreeholdProject.__qualname__ = "Project"
FreeholdProject.__module__ = (
    "freehold"  # as it is named outside: help(), tracebacks and pickles say freehold.Project
)


def here() -> FreeholdProject:
    """The project around the current folder; one with defaults where there is no `freehold.toml`."""
    return FreeholdProject.load(must_exist=False)
