"""An embedded Airflow of our own: ``make run`` and ``make airflow`` without any server.

``python -m pipeline_kit.local_airflow run [--asof D] [--lake DIR]`` prepares ``.airflow`` inside
the checkout (SQLite, one JWT secret, nothing of the user's home) and runs ``daily_signal`` end to
end. Without a lake and without ``COINGLASS_API_KEY`` it starts the bundled vendor server on
loopback and fetches from that. ``... ui`` starts Airflow with its pages on 127.0.0.1. ``... clean``
removes old rows of Airflow's own tables.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from pipeline_kit import atomic, paths
from pipeline_kit.bucket import Bucket
from pipeline_kit.calendar import ONE_DAY, day_start, last_complete_day, now_utc, parse_day
from pipeline_kit.cli import Parser, run_command
from pipeline_kit.errors import DataProblem, UsageProblem
from pipeline_kit.lake import read_manifest

PORT: Final = 8080
START_S: Final = 300
PARTS: Final = (("api-server",), ("dag-processor",), ("scheduler", "--skip-serve-logs"))
STOP_S: Final = 20
LEAST_DAYS: Final = 7
DUE: Final = timedelta(minutes=50)  # after the day, as dags/daily_signal.py
SANDBOX_FLAGS: Final = ("--port", "0", "--assets", "60", "--days", "1100", "--rate", "100000")
SANDBOX_SETTINGS: Final = {
    "COINGLASS_API_KEY": "sandbox-standard",
    "COINGECKO_API_KEY": "sandbox",
    "COINGECKO_PLAN": "pro",
    "MAM_RATE_COINGLASS": "100000",
    "MAM_RATE_COINGECKO": "100000",
    "MAM_RATE_BINANCE": "100000",
}
TASK_STARTED: Final = re.compile(r"\[DAG TEST\] starting task_id=(\w+)")
OUR_ERROR: Final = re.compile(
    r"\b(?:lake_ingest|majors_alts_monitor|pipeline_kit)\.[\w.]*Error: (.*)"
)


class LocalRunError(DataProblem):
    """The DAG run failed."""


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    parser = Parser(prog="python -m pipeline_kit.local_airflow", description=__doc__)
    parser.add_argument("what", choices=("run", "ui", "clean"))
    parser.add_argument("--asof", default="", help="UTC day; default: the last complete one")
    parser.add_argument("--lake", default="", help="lake to import instead of fetching")
    parser.add_argument("--days", type=int, default=90, help="of clean: keep what is younger")
    flags = parser.parse_args(argv)
    if flags.what == "ui":
        serve_ui()
        return
    if flags.what == "clean":
        clean_metadata(flags.days)
        return
    asof = parse_day(flags.asof, "ASOF") if flags.asof else last_complete_day(now_utc())
    lake = str(Path(flags.lake).resolve()) if flags.lake else ""
    run_daily_signal(str(asof), lake)


def airflow_environment() -> dict[str, str]:
    """Return the environment of an Airflow that lives inside the checkout.

    Creating the home also writes its secret, which every component must share.
    """
    root = paths.project_root()
    home = Path(os.environ.get("AIRFLOW_HOME") or root / ".airflow").resolve()
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)  # secrets, passwords and logs are nobody else's
    secret = home / "jwt_secret"
    if not secret.is_file():
        atomic.write_text(secret, secrets.token_hex(32))
        secret.chmod(0o600)
    settings = {
        "CORE__DAGS_FOLDER": str(root / "dags"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "4",
        # A task may not see Airflow's own connection, so another database has a name of its own.
        "DATABASE__SQL_ALCHEMY_CONN": os.environ.get("MAM_AIRFLOW_DB")
        or f"sqlite:///{home / 'airflow.db'}",
        "API_AUTH__JWT_SECRET": secret.read_text("utf-8").strip(),
        "API__HOST": "127.0.0.1",
        "API__PORT": str(PORT),
        "LOGGING__LOGGING_LEVEL": "INFO",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "30",
    }
    return {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        # Airflow starts its parts, and they their workers, by name.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
        # Forked workers of macOS and a stray proxy would both leave loopback.
        "NO_PROXY": "127.0.0.1,localhost",
        **{f"AIRFLOW__{name}": value for name, value in settings.items()},
    }


def run_daily_signal(asof: str, lake: str) -> None:
    """Run the DAG for one day, print each task as it ends, and say where everything is.

    Raises
    ------
    LocalRunError
        If a task fails; the log says why.
    """
    is_synthetic = not lake and not os.environ.get("COINGLASS_API_KEY")
    keep_worlds_apart(is_synthetic=is_synthetic)
    environment = airflow_environment()
    home = Path(environment["AIRFLOW_HOME"])
    _say(f"daily_signal for {asof}" + (f" from {lake}" if lake else ""))
    _migrate(environment, home)
    with contextlib.ExitStack() as stack:
        if is_synthetic:
            environment |= stack.enter_context(_sandbox(home, asof))
        log = home / f"daily_signal.{asof}.log"
        conf = json.dumps({"asof": asof, "lake": lake or None})
        command = [*_airflow(), "dags", "test", "daily_signal", "--conf", conf]
        failed = _stream(command, environment, log)
    if failed:
        raise LocalRunError(f"daily_signal {asof}: {failed}; see {log}")
    print_summary(asof)


def keep_worlds_apart(*, is_synthetic: bool) -> None:
    """Move to folders of their own when the default ones hold the other kind of market.

    Real and synthetic rows must not meet in one lake, nor their pointers in one bucket. Folders
    that a person has named are left alone; a mixture there is refused by the lake itself.
    """
    sealed = read_manifest(paths.lake_dir())
    if sealed is None or bool(sealed.get("is_synthetic")) == is_synthetic:
        return
    if os.environ.get("MAM_DATA_DIR") or os.environ.get("MAM_BUCKET_URI"):
        return
    kind = "synthetic" if is_synthetic else "real"
    os.environ |= {"MAM_DATA_DIR": f"data/{kind}", "MAM_BUCKET_URI": f"file://./output/{kind}"}
    _say(f"./data holds another kind of market: using ./data/{kind} and ./output/{kind}")


def serve_ui() -> None:
    """Start Airflow on loopback, print URL and login, and stop it whole.

    Its ``standalone`` command would also start servers of logs, on all interfaces; on one machine
    the API server reads the files. Nothing of ours waits in a triggerer.

    Raises
    ------
    UsageProblem
        If something else listens on the port.
    LocalRunError
        If Airflow does not answer in time, or a part of it ends; its log says why.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError as e:
            raise UsageProblem(f"port {PORT} of 127.0.0.1 is taken ({e}); stop what uses it") from e
    environment = airflow_environment()
    home = Path(environment["AIRFLOW_HOME"])
    _migrate(environment, home)
    _import_pools(environment)
    log = home / "airflow.log"
    _say(f"starting Airflow, which takes about a minute; log {log}")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    with log.open("w", encoding="utf-8") as sink:
        parts = [
            subprocess.Popen(
                [*_airflow(), *words],
                env=environment,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
            for words in PARTS
        ]
        try:
            _wait_for_answer(parts)
            user, password = _login(home)
            _say(f"http://127.0.0.1:{PORT}  user {user}  password {password}; Ctrl-C stops it")
            while not _has_ended(parts):
                time.sleep(1)
            raise LocalRunError(f"a part of Airflow ended; see {log}")
        except KeyboardInterrupt:
            _say("stopping Airflow")
        finally:
            _stop_groups(parts)


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _has_ended(parts: Sequence[subprocess.Popen[bytes]]) -> bool:
    return any(part.poll() is not None for part in parts)


def _wait_for_answer(parts: Sequence[subprocess.Popen[bytes]]) -> None:
    """Return when the API server answers, or when it never will."""
    for _ in range(START_S):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORT), 1):
            return
        if _has_ended(parts):
            break
        time.sleep(1)
    raise LocalRunError("Airflow did not start; see airflow.log in .airflow")


