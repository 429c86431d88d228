"""Lines of a shell as words: what is run, without variables, pipes and redirections."""

import re
import shlex

import click
from tests.snippets.blocks import guessed

from freehold.cli.main import cli

_ENDS = {"|", "||", "&&", ";", "&"}
_REDIRECTS = {">", ">>", "<", "2>"}
PLACEHOLDERS = {"…", "..."}


def lines(text):
    """Commands of a block, those that a backslash continues joined. Where prompts are shown, what is printed is left
    out; so is a paragraph that begins with something else than a program."""
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    paragraphs = [one for one in re.split(r"\n\s*\n", joined) if one.strip() and guessed(one) == "sh"]
    found = [line.strip() for one in paragraphs for line in one.splitlines() if line.strip()]
    prompted = [line.removeprefix("$ ") for line in found if line.startswith("$ ")]
    return prompted or found


def commands(line):
    """The simple commands of a line, each as its words."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=";<>|&")
    reader.whitespace_split, reader.commenters = True, "#"
    found, words, skips = [], [], False
    for word in reader:
        if word in _ENDS:
            found.append(words)
            words = []
        elif skips or word in _REDIRECTS:
            skips = word in _REDIRECTS
        else:
            words.append(word)
    return [plain(one) for one in [*found, words] if plain(one)]


def plain(words):
    """Without what stands in front: variables of the environment, sudo."""
    while words and (re.match(r"[A-Z_]+=", words[0]) or words[0] == "sudo"):
        words = words[1:]
    return words


def of_freehold(words):
    """freehold's own words, also behind a container's image and behind `claude mcp add NAME --`; None: it is another
    program."""
    if words[0] == "freehold":
        return words[1:]
    if words[0] in ("podman", "docker") and "run" in words:
        at = [n for n, word in enumerate(words) if re.fullmatch(r"freehold(:\w+)?", word)]
        return words[at[-1] + 1 :] if at else None
    if "--" in words and words[words.index("--") + 1] == "freehold":
        return words[words.index("--") + 2 :]
    return None


def context_of(words, *, whole=True):
    """What click makes of a command line. Raises `click.UsageError` as the program would, `click.exceptions.Exit` for
    what only prints, such as ``--version``.

    Without `whole` only the way to the command and its options are read: the words may be the beginning of a line.
    """
    context, rest = None, list(words)
    name, command = "freehold", cli
    while isinstance(command, click.Group) and rest and rest[0] not in PLACEHOLDERS:
        context = command.make_context(name, rest, parent=context)
        rest = [*context._protected_args, *context.args]
        if not rest:
            return context
        name, command, rest = command.resolve_command(context, rest)
    if whole or context is None:
        return command.make_context(name, rest, parent=context)
    options = command.get_params(click.Context(command, info_name=name, parent=context))
    known = {option for one in options for option in (*one.opts, *one.secondary_opts)}
    for word in rest:
        option = word.partition("=")[0]
        if (
            not isinstance(command, click.Group)
            and option.startswith("--")
            and len(option) > 2
            and option not in known
        ):
            raise click.NoSuchOption(option, ctx=context)
    return context
