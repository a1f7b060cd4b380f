"""What the package offers: ``python -m majors_alts_monitor``.

The list is read from the modules themselves: whoever can be run is in it, with the first words of
its own description.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable

PACKAGE = "majors_alts_monitor"
HEAD = "Each UTC day, decides how much BTC and ETH to hold against a short basket of liquid alts.\n"
FOOT = "\nEvery command explains its flags with --help.\n"


def offer() -> str:
    """Return every command of the package and of its studies, by name, and what it does."""
    folder = resources.files(PACKAGE)
    rows = [
        *_commands(folder, f"python -m {PACKAGE}."),
        *_commands(folder / "studies", f"python -m {PACKAGE}.studies."),
    ]
    width = max(len(command) for command, _ in rows)
    lines = [f"  {command:<{width}}  {words}\n" for command, words in rows]
    return "\n".join([HEAD, "".join(lines)]) + FOOT


def _commands(folder: Traversable, prefix: str) -> Iterator[tuple[str, str]]:
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".py") or file.name.startswith("_"):
            continue
        source = file.read_text("utf-8")
        if '__name__ == "__main__"' in source:
            said = ast.get_docstring(ast.parse(source)) or ""
            yield prefix + file.name.removesuffix(".py"), re.split(r"[:.]", said, maxsplit=1)[0]


if __name__ == "__main__":
    sys.stdout.write(offer())
