"""Walk from a weight back to the rows of the lake, line by line or as a page.

Flow: ``weight <- scale <- hedge <- betas <- basket <- universe <- features <- facts <- lake rows``.
Where a row came from is for an ``Origin`` to say. The page of a run ends at the content of the
lake, so that it is the same wherever the lake lies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import duckdb
import numpy as np
import pandas as pd

from majors_alts_monitor.backtest.decision import Action, Decision
from majors_alts_monitor.beta_neutral.basket import Exclusion
from majors_alts_monitor.errors import ConfigError
from majors_alts_monitor.features import PRIMARY
from majors_alts_monitor.report.dashboard import environment
from majors_alts_monitor.types import MAJORS

if TYPE_CHECKING:  # ``run`` writes the page, so it cannot be imported here
    from majors_alts_monitor.run import Prepared

PAGE: Final = "explain.html"

Fact = Mapping[str, Any]
"""A version of a lake value: fact, asset_id, date, settled_at, value, source, known_from, ..."""
Origin = Callable[[Fact], list[str]]
"""Says where a version came from, in lines."""


def explain(
    prepared: Prepared, document: Mapping[str, Any], asset: str | None, origin: Origin
) -> list[str]:
    """Return the explanation of the request's last day, line by line.

    Parameters
    ----------
    prepared : Prepared
        Its strategy ends with the day.
    document : mapping
        ``signals_today.json`` of the day.
    asset : str, optional
        One asset; default all that have a weight.
    origin : callable
        ``from_content``, or one that knows more.

    Raises
    ------
    ConfigError
        If the lake says nothing of the asset on the day, or around it.
    """
    assets = [asset] if asset else sorted(document["target_weights"])
    for name in assets:
        if name not in prepared.strategy.market.assets and not _verdict(prepared, name):
            raise ConfigError(f"--asset {name}: not in this lake on the day")
    lines = [f"{document['asof']}: {document['action']} {document['action_reason']}".rstrip()]
    lines += [f"  {reason}" for reason in document["reasons"]]
    lines += ["", *_features(prepared, document)]
    facts = _facts(prepared, assets)
    for name in assets:
        lines += ["", *_asset(prepared, name, document)]
        for fact in facts.get(name, []):
            lines.append(f"  {_fact_sentence(fact)}")
            lines += [f"    {line}" for line in origin(fact)]
    return lines


def page(lines: Sequence[str]) -> str:
    """Return the explanation as a self-contained page; each asset folds."""
    blocks = [block.split("\n") for block in "\n".join(lines).split("\n\n")]
    return str(environment().get_template("explain.html.j2").render(blocks=blocks))


def run_page(prepared: Prepared, document: Mapping[str, Any]) -> str:
    """Return ``explain.html`` of a run folder: the last day's book, the same for equal inputs."""
    return page(explain(prepared, document, None, from_content(prepared)))


def from_content(prepared: Prepared) -> Origin:
    """Return an origin that names the table by the SHA-256 of its content."""
    content = prepared.lake.facts.content_sha256
    return lambda fact: [f"content of {fact['fact']}: sha256 {content[fact['fact']]}"]


def last_decided(decisions: Sequence[Decision]) -> Decision:
    """Return the newest decision that was not hold; the first day's if there is none."""
    return next((d for d in reversed(decisions) if d.action is not Action.HOLD), decisions[0])


def _features(prepared: Prepared, document: Mapping[str, Any]) -> list[str]:
    """Return how the score came about: what each group read, and what it added."""
    today = prepared.strategy.features.iloc[-1]
    thresholds = prepared.strategy.timeline.thresholds.iloc[-1]
    lines = [f"features: score {document['score']!r}, regime {document['regime']}"]
    for part in document["contributions"]:
        z = PRIMARY[part["group"]]
        raw = z.replace("z_", "raw_", 1)
        lines.append(
            f"  {part['group']}: {raw} {_known(today[raw], '.6g')}, "
            f"{z} {_known(part['z'], '+.4f')} x weight {part['weight']:g} "
            f"x direction {part['direction']:+d}, adds {_known(part['contribution'], '+.4f')}"
        )
    limits = ", ".join(f"{name} {value:g}" for name, value in thresholds.items())
    lines.append(f"  thresholds: {limits}")
    lines.append(f"  share of assumed knowledge {_known(today['share_assumed'], '.4f')}")
    return lines


def _known(value: Any, how: str) -> str:
    """Return a value as text; on a day without it there is a word, not a number.

    Examples
    --------
    >>> _known(None, ".2f"), _known(float("nan"), ".2f"), _known(0.5, "+.2f")
    ('missing', 'missing', '+0.50')
    """
    return "missing" if value is None or pd.isna(value) else format(value, how)


def _asset(prepared: Prepared, name: str, document: Mapping[str, Any]) -> list[str]:
    if name not in prepared.strategy.market.assets:
        return [f"{name}: never eligible, no weight", *_universe(prepared, name)]
    weight = document["target_weights"].get(name, 0.0)
    decided = last_decided(prepared.strategy.walk.decisions)
    day = prepared.strategy.market.dates[decided.row]
    lines = [f"{name}: weight {weight:+.6f} of NAV"]
    if document["action"] == Action.HOLD.value:
        column = prepared.strategy.market.assets.get_loc(name)
        lines.append(
            f"  held: {decided.targets[column]:+.6f} by the {decided.action} of {day:%Y-%m-%d}, "
            "and drifts with its price since it was traded"
        )
    return lines + _scale(decided) + _hedge(prepared, name, decided) + _universe(prepared, name)


