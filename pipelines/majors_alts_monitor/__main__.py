"""What the package offers: ``python -m majors_alts_monitor``."""

from __future__ import annotations

import sys

OFFER = """\
Each UTC day, decides how much BTC and ETH to hold against a short basket of liquid alts.

  python -m majors_alts_monitor.signals --asof D             the decision of one day, and why
  python -m majors_alts_monitor.run --start D --end D        a backtest and its report
  python -m majors_alts_monitor.audit --start D --end D      proof that no day sees its future
  python -m majors_alts_monitor.reproduce RUN_DIR            rebuild a run and compare its bytes
  python -m majors_alts_monitor.studies.NAME                 comparisons; NAME is one of
      compare_monitors_simple  compare_baseline_vs_enhanced  basket_sizes
      risk_management  beta_estimators  analyze_backtest_results

Every command explains its flags with --help.
"""

if __name__ == "__main__":
    sys.stdout.write(OFFER)
