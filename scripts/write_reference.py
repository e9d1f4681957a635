"""Write the reference pages and config/detect.yaml from the code (`make docs`)."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

from handmesh_ros.cli.main import COMMANDS
from handmesh_ros.ros.parameters.schema import to_markdown, to_yaml

ROOT = Path(__file__).resolve().parent.parent


def pages() -> dict[Path, str]:
    """Return the text of each generated file."""
    return {
        ROOT / "config" / "detect.yaml": to_yaml(),
        ROOT / "docs" / "parameters.md": to_markdown(),
        ROOT / "docs" / "cli.md": cli_page(),
        ROOT / "docs" / "messages.md": messages_page(),
    }


def cli_page() -> str:
    """Return every subcommand of `handmesh` with its options, as Markdown."""
    lines = [
        "# The command line",
        "",
        "Written by `make docs`; `handmesh COMMAND --help` prints it.",
    ]
    for name, command in COMMANDS.items():
        parser = argparse.ArgumentParser(prog=f"handmesh {name}", add_help=False)
        importlib.import_module(command.module).add_arguments(parser)
        needs = f" Needs `pip install '{command.extra}'`." if command.extra != "." else ""
        lines += ["", f"## handmesh {name}", "", f"{_sentence(command.help)}{needs}", ""]
        lines += [*_options(parser)]
    return "\n".join(lines) + "\n"


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield "| argument | meaning |"
    yield "|---|---|"
    formatter = parser._get_formatter()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice, inner in action.choices.items():
                for row in list(_options(inner))[2:]:
                    yield row.replace("| `", f"| `{choice} ", 1)
            continue
        values = formatter._format_args(
            action, formatter._get_default_metavar_for_optional(action)
        )
        if action.option_strings:
            names = ", ".join(action.option_strings) + (f" {values}" if action.nargs != 0 else "")
        else:
            names = formatter._format_args(
                action, formatter._get_default_metavar_for_positional(action)
            )
        text = formatter._expand_help(action) if action.help else ""
        yield f"| `{_cell(names)}` | {_cell(text)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def messages_page() -> str:
    """Return the fields of the messages and services, as Markdown."""
    lines = ["# Messages", "", "Written by `make docs` from `msg/` and `srv/`."]
    for path in sorted([*(ROOT / "msg").iterdir(), *(ROOT / "srv").iterdir()]):
        lines += ["", f"## {path.stem}", "", "```", path.read_text("utf-8").rstrip(), "```"]
    return "\n".join(lines) + "\n"


def _sentence(text: str) -> str:
    return re.sub(r"^.", lambda first: first.group().upper(), text) + "."


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, "utf-8")
