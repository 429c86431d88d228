"""`freehold demo`: the whole of `freehold migrate` on a shipped example, in a folder of its own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal, get_args

from freehold import files
from freehold.errors import FreeholdError, UsageError
from freehold.types.config_file import parse
from freehold.workflows.project import CONFIG_NAME

Example = Literal["tickets", "helpdesk"]
EXAMPLES: tuple[Example, ...] = get_args(Example)


def example_folder(example: Example) -> Path:
    """Where a shipped example lies: inside the installed package, or beside the source in a checkout.

    Raises `UsageError` when neither is there.
    """
    package = Path(__file__).parents[2]
    for folder in (package / "examples" / example, package.parents[1] / "examples" / example):
        if (folder / CONFIG_NAME).is_file():
            return folder
    raise UsageError(
        "the shipped example is missing from this installation",
        hint="install freehold again, or run freehold migrate on your own freehold.toml",
    )


def prepare(folder: Path, example: Example = "tickets") -> Path:
    """Copy the example into `folder` unless it is there already; returns the path of its `freehold.toml`.

    Files that were changed there are left alone, so that a person can try things. Raises `StorageError`, and
    `UsageError` where the folder holds another project.
    """
    source = example_folder(example)
    _refuse_another(folder / CONFIG_NAME, source / CONFIG_NAME)
    with (
        files.writing(
            f"{folder}: the example cannot be copied there",
            hint="choose another folder: freehold demo --dir FOLDER",
        ),
        files.shared(folder),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(source.iterdir()):
            target = folder / file.name
            if file.is_file() and not target.exists():
                shutil.copyfile(file, target)
    return folder / CONFIG_NAME


def _refuse_another(there: Path, shipped: Path) -> None:
    """Raise `UsageError` where the folder's project is not the example: two in one folder would be neither."""
    try:
        name, wanted = (parse(path.read_text("utf-8"), path=str(path)).app.name for path in (there, shipped))
    except (OSError, UnicodeDecodeError, FreeholdError):
        return  # none there, or one that was changed and does not read now: who opens it says where
    if name != wanted:
        raise UsageError(
            f"{there.parent} holds another project ({name}), not the example {wanted}",
            hint="choose another folder: freehold demo --dir FOLDER",
        )
