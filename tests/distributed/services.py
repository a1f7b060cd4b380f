"""PostgreSQL, Redis and an S3 server on loopback, in a folder that goes away with them.

The first two come from the distribution's packages; ``missing_programs`` says which to install.
Each has a random free port and a password of its own.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import boto3
import psycopg2
import redis

BUCKET = "majors-alts"
START_S = 60.0
STOP_S = 20.0


@dataclass(frozen=True)
class Services:
    """Addresses of what the distributed stack needs."""

    postgres: str
    """``user:password@host:port/database``."""
    redis: str
    """Broker URL."""
    s3: str
    """Endpoint URL."""


def missing_programs() -> str:
    """Return one line that says what to install, or nothing."""
    packages = [] if _postgres_bin() else ["postgresql"]
    packages += [] if shutil.which("redis-server") else ["redis-server"]
    return f"make test-distributed needs: apt-get install {' '.join(packages)}" if packages else ""


@contextmanager
def services(folder: Path) -> Iterator[Services]:
    """Yield three running servers; they are stopped in the reverse order."""
    ports = free_ports(3)
    with ExitStack() as stack:
        yield Services(
            stack.enter_context(_postgres(folder / "postgres", ports[0])),
            stack.enter_context(_redis(folder / "redis", ports[1])),
            stack.enter_context(_s3(folder / "s3", ports[2])),
        )


@contextmanager
def running(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str],
    *,
    user: str | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in a process group of its own and end the whole group afterwards."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=log.parent,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.send_signal(stop)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until(what: str, is_true: Callable[[], bool], seconds: float = START_S) -> None:
    """Return when ``is_true`` is; its errors count as not yet.

    Raises
    ------
    TimeoutError
        Naming ``what`` did not come.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(OSError, psycopg2.Error, redis.RedisError):
            if is_true():
                return
        time.sleep(0.5)
    raise TimeoutError(f"{what}: not within {seconds:.0f} s")


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def is_listening(port: int) -> bool:
    """Return whether something answers on loopback."""
    with socket.create_connection(("127.0.0.1", port), timeout=2):
        return True


def _postgres_bin() -> Path | None:
    """Return the newest installed server's folder; Debian keeps it off the PATH."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[4])
    )
    return found[-1].parent if found else None


@contextmanager
def _postgres(folder: Path, port: int) -> Iterator[str]:
    programs, password = _postgres_bin(), secrets.token_hex(16)
    assert programs is not None
    # PostgreSQL refuses to run as root; its package made a user for it.
    user = "postgres" if os.geteuid() == 0 else None
    folder.mkdir()
    secret, data = folder / "password", folder / "data"
    secret.write_text(password)
    if user:
        for path in (folder, secret):
            shutil.chown(path, user, user)
    options = ["--auth=scram-sha-256", "--username=airflow", f"--pwfile={secret}", "--no-sync"]
    subprocess.run(
        [str(programs / "initdb"), f"--pgdata={data}", "--encoding=UTF8", "--locale=C", *options],
        check=True,
        capture_output=True,
        cwd=folder,
        user=user,
        group=user,
        extra_groups=[] if user else None,
    )
    settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port)]
    command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    login = f"airflow:{password}@127.0.0.1:{port}"

    def answers() -> bool:
        psycopg2.connect(f"postgresql://{login}/postgres").close()
        return True

    log = folder / "postgres.log"
    with running(command, log, {"PATH": os.defpath}, user=user, stop=signal.SIGINT):
        wait_until("PostgreSQL", answers)
        connection = psycopg2.connect(f"postgresql://{login}/postgres")
        connection.autocommit = True
        connection.cursor().execute("create database airflow")
        connection.close()
        yield f"{login}/airflow"


@contextmanager
def _redis(folder: Path, port: int) -> Iterator[str]:
    folder.mkdir()
    password = secrets.token_hex(16)
    (folder / "redis.conf").write_text(
        f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\ndir {folder}\n'
    )
    command = [str(shutil.which("redis-server")), str(folder / "redis.conf")]
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    with running(command, folder / "redis.log", {"PATH": os.defpath}):
        wait_until("Redis", lambda: bool(redis.Redis.from_url(url).ping()))
        yield url


@contextmanager
def _s3(folder: Path, port: int) -> Iterator[str]:
    folder.mkdir()
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with running(command, folder / "s3.log", os.environ):
        wait_until("the S3 server", lambda: is_listening(port))
        boto3.client("s3", endpoint_url=url, **s3_login()).create_bucket(Bucket=BUCKET)
        yield url


def s3_login() -> dict[str, str]:
    """Return the arguments of a boto3 client; the server takes any key."""
    return {
        "region_name": "us-east-1",
        "aws_access_key_id": "distributed",
        "aws_secret_access_key": "distributed",
    }
