"""What each risk rule is worth: ``python -m majors_alts_monitor.studies.risk_management``.

Flow: ``none, each rule alone, all, all but one -> run -> compare``. Drawdowns are negative, and a
better one is the less negative: ``drawdown_saved`` is positive and ``rank_drawdown`` small where a
rule helps.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Final

import pandas as pd

from majors_alts_monitor.config import MonitorConfig
from majors_alts_monitor.studies.study import ask, figures_table, publish, run_members
from majors_alts_monitor.sweep import Member
from pipeline_kit.cli import run_command

RULES: Final = ("stop_loss", "take_profit", "time_exit", "trailing_stop", "volatility_targeting")
NONE: Final = "none"


def main(argv: Sequence[str]) -> None:
    """Run the command line."""
    asked = ask(argv, "risk_management", __doc__)
    outcome = run_members(asked, risk_members(asked.request.config))
    table = against_none(figures_table({name: run.kpis for name, run in outcome.runs.items()}))
    publish(asked.place, outcome.board, outcome.verdict, {"risk_management": table})


def risk_members(config: MonitorConfig) -> list[Member]:
    """Return the ablation: no rule, each alone, all, all but one; thresholds as configured.

    Examples
    --------
    >>> from majors_alts_monitor.config import load_config
    >>> [member.name for member in risk_members(load_config())][:3]
    ['none', 'only_stop_loss', 'only_take_profit']
    """
    return [
        Member(NONE, with_rules(config, ())),
        *(Member(f"only_{rule}", with_rules(config, (rule,))) for rule in RULES),
        Member("all", with_rules(config, RULES)),
        *(Member(f"without_{rule}", with_rules(config, set(RULES) - {rule})) for rule in RULES),
    ]


def with_rules(config: MonitorConfig, rules: Iterable[str]) -> MonitorConfig:
    """Return the configuration with exactly ``rules`` switched on."""
    wanted = set(rules)
    risk = config.backtest.risk_management
    switched = {
        rule: getattr(risk, rule).model_copy(update={"enabled": rule in wanted}) for rule in RULES
    }
    backtest = config.backtest.model_copy(
        update={"risk_management": risk.model_copy(update=switched)}
    )
    return config.model_copy(update={"backtest": backtest})


def against_none(figures: pd.DataFrame) -> pd.DataFrame:
    """Return the figures with what each member changes against the one without rules.

    Adds ``sharpe_gained``, ``drawdown_saved`` (positive: the deepest loss became smaller) and
    the ranks of both, 1 the best.

    Examples
    --------
    >>> rows = {"member": ["none", "a"], "sharpe": [1.0, 0.8], "max_drawdown": [-0.3, -0.1]}
    >>> table = against_none(pd.DataFrame(rows))
    >>> table["drawdown_saved"].round(3).tolist(), table["rank_drawdown"].tolist()
    ([0.0, 0.2], [2.0, 1.0])
    """
    base = figures.loc[figures["member"] == NONE].iloc[0]
    return figures.assign(
        sharpe_gained=figures["sharpe"] - base["sharpe"],
        drawdown_saved=figures["max_drawdown"] - base["max_drawdown"],
        rank_sharpe=figures["sharpe"].rank(ascending=False, method="min"),
        rank_drawdown=figures["max_drawdown"].rank(ascending=False, method="min"),
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