def _login(home: Path) -> tuple[str, str]:
    """Return the user that Airflow made, and the password it generated for it."""
    file = home / "simple_auth_manager_passwords.json.generated"
    passwords: dict[str, str] = json.loads(file.read_text("utf-8"))
    return next(iter(passwords.items()))


def _stop_groups(parts: Sequence[subprocess.Popen[bytes]]) -> None:
    """End every part with all that it started."""
    for number, patience_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, 2)):
        for part in parts:
            _signal_group(part, number)
        for _ in range(10 * patience_s):
            if not any(_signal_group(part, 0) for part in parts):
                return
            time.sleep(0.1)


def _signal_group(part: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal to a part's process group, and return whether there is one."""
    part.poll()
    try:
        os.killpg(part.pid, number)
    except ProcessLookupError:
        return False
    return True


def clean_metadata(days: int) -> None:
    """Remove what Airflow remembers of itself that is older than ``days``.

    Raises
    ------
    UsageProblem
        If fewer than 7 days would be kept.
    LocalRunError
        If the command fails.
    """
    if days < LEAST_DAYS:
        raise UsageProblem(f"--days {days} is below {LEAST_DAYS}; keep more")
    before = (now_utc() - timedelta(days=days)).isoformat()
    _call(["db", "clean", "--clean-before-timestamp", before, "--skip-archive", "--yes"])
    _say(f"metadata before {before} removed")


def _airflow() -> list[str]:
    return [sys.executable, "-m", "airflow"]


def _migrate(environment: dict[str, str], home: Path) -> None:
    """Create or upgrade the metadata database once per lock."""
    mark = home / "migrated"
    lock = paths.lock_file().read_text("utf-8").split("apache-airflow==")[1].split()[0]
    if mark.is_file() and mark.read_text("utf-8") == lock:
        return
    _say("preparing an embedded Airflow (once)")
    _call(["db", "migrate"], environment)
    atomic.write_text(mark, lock)


def _import_pools(environment: dict[str, str]) -> None:
    """Give the tasks the pools they name; a task of an unknown pool would wait for ever."""
    _call(["pools", "import", str(paths.project_root() / "docker" / "pools.json")], environment)


def _call(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        [*_airflow(), *command],
        env=environment or airflow_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        words = " ".join(command[:2])
        raise LocalRunError(f"airflow {words}: {done.stderr.strip()[-300:]}")


@contextlib.contextmanager
def _sandbox(home: Path, asof: str) -> Iterator[dict[str, str]]:
    """Start the bundled vendor server and yield the addresses to fetch from."""
    _say("no COINGLASS_API_KEY and no LAKE: using the bundled vendor server (SYNTHETIC market)")
    clock = synthetic_clock(asof)
    log = (home / "sandbox.log").open("w", encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "lake_ingest.sandbox", *SANDBOX_FLAGS],
        env=os.environ | clock,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        yield _addresses(process) | SANDBOX_SETTINGS | clock
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        process.kill()
        log.close()


def synthetic_clock(asof: str) -> dict[str, str]:
    """Return the environment in which the day's data are out, whatever the hour.

    Vendors publish a day some minutes after it ended, and the sandbox's do, too. The DAG is due at
    00:50 for that reason; a person who starts it earlier gets the market of that minute.
    """
    due = day_start(parse_day(asof, "ASOF") + ONE_DAY) + DUE
    return {"MAM_NOW": due.isoformat()} if now_utc() < due else {}


def _addresses(process: subprocess.Popen[str]) -> dict[str, str]:
    wanted = {
        "COINGLASS_BASE_URL",
        "COINGECKO_BASE_URL",
        "BINANCE_BASE_URL",
        "BINANCE_ARCHIVE_URL",
    }
    found: dict[str, str] = {}
    for line in process.stdout or ():
        name, _, value = line.strip().partition("=")
        if name in wanted:
            found[name] = value
        if wanted <= found.keys():
            return found
    raise UsageProblem("the sandbox vendor server did not start; see .airflow/sandbox.log")


def _stream(command: list[str], environment: dict[str, str], log: Path) -> str:
    """Run ``command`` into ``log``, print a line a task, return what failed or nothing."""
    error = ""
    with log.open("w", encoding="utf-8") as sink:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for line in process.stdout or ():
            sink.write(line)
            started = TASK_STARTED.search(line)
            if started:
                _say(f"  task {started.group(1)}")
            error = _error_in(line) or error
        code = process.wait()
    return f"{error or 'exit code'} ({code})" if code or error else ""


def _error_in(line: str) -> str:
    """Return our own error's text where a log line carries one."""
    found = OUR_ERROR.search(line)
    return found.group(1).strip()[:400] if found else ""


def print_summary(asof: str) -> None:
    """Print regime, book, and where report, mail and lineage page are."""
    bucket = Bucket()
    pointer = json.loads(bucket.get("latest/daily.json") or b"{}")
    if not pointer:
        raise LocalRunError("latest/daily.json was not written; read the log in .airflow")
    key = pointer["path"]
    if pointer["asof"] != asof:
        _say(f"latest stays at {pointer['asof']}, which is later than {asof}")
        runs = (k for k in bucket.keys(f"runs/daily/dt={asof}") if k.endswith("/manifest.json"))
        key = next((k.removesuffix("/manifest.json") for k in runs), key)
    signal = json.loads(bucket.get(f"{key}/signals_today.json") or b"{}")
    _say("")
    score = "no score" if signal["score"] is None else f"score {signal['score']:+.2f}"
    _say(f"{asof}  {signal['regime'] or 'no regime'}  {score}  {signal['action']}")
    for asset, weight in sorted(signal["target_weights"].items(), key=lambda item: -item[1]):
        _say(f"  {asset:<8}{weight:+.4f}")
    if not signal["target_weights"]:
        _say("  flat: no position")
    mails = sorted((paths.data_dir() / "outbox").glob(f"{asof}.*.eml"))
    _say(f"report   {bucket.locate(f'{key}/dashboard.html')}")
    _say(f"email    {mails[-1] if mails else bucket.locate(f'{key}/email.html')}")
    _say(f"dbt docs {bucket.locate(f'{key}/dbt_docs/index.html')}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(run_command(main))
