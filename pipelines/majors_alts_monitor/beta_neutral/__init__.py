"""Size BTC and ETH against a short ALT basket so that both betas cancel.

Data flow: ``Market -> basket -> betas -> hedge -> Books``; each arrow is a module of its name. Why
both betas at once, and not BTC first: ``docs/adr/0006-joint-dual-beta.md``.
"""

from __future__ import annotations

from majors_alts_monitor.beta_neutral.basket import Exclusion, cap_weights
from majors_alts_monitor.beta_neutral.betas import estimate_betas
from majors_alts_monitor.beta_neutral.books import (
    Books,
    NoBook,
    apply_scale,
    propose_books,
    scale_limit,
)
from majors_alts_monitor.beta_neutral.hedge import Hedge, solve_hedge

__all__ = [
    "Books",
    "Exclusion",
    "Hedge",
    "NoBook",
    "apply_scale",
    "cap_weights",
    "estimate_betas",
    "propose_books",
    "scale_limit",
    "solve_hedge",
]
