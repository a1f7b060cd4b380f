"""Race the engine and the metrics against vectorbt and cvxportfolio; write docs/performance.md.

    python -m benchmarks.engine

Installs the peers of ``requirements/peers.in`` into ``.cache/peers`` (once), simulates the same
random market with all engines in one run, checks that the results agree where a peer can
express the case, and prints times and ratios. All calls are warm: compiled and run once before.
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.peers import seconds
from majors_alts_monitor import metrics
from majors_alts_monitor.backtest import simulate, simulate_many
from majors_alts_monitor.backtest.engine import Book
from pipeline_kit import atomic

ROOT = Path(__file__).resolve().parents[1]
N_DAYS, N_ASSETS, N_VARIANTS, FEE = 1461, 30, 200, 1e-3
TOLERANCE = 1e-9
BEGIN, END = "<!-- benchmarks/engine.py begins -->", "<!-- benchmarks/engine.py ends -->"
REQUIREMENTS = ROOT / "requirements" / "peers.in"


def python_of(requirements: Path, name: str) -> Path:
    """Return the interpreter of ``.cache/<name>``, made when it is missing or outdated."""
    folder = ROOT / ".cache" / name
    python, done = folder / "bin" / "python", folder / "installed.in"
    if not done.exists() or done.read_text() != requirements.read_text():
        say(f"installing {requirements.relative_to(ROOT)} into {folder.relative_to(ROOT)}")
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        command = [python, "-m", "pip", "install", "--quiet", "-r", requirements]
        subprocess.run(command, check=True)
        done.write_text(requirements.read_text())
    return python


def make_cases() -> dict[str, np.ndarray]:
    """Return a random market and targets; small weights, so that no peer runs out of cash."""
    rng = np.random.default_rng(0)
    shape = (N_DAYS, N_ASSETS)
    many = rng.normal(0, 0.015, (N_VARIANTS, *shape))
    is_weekly = (np.arange(N_DAYS) % 7 == 0)[:, None]
    return {
        "closes": 100 * np.exp(np.cumsum(rng.normal(0, 0.03, shape), axis=0)),
        "daily": many[0],
        "held": np.where(is_weekly, many[0], np.nan),
        "many": many,
        "funding": rng.normal(0, 3e-4, shape),
        "returns": rng.normal(0.001, 0.01, N_DAYS),
        "fee": np.array(FEE),
    }


def run_peers(cases: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what ``benchmarks/peers.py`` saved; it runs alone, as we do afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        given, results = Path(folder) / "cases.npz", Path(folder) / "results.npz"
        np.savez(given, **cases)
        say("running the peers (a few minutes)")
        script = ROOT / "benchmarks" / "peers.py"
        subprocess.run([python_of(REQUIREMENTS, "peers"), script, given, results], check=True)
        with np.load(results) as loaded:
            return {name: loaded[name] for name in loaded.files}


def our_equity(cases: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return our curve of every case the peers ran, by the same names."""
    closes, daily, held = (pd.DataFrame(cases[name]) for name in ("closes", "daily", "held"))
    cost = {"fee_bps": FEE * 1e4}
    funding = pd.DataFrame(cases["funding"])
    curves = {
        "free": simulate(daily, closes).equity,
        "cost": simulate(daily, closes, **cost).equity,
        "held": simulate(held, closes, **cost).equity,
        "funding": simulate(daily, closes, funding=funding, **cost).equity,
    }
    ours = {name: curve.to_numpy() for name, curve in curves.items()}
    ours["many"] = simulate_many(cases["many"], closes, **cost)
    return ours


CASE_TITLES = {
    "free": "daily rebalance, no cost",
    "cost": "daily rebalance, 10 bps",
    "held": "weekly rebalance, held between, 10 bps",
    "funding": "daily rebalance, 10 bps and funding",
    "many": f"{N_VARIANTS} variants, daily rebalance, 10 bps",
}


def agreement_rows(ours: dict[str, np.ndarray], peers: dict[str, np.ndarray]) -> list[str]:
    """Return one table row per case and peer, and stop where they disagree."""
    rows = []
    for name, theirs in peers.items():
        peer, _, case = name.partition("_")
        if case not in CASE_TITLES:
            continue
        curve = np.atleast_2d(theirs)
        gap = float(np.abs(curve / np.atleast_2d(ours[case])[:, : curve.shape[1]] - 1).max())
        if not gap <= TOLERANCE:
            raise SystemExit(f"{peer}, {CASE_TITLES[case]}: differs by {gap:.1e}")
        rows.append(f"| {CASE_TITLES[case]} | {peer} | {curve.shape[1]} | {magnitude(gap)} |")
    return rows


def figure_rows(returns: np.ndarray, peers: dict[str, np.ndarray]) -> list[str]:
    """Return one table row per key figure of the peers, and stop where they disagree."""
    rows = []
    for name, value in peers.items():
        if not name.startswith("figure "):
            continue
        _, peer, figure = name.split()
        gap = abs(getattr(metrics, figure)(returns) / float(value) - 1)
        if not gap <= TOLERANCE:
            raise SystemExit(f"{peer}, {figure}: differs by {gap:.1e}")
        rows.append(f"| {figure} | {peer} | {magnitude(gap)} |")
    return rows


