"""The outermost frame of every command: one line on stderr, and the exit code that fits."""

from __future__ import annotations

import argparse
import errno
import io
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Final, Never

from pipeline_kit.errors import PipelineError, UsageProblem

STORAGE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
"""What the operating system says when the disk is at fault."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line and exit code 2."""

    def error(self, message: str) -> Never:
        """Raise instead of printing the usage block."""
        raise UsageProblem(f"{self.prog}: {message}; try {self.prog} --help")


def run_command(command: Callable[[Sequence[str]], None], argv: Sequence[str] | None = None) -> int:
    """Run ``command`` on the arguments and return the exit code of contract.md section 2.

    ``command`` may print progress to stdout. An error that is ours becomes one line on stderr;
    anything else is a defect and ends with 3. ``--debug`` anywhere adds the traceback.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    is_debug = "--debug" in arguments
    if is_debug:
        arguments.remove("--debug")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A pipe or a log shows progress when it is made, not when everything is over.
        sys.stdout.reconfigure(line_buffering=True)
    try:
        command(arguments)
    except PipelineError as e:
        return _fail(e.exit_code, str(e), is_debug=is_debug)
    except OSError as e:
        if e.errno not in STORAGE:
            return _fail(3, f"OSError: {e}; run again with --debug", is_debug=is_debug)
        return _fail(1, f"{e}; make room or mend the disk, then repeat", is_debug=is_debug)
    except KeyboardInterrupt:
        return _fail(3, "interrupted", is_debug=is_debug)
    except Exception as e:  # the outermost frame: whatever is left is a defect of ours
        return _fail(3, f"{type(e).__name__}: {e}; run again with --debug", is_debug=is_debug)
    return 0


def _fail(code: int, message: str, *, is_debug: bool) -> int:
    if is_debug:
        traceback.print_exc()
    sys.stderr.write(" ".join(message.split()) + "\n")
    return code
