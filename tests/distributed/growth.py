"""What a sweep costs on workers, next to one process: the section Growth of performance.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline_kit import atomic

BEGIN, END = "<!-- tests/distributed begins -->", "<!-- tests/distributed ends -->"
WORKERS = 2


@dataclass(frozen=True)
class Growth:
    """Seconds of one sweep in one process and on the workers."""

    n_members: int
    n_guest: int
    local_wall_s: float
    local_member_s: float
    """Median."""
    wall_s: float
    """From the queueing of the plan to the end of the comparison."""
    member_s: float
    """Median of a member's task, the start of its process included."""
    spread_s: float
    """From the start of the first member to the end of the last."""
    collect_s: float

    @classmethod
    def measure(
        cls, wall_s: float, member_s: Sequence[float], tasks: pd.DataFrame, n_guest: int
    ) -> Growth:
        """Return the figures of a finished run from Airflow's own times."""
        members = tasks[tasks["task_id"] == "member"]
        seconds = (members["end_date"] - members["start_date"]).dt.total_seconds()
        spread = members["end_date"].max() - members["start_date"].min()
        collect = tasks[tasks["task_id"] == "collect"].iloc[0]
        return cls(
            n_members=len(members),
            n_guest=n_guest,
            local_wall_s=wall_s,
            local_member_s=float(pd.Series(member_s).median()),
            wall_s=(tasks["end_date"].max() - tasks["queued_dttm"].min()).total_seconds(),
            member_s=float(seconds.median()),
            spread_s=spread.total_seconds(),
            collect_s=(collect["end_date"] - collect["start_date"]).total_seconds(),
        )

    def table(self) -> str:
        """Return the section."""
        slot_s = WORKERS * self.spread_s / self.n_members
        load = os.getloadavg()[2]
        rows = {
            "one process, whole sweep": f"{self.local_wall_s:,.0f} s",
            "one process, a member (median)": f"{self.local_member_s:.1f} s",
            "two workers, whole sweep": f"{self.wall_s:,.0f} s",
            "two workers, a member's task (median)": f"{self.member_s:.1f} s",
            "two workers, a worker's time a member": f"{slot_s:.1f} s",
            "two workers, the comparison": f"{self.collect_s:.0f} s",
            "**overhead a member**": f"**{slot_s - self.local_member_s:.1f} s**",
            "**speed-up**": f"**{self.local_wall_s / self.wall_s:.2f}x**",
        }
        lines = [
            BEGIN,
            "## Growth",
            "",
            f"Written by `make test-distributed MEMBERS={self.n_members} RECORD=1` on "
            f"{platform.machine()}, {os.cpu_count()} cores that also carried",
            "PostgreSQL, Redis, the S3 server, scheduler, DAG processor and API server; load",
            f"average {load:.1f} over the last 15 minutes. {self.n_members} short members; worker "
            f"2, which shares no disk, ran {self.n_guest}.",
            "Every file equals the local one.",
            "",
            "| what | |",
            "| --- | --- |",
            *(f"| {name} | {value} |" for name, value in rows.items()),
            END,
        ]
        return "\n".join(lines)

    def record(self, path: Path) -> None:
        """Put the section into ``path``; what others wrote there stays."""
        text = path.read_text("utf-8")
        before, _, rest = text.partition(BEGIN)
        after = rest.partition(END)[2].lstrip("\n")
        parts = [before.rstrip("\n"), self.table(), after.rstrip("\n")]
        atomic.write_text(path, "\n\n".join(part for part in parts if part) + "\n")