def our_seconds(cases: dict[str, np.ndarray]) -> dict[str, float]:
    """Return our warm times."""
    closes, daily = pd.DataFrame(cases["closes"]), pd.DataFrame(cases["daily"])
    cost = {"fee_bps": FEE * 1e4}
    simulation = simulate(daily, closes, **cost)

    def by_hand() -> None:
        book = Book(simulation.tape, simulation.terms, 1.0)
        for row in range(N_DAYS):
            book.advance(row, simulation.targets[row])

    returns = np.resize(cases["returns"], 1800)
    calls: dict[str, Callable[[], object]] = {
        "one": lambda: simulate(daily, closes, **cost).equity,
        "post_cost": lambda: simulate(daily, closes, sizing_basis="post_cost", **cost).equity,
        "frames": lambda: simulate(daily, closes, **cost).positions,
        "book": by_hand,
        "many": lambda: simulate_many(cases["many"], closes, **cost),
        "interval": lambda: metrics.sharpe_interval(
            returns, level=0.95, block=None, reps=2000, seed=1
        ),
    }
    times = {}
    for name, call in calls.items():
        call()
        times[name] = seconds(call)
    return times


def speed_rows(ours: dict[str, float], peers: dict[str, np.ndarray]) -> list[str]:
    """Return the table of times, each peer's as a multiple of ours."""
    size = f"{N_DAYS:,} days x {N_ASSETS} assets"
    theirs = {name: float(value) for name, value in peers.items() if name.startswith("seconds_")}
    one, many = theirs["seconds_vectorbt_one"], theirs["seconds_vectorbt_many"]
    slow = theirs["seconds_cvxportfolio_one"]
    return [
        f"| one path, {size} | {milliseconds(ours['one'])} "
        f"| vectorbt {milliseconds(one)}, **{one / ours['one']:.0f}x** |",
        f"| the same | {milliseconds(ours['one'])} "
        f"| cvxportfolio {milliseconds(slow)}, **{slow / ours['one']:,.0f}x** |",
        f"| {N_VARIANTS} variants of it | {milliseconds(ours['many'])} "
        f"| vectorbt {milliseconds(many)}, **{many / ours['many']:.0f}x** |",
        f"| one path, targets after costs | {milliseconds(ours['post_cost'])} | not expressible |",
        f"| one path with the table of positions | {milliseconds(ours['frames'])} | |",
        f"| one day of a book, from Python | {ours['book'] / N_DAYS * 1e6:.1f} µs | |",
        f"| Sharpe interval, 2,000 draws x 1,800 days | {milliseconds(ours['interval'])} | |",
    ]


def milliseconds(value: float) -> str:
    """Return seconds as text in milliseconds."""
    return f"{value * 1e3:,.1f} ms"


def magnitude(gap: float) -> str:
    """Return a relative difference as text."""
    return f"{gap:.0e}" if gap else "0"


def page(
    agreement: list[str], figures: list[str], speed: list[str], versions: str, peak_mb: float
) -> str:
    """Return the section of docs/performance.md."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    lines = [
        BEGIN,
        "## Engine",
        "",
        f"Written by `python -m benchmarks.engine` on {machine}.",
        f"Peers: {versions}. Medians of warm calls in one run, frames given, equity returned;",
        f"peak memory of our process with all variants loaded {peak_mb:,.0f} MB.",
        "",
        "| what | ours | peer, times ours |",
        "| --- | --- | --- |",
        *speed,
        "",
        "Equity curves agree where a peer can express the case (largest relative difference):",
        "",
        "| case | peer | days | difference |",
        "| --- | --- | --- | --- |",
        *agreement,
        "",
        "Neither can express: targets after costs with square-root impact, a missing price whose",
        "return is booked later, a forced close after a delisting. Those are held against a",
        "ledger of dollars in `tests/unit/majors_alts_monitor/backtest/test_engine.py`.",
        "",
        "Key figures agree with:",
        "",
        "| figure | peer | difference |",
        "| --- | --- | --- |",
        *figures,
        END,
    ]
    return "\n".join(lines)


def publish(section: str, begin: str = BEGIN, end: str = END) -> None:
    """Put the section into docs/performance.md; what other benchmarks wrote there stays."""
    path = ROOT / "docs" / "performance.md"
    text = path.read_text("utf-8") if path.exists() else "# Performance\n"
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    atomic.write_text(path, f"{before.rstrip()}\n\n{section}\n{after.rstrip()}".rstrip() + "\n")
    say(f"wrote {path.relative_to(ROOT)}")


def say(line: str) -> None:
    """Print progress at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run everything."""
    cases = make_cases()
    peers = run_peers(cases)
    agreement = agreement_rows(our_equity(cases), peers)
    figures = figure_rows(cases["returns"], peers)
    speed = speed_rows(our_seconds(cases), peers)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    section = page(agreement, figures, speed, str(peers["versions"]), peak_mb)
    publish(section)
    say(section)


if __name__ == "__main__":
    main()
