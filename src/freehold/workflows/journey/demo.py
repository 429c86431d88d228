"""`freehold demo`: the whole of `freehold migrate` on the shipped example, in a folder of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

from freehold import files
from freehold.errors import UsageError
from freehold.workflows.project import CONFIG_NAME

EXAMPLE = "helpdesk"


def example_folder() -> Path:
    """Where the shipped example lies: inside the installed package, or beside the source in a checkout.

    Raises `UsageError` when neither is there.
    """
    package = Path(__file__).parents[2]
    for folder in (package / "examples" / EXAMPLE, package.parents[1] / "examples" / EXAMPLE):
        if (folder / CONFIG_NAME).is_file():
            return folder
    raise UsageError(
        "the shipped example is missing from this installation",
        hint="install freehold again, or run freehold migrate on your own freehold.toml",
    )


def prepare(folder: Path) -> Path:
    """Copy the example into `folder` unless it is there already; returns the path of its `freehold.toml`.

    Files that were changed there are left alone, so that a person can try things. Raises `StorageError`.
    """
    source = example_folder()
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
