"""A disk that is full or read-only, for one child process.

The child mounts a tmpfs in name spaces of its own, so nothing else sees it. Where the kernel does
not allow that, a full disk is a limit on a file's size, and a read-only one a file in its way.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUSER: Final = 0x10000000
MS_REMOUNT: Final = 32
MS_RDONLY: Final = 1
SMALL: Final = 64 * 1024
HOW: dict[str, str] = {}
"""Fault to the way it was made in this session; the report says it."""


def full(folder: Path) -> Callable[[], None]:
    """Leave 64 KiB below ``folder``; the answer makes room again."""
    if mount(folder, f"size={SMALL}"):
        return lambda: remount(folder, 0, "size=64m")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, limits[1]))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def read_only(folder: Path) -> Callable[[], None]:
    """Let nothing be written below ``folder``; the answer allows it again."""
    if mount(folder, ""):
        remount(folder, MS_RDONLY, "")
        return lambda: remount(folder, 0, "")
    folder.rmdir()
    folder.write_text("a file where the folder should be")
    return folder.unlink


def mount(folder: Path, options: str) -> bool:
    """Mount a tmpfs at ``folder`` for this process alone; return whether that is allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS):
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    except OSError:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    return libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, options.encode()) == 0


def remount(folder: Path, flags: int, options: str) -> None:
    """Change the options of a mounted tmpfs."""
    libc = ctypes.CDLL(None, use_errno=True)
    target = str(folder).encode()
    if libc.mount(b"tmpfs", target, b"tmpfs", MS_REMOUNT | flags, options.encode()):
        raise OSError(ctypes.get_errno(), f"cannot remount {folder}")


def in_child(work: Callable[[], dict[str, Any]], answer: Path) -> dict[str, Any]:
    """Run ``work`` in a child and return what it returned; name spaces end with the child."""
    child = os.fork()
    if not child:
        code = 1
        try:
            answer.write_text(json.dumps(work()))
            code = 0
        except BaseException as e:
            sys.stderr.write(f"{type(e).__name__}: {e}\n")
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    found: dict[str, Any] = json.loads(answer.read_text())
    return found