def _scale(decided: Decision) -> list[str]:
    return [
        f"  scale {decided.position_scale:.6f} = regime {decided.regime_scale:.6f} x volatility "
        f"{decided.volatility_scale:.6f}, cut where a cap or the gate asks for it"
    ]


def _hedge(prepared: Prepared, name: str, decided: Decision) -> list[str]:
    """Return where the unscaled weight comes from: the hedge of a major, the share of an ALT."""
    strategy, row = prepared.strategy, decided.row
    books, column = strategy.books, int(strategy.market.assets.get_indexer(pd.Index([name]))[0])
    if not books.has_book[row]:
        return [f"  no book: {books.no_book_reason(row)}"]
    unscaled = float(books.weights[row, column])
    lines = [f"  before scaling {unscaled:+.6f}"]
    if name in MAJORS:
        side = MAJORS.index(name)
        alts = np.flatnonzero((books.weights[row] != 0) & strategy.market.is_alt)
        parts = books.weights[row, alts] * books.betas[row, alts, side]
        limits = ", ".join(books.limits(row)) or "none"
        lines.append(
            f"  hedge: ALT exposure to {name} {math.fsum(parts):+.6f} over {alts.size} ALTs, "
            f"left over {books.residual[row, side]:+.6f}, limits that bind: {limits}"
        )
        largest = alts[np.argsort(-np.abs(parts), kind="stable")]
        return lines + [
            f"    {strategy.market.assets[int(i)]}: {books.weights[row, i]:+.6f} x beta "
            f"{books.betas[row, i, side]:.4f}"
            for i in largest
        ]
    betas = books.betas[row, column]
    source = "the prior, for want of history" if books.is_prior[row, column] else "estimated"
    if not np.isnan(betas).any():
        lines.append(f"  betas: BTC {betas[0]:.4f}, ETH {betas[1]:.4f} ({source})")
    code = Exclusion(int(books.exclusion[row, column]))
    place = f"rank {books.rank[row, column]} by 7-day median volume"
    is_member = code is Exclusion.MEMBER
    lines.append(f"  basket: {f'member, {place}' if is_member else f'out, {code.reason}'}")
    if is_member:
        lines.append(f"  volatility {books.volatility[row, column]:.4f} a year sets its share")
        leg = math.fsum(np.abs(books.weights[row][strategy.market.is_alt]))
        lines.append(
            f"  share {abs(unscaled) / leg:.6f} of the ALT leg {leg:.6f} = alt_gross "
            f"{prepared.request.config.universe.alt_gross:g} x limits {books.alt_scale[row]:.6f}"
        )
    return lines


def _verdict(prepared: Prepared, name: str) -> tuple[bool, str | None] | None:
    """Return whether the asset is eligible on the day, and why not; null without a row."""
    with closing(duckdb.connect(str(prepared.warehouse), read_only=True)) as con:
        return con.execute(
            "select is_eligible, exclusion_reason from marts.fct_universe_daily "
            "where asset_id = $1 and date = $2",
            [name, prepared.request.end],
        ).fetchone()


def _universe(prepared: Prepared, name: str) -> list[str]:
    """Return the universe's verdict and the facts of the day as known for it."""
    asof, verdict = prepared.request.end, _verdict(prepared, name)
    with closing(duckdb.connect(str(prepared.warehouse), read_only=True)) as con:
        facts = con.execute(
            "select close_usd, return_1d, market_cap_usd, volume_median_7d_usd, "
            "open_interest_usd, funding_rate_8h, funding_rate_1d from marts.fct_asset_daily "
            "where asset_id = $1 and date = $2",
            [name, asof],
        )
        columns = [column[0] for column in facts.description or []]
        values = facts.fetchone()
    if verdict is None or values is None:
        return [f"  universe: no row of {name} on {asof}"]
    said = "eligible" if verdict[0] else f"not eligible, {verdict[1]}"
    shown = ", ".join(f"{c} {v!r}" for c, v in zip(columns, values, strict=True))
    return [f"  universe: {said}", f"  facts: {shown}"]


def _facts(prepared: Prepared, assets: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return by asset the versions of the day's values that the day's row could read."""
    query = """
        select fact, asset_id, date, settled_at, value, source, known_from, known_basis, read_from
        from warehouse.intermediate.int_fact_versions
        where date = $1 and read_from <= $1 and asset_id in (select unnest($2))
        order by all
    """
    # The view names its own database, so the file is attached under the name it was built with.
    with closing(duckdb.connect(":memory:")) as con:
        con.execute(f"attach '{prepared.warehouse}' as warehouse (read_only)")
        found = con.execute(query, [prepared.request.end, list(assets)])
        names = [column[0] for column in found.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return {asset: [row for row in rows if row["asset_id"] == asset] for asset in assets}


def _fact_sentence(fact: Fact) -> str:
    when = fact["settled_at"] or fact["date"]
    return (
        f"lake: {fact['fact']} {when} = {fact['value']!r}, source {fact['source'] or 'unknown'}, "
        f"known {fact['known_from']} ({fact['known_basis']})"
    )
