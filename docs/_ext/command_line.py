"""``{command} NAME``: the usage and options of a command, from the parser that reads them."""

import argparse
from functools import partial

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from tinygrad_digits.digits import cli


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    parser = cli._parser()
    return next(a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))


def check_complete(app: Sphinx, env: BuildEnvironment) -> None:
    """Raise if a command is on no page."""
    shown = {name for data in env.metadata.values() for name in data.get("commands", ())}
    if missing := set(commands()) - shown:
        raise ExtensionError(f"no page shows the command {', '.join(sorted(missing))}")


class Command(SphinxDirective):
    """What a command does, how it is called, and what each option means."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The description, the usage as code, a definition list of the options."""
        self.env.note_dependency(cli.__file__)
        self.env.metadata[self.env.docname].setdefault("commands", []).append(self.arguments[0])
        parser = commands()[self.arguments[0]]
        parser.formatter_class = partial(argparse.HelpFormatter, width=80)  # not the terminal's
        prefix = "usage: "
        usage = parser.format_usage().removeprefix(prefix).replace("\n" + " " * len(prefix), "\n")
        lines = [parser.description or "", "", "```{code-block} text", usage.rstrip(), "```", ""]
        for action in parser._actions:
            formatter = parser._get_formatter()
            invocation = formatter._format_action_invocation(action)
            lines += [f"`{invocation}`", f": {formatter._expand_help(action)}".replace("\n", "\n  "), ""]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("command", Command)
    app.connect("env-check-consistency", check_complete)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
