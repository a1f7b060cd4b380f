"""A second engine that knows only cash, coins and prices in USD; slow, plain Python.

It shares no formula with the compiled engine: no weights, no drift, no growth. One unit of NAV
is ``account_usd`` USD, in which impact is measured.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isnan, nan, sqrt


@dataclass
class Rules:
    fee: float = 0.0
    slippage: float = 0.0
    delist_penalty: float = 0.0
    impact_coefficient: float = 0.0
    account_usd: float = 1.0
    max_stale_days: int = 3
    is_post_cost: bool = False


@dataclass
class DollarLedger:
    rules: Rules
    cash: float
    coins: list[float]
    marks: list[float] = field(default_factory=list)
    """Last known price of each asset."""
    days_without_price: list[int] = field(default_factory=list)

    def __post_init__(self):
        self.marks = [nan] * len(self.coins)
        self.days_without_price = [0] * len(self.coins)

    def value(self, i):
        return self.coins[i] * self.marks[i] if self.coins[i] else 0.0

    def nav(self):
        return self.cash + sum(self.value(i) for i in range(len(self.coins)))

    def day(self, prices, rates, targets, adv_usd, sigma, is_delisted):
        """Pay funding on yesterday's values, take today's prices, close, trade."""
        n = range(len(self.coins))
        self.cash -= sum(self.value(i) * rates[i] for i in n if not isnan(rates[i]))
        for i in n:
            if isnan(prices[i]):
                self.days_without_price[i] += 1
            else:
                self.days_without_price[i] = 0
                self.marks[i] = prices[i]
        nav = self.nav()
        closed = [
            i
            for i in n
            if isnan(prices[i])
            and self.coins[i]
            and (is_delisted[i] or self.days_without_price[i] > self.rules.max_stale_days)
        ]
        traded = [i for i in n if not isnan(prices[i]) and not isnan(targets[i])]
        basis = self._nav_after(nav, closed, traded, targets, adv_usd, sigma)
        for i in closed:
            self.cash += self.value(i) - self._closing_cost(i)
            self.coins[i] = 0.0
        for i in traded:
            wanted = targets[i] * basis
            change = wanted - self.value(i)
            self.cash -= change + self._cost(change, adv_usd[i], sigma[i])
            self.coins[i] = wanted / self.marks[i]
        return self.nav()

    def _closing_cost(self, i):
        r = self.rules
        return abs(self.value(i)) * (r.fee + r.slippage + r.delist_penalty)

    def _cost(self, change, adv_usd, sigma):
        r = self.rules
        usd = abs(change) * r.account_usd
        impact = 0.0
        if r.impact_coefficient and adv_usd > 0 and not isnan(sigma):
            impact = r.impact_coefficient * sigma * usd * sqrt(usd / adv_usd) / r.account_usd
        return abs(change) * (r.fee + r.slippage) + impact

    def _nav_after(self, nav, closed, traded, targets, adv_usd, sigma):
        """Return the NAV that targets are fractions of; after costs by halving an interval."""
        if not self.rules.is_post_cost:
            return nav

        def is_too_high(after):
            costs = sum(self._closing_cost(i) for i in closed)
            for i in traded:
                costs += self._cost(targets[i] * after - self.value(i), adv_usd[i], sigma[i])
            return after + costs > nav

        low, high = 0.0, nav
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (low, middle) if is_too_high(middle) else (middle, high)
        return high
