"""The law behind ``config.yaml``: one frozen model per stage, and no unknown key.

Flow: ``YAML -> --set overrides -> MonitorConfig``. There are no defaults here for anything that
changes a result; the shipped files hold every value. A feature group of one's own is out of the
score until a file gives it a weight. The core receives the part it needs, so a function that
charges costs sees a ``CostConfig`` and nothing else.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)

from majors_alts_monitor.errors import ConfigError
from majors_alts_monitor.types import GROUPS, MAJORS

MOST: Final = 100_000
"""Of days and of things to count: far beyond any use, and dates can still be reckoned with it."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Cap = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Days = Annotated[int, Field(ge=1, le=MOST)]


class Frozen(BaseModel):
    """Immutable; a misspelt key is an error rather than a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, values: Any) -> Any:
        for name, value in values.items() if isinstance(values, Mapping) else ():
            field = cls.model_fields.get(name)
            if isinstance(value, bool) and field is not None and field.annotation is not bool:
                raise ValueError(f"{name} must not be true or false, was {value}")
        return values


class AltSelectionConfig(Frozen):
    """Which eligible ALTs enter the basket and how the leg is shared among them."""

    enabled: bool
    max_volatility: Positive
    """Annualised; more volatile assets stay out."""
    min_correlation: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    """Of the larger absolute correlation with BTC and ETH."""
    max_momentum: Finite
    min_momentum: Finite
    """Bounds of the simple return over ``momentum_lookback_days``."""
    weighting: Literal["inverse_vol", "equal"]
    volatility_lookback_days: Annotated[int, Field(ge=2, le=MOST)]
    correlation_lookback_days: Annotated[int, Field(ge=2, le=MOST)]
    momentum_lookback_days: Days

    @model_validator(mode="after")
    def _momentum_bounds_ascend(self) -> Self:
        if self.min_momentum >= self.max_momentum:
            raise ValueError(
                f"min_momentum must lie below max_momentum, was {self.min_momentum} "
                f"against {self.max_momentum}"
            )
        return self


class RichObjectiveConfig(Frozen):
    """Trades the neutral book off against what it costs to get there; see ``rich_objective``."""

    enabled: bool
    horizon_days: Positive
    """Risk and funding are counted over so many days, trading once."""
    risk_aversion: Positive
    """Of NAV lost per unit of variance."""
    impact_coefficient: NonNegative
    """Y of the square-root law in the objective; what trades pay is ``costs``' affair."""
    max_participation: Positive
    """Largest trade, of a day's volume."""
    max_adv_share: Positive
    """Largest position, of a day's volume."""


class UniverseConfig(Frozen):
    """Who may be traded, and the limits of the book."""

    majors: tuple[str, ...]
    exclude_assets: tuple[str, ...]
    min_mcap_usd: NonNegative
    min_volume_usd: NonNegative
    """Of the median volume of the last 7 days."""
    min_listing_days: Annotated[int, Field(ge=0, le=MOST)]
    basket_size: Annotated[int, Field(ge=1, le=MOST)]
    per_name_cap: Cap
    """Of the ALT leg."""
    alt_gross: Cap
    """Of NAV."""
    gross_cap: Annotated[float, Field(gt=0, le=5, allow_inf_nan=False)]
    major_cap: Cap
    min_names: Annotated[int, Field(ge=1, le=MOST)]
    neutrality_mode: Literal["beta_neutral", "dollar_neutral"]
    alt_selection: AltSelectionConfig
    rich_objective: RichObjectiveConfig | None = None
    """None: off, as in files older than the key."""

    @model_validator(mode="after")
    def _majors_are_two(self) -> Self:
        if self.majors != MAJORS:
            raise ValueError(f"majors must be {list(MAJORS)}, was {list(self.majors)}")
        return self


class CostConfig(Frozen):
    """Trading costs and funding."""

    maker_fee_bps: NonNegative
    taker_fee_bps: NonNegative
    taker_share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    slippage_bps: NonNegative
    """Half-spread per side; impact is separate."""
    impact_coefficient: NonNegative
    """Y of the square-root law; 0 switches impact off."""
    funding_enabled: bool
    delist_penalty_bps: NonNegative

    @property
    def fee_bps(self) -> float:
        """Fee per side: the configured mix of taker and maker, basis points."""
        return self.taker_share * self.taker_fee_bps + (1 - self.taker_share) * self.maker_fee_bps


class PublicationLagConfig(Frozen):
    """Minutes between the end of a day and the publication of its value."""

    coingecko: NonNegative
    default: NonNegative


class FeaturesConfig(Frozen):
    """What the warehouse needs to know."""

    zscore_days: Annotated[int, Field(ge=2, le=MOST)]
    burn_in_days: Annotated[int, Field(ge=0, le=MOST)]
    """A run that starts earlier after the lake's first day says that it lacks warm-up."""
    staleness_days: Annotated[int, Field(ge=0, le=400)]
    """A level reads each day back by name, and none older than a price may be (fct_asset_daily)."""
    vintage: Literal["pit", "latest"]
    publication_lag_minutes: PublicationLagConfig


class ThresholdsConfig(Frozen):
    """Boundaries of the score, in z-score units; positive favours majors."""

    strong_low: Finite
    low: Finite
    high: Finite
    strong_high: Finite

    @model_validator(mode="after")
    def _ascend(self) -> Self:
        names = ("strong_low", "low", "high", "strong_high")
        for left, right in pairwise(names):
            if getattr(self, left) >= getattr(self, right):
                raise ValueError(
                    f"thresholds must ascend, was {left} {getattr(self, left)} "
                    f"before {right} {getattr(self, right)}"
                )
        return self


Model = TypeVar("Model", bound=Frozen)


def _with_own_groups(kind: object, unless_given: float) -> Callable[[type[Model]], type[Model]]:
    """Return a decorator that adds a field for each group of the catalogue a model lacks."""

    def extend(model: type[Model]) -> type[Model]:
        own: dict[str, Any] = {
            group: (kind, unless_given) for group in GROUPS if group not in model.model_fields
        }
        return create_model(model.__name__, __base__=model, __doc__=model.__doc__, **own)

    return extend


@_with_own_groups(NonNegative, unless_given=0.0)
class WeightsConfig(Frozen):
    """Weight of each feature group in the score."""

    alt_breadth: NonNegative
    btc_dominance: NonNegative
    funding_skew: NonNegative
    funding_heating: NonNegative
    liquidity: NonNegative
    volatility_spread: NonNegative
    momentum: NonNegative
    oi_risk: NonNegative

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if not sum(getattr(self, group) for group in GROUPS) > 0:
            raise ValueError("weights must not all be 0")
        return self


Direction = Literal[-1, 1]


@_with_own_groups(Direction, unless_given=1)
class DirectionsConfig(Frozen):
    """+1 where a high value of the group favours majors over alts, else -1."""

    alt_breadth: Direction
    btc_dominance: Direction
    funding_skew: Direction
    funding_heating: Direction
    liquidity: Direction
    volatility_spread: Direction
    momentum: Direction
    oi_risk: Direction


class HighVolGateConfig(Frozen):
    """Blocks entries and increases after an extreme week of BTC."""

    enabled: bool
    btc_7d_return: Positive


Range = tuple[Finite, Finite]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class CalibrationConfig(Frozen):
    """Walk-forward search of weights and thresholds."""

    enabled: bool
    lookback_window_days: Annotated[int, Field(ge=2, le=MOST)]
    test_window_days: Days
    eval_horizon_days: Days
    n_samples: Annotated[int, Field(ge=1, le=MOST)]
    objective: Literal["rank_ic", "regime_sharpe"]
    seed: Seed
    ranges: dict[str, Range]

    @model_validator(mode="after")
    def _ranges_are_known_and_ascend(self) -> Self:
        known = (*GROUPS, *ThresholdsConfig.model_fields)
        for name, (low, high) in self.ranges.items():
            if name not in known:
                raise ValueError(f"ranges.{name} is not a key{_nearest(name, known)}")
            if low > high:
                raise ValueError(f"ranges.{name} must ascend, was {low} before {high}")
            if name in GROUPS and low < 0:
                raise ValueError(f"ranges.{name} must not be negative, was {low}")
        if self.eval_horizon_days >= self.lookback_window_days:
            raise ValueError(
                f"eval_horizon_days must be below lookback_window_days, was "
                f"{self.eval_horizon_days} against {self.lookback_window_days}"
            )
        return self


class UnsupervisedConfig(Frozen):
    """Hidden Markov and k-means regimes."""

    features: tuple[str, ...]
    """Names of feature groups; their primary z-scores are used."""
    min_persistence_days: Annotated[int, Field(ge=0, le=MOST)]
    lookback_window_days: Annotated[int, Field(ge=2, le=MOST)]
    test_window_days: Days
    seed: Seed

    @model_validator(mode="after")
    def _features_are_groups(self) -> Self:
        if not self.features:
            raise ValueError("features must name at least one group")
        for name in self.features:
            if name not in GROUPS:
                raise ValueError(f"features: {name} is not a group{_nearest(name, GROUPS)}")
        return self


class RegimeConfig(Frozen):
    """Score, states and their inertia."""

    mode: Literal["composite", "hmm", "kmeans"]
    n_regimes: Literal[3, 5]
    weights: WeightsConfig
    directions: DirectionsConfig
    thresholds: ThresholdsConfig
    hysteresis_band: NonNegative
    min_regime_days: Annotated[int, Field(ge=0, le=MOST)]
    min_weight_share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    z_clip: Positive
    high_vol_gate: HighVolGateConfig
    calibration: CalibrationConfig
    unsupervised: UnsupervisedConfig


class BetaConfig(Frozen):
    """Estimation of the two betas of each ALT."""

    lookback_days: Annotated[int, Field(ge=3, le=MOST)]
    min_days: Annotated[int, Field(ge=3, le=MOST)]
    ridge_alpha: NonNegative
    winsorize_pct: Annotated[float, Field(ge=0, lt=50, allow_inf_nan=False)]
    """Percent cut on either side."""
    beta_clamp: Range
    default_prior: Range
    estimator: Literal["ridge", "ridge_absolute", "vasicek", "welch", "ewma"]

    @model_validator(mode="after")
    def _clamp_ascends(self) -> Self:
        low, high = self.beta_clamp
        if low >= high:
            raise ValueError(f"beta_clamp must ascend, was {low} before {high}")
        if self.min_days > self.lookback_days:
            raise ValueError(
                f"min_days must not exceed lookback_days, was {self.min_days} "
                f"against {self.lookback_days}"
            )
        return self


class LotsConfig(Frozen):
    """Whole lots beside the exact weights of the signal; no other result depends on them."""

    enabled: bool
    min_order_usd: Positive
    """The venue's smallest order."""


class ExecutionConfig(Frozen):
    """When and on what basis orders are filled."""

    lag_days: Annotated[int, Field(ge=0, le=30)]
    sizing_basis: Literal["pre_cost", "post_cost"]
    account_usd: Positive
    lots: LotsConfig | None = None
    """None: off, as in files older than the key."""


def _none_is_off(value: Any) -> Any:
    return 0 if value is None else value


class RebalanceConfig(Frozen):
    """What makes the book trade again."""

    score_move: NonNegative
    drift_tolerance: NonNegative
    """Of NAV."""
    every_days: Annotated[int, Field(ge=0, le=MOST), BeforeValidator(_none_is_off)]
    """Counted from 1970-01-01; 0 switches the schedule off."""


class RegimePositionScalingConfig(Frozen):
    """How far the book grows with the score inside a regime."""

    enabled: bool
    strong_floor: Cap
    weak_floor: Cap
    weak_ceiling: Cap

    @model_validator(mode="after")
    def _weak_ascends(self) -> Self:
        if self.weak_floor > self.weak_ceiling:
            raise ValueError(
                f"weak_floor must not exceed weak_ceiling, was {self.weak_floor} "
                f"against {self.weak_ceiling}"
            )
        return self


class StopLossConfig(Frozen):
    """Leave after a loss over the last day or days."""

    enabled: bool
    threshold: Positive
    lookback_days: Days
    volatility_adjusted: bool


class TakeProfitConfig(Frozen):
    """Leave, or halve once, after a gain since entry."""

    enabled: bool
    threshold: Positive
    partial: bool


class TimeExitConfig(Frozen):
    """Leave after so many days since entry."""

    enabled: bool
    days: Days


class TrailingStopConfig(Frozen):
    """Leave after a fall from the highest equity since entry."""

    enabled: bool
    threshold: Positive
    lookback_days: Days


class VolatilityTargetingConfig(Frozen):
    """Scale the book to a volatility."""

    enabled: bool
    target: Positive
    """Annualised."""
    window: Annotated[int, Field(ge=2, le=MOST)]
    min_scale: NonNegative
    max_scale: Positive

    @model_validator(mode="after")
    def _scales_ascend(self) -> Self:
        if self.min_scale > self.max_scale:
            raise ValueError(
                f"min_scale must not exceed max_scale, was {self.min_scale} "
                f"against {self.max_scale}"
            )
        return self


class RiskManagementConfig(Frozen):
    """Rules that take the book off."""

    stop_loss: StopLossConfig
    take_profit: TakeProfitConfig
    time_exit: TimeExitConfig
    trailing_stop: TrailingStopConfig
    cooldown_days: Annotated[int, Field(ge=0, le=MOST)]
    volatility_targeting: VolatilityTargetingConfig


class BacktestConfig(Frozen):
    """The walk through time."""

    max_stale_days: Annotated[int, Field(ge=0, le=MOST)]
    rebalance: RebalanceConfig
    regime_position_scaling: RegimePositionScalingConfig
    risk_management: RiskManagementConfig


class BootstrapConfig(Frozen):
    """Stationary bootstrap of the Sharpe ratio."""

    enabled: bool
    block_size: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None
    """Mean block length, days; null: chosen by the data."""
    n_boot: Annotated[int, Field(ge=1, le=MOST)]
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None
    """Null: taken from the run id."""


class EvaluationConfig(Frozen):
    """How results are judged."""

    horizons_days: Annotated[tuple[Days, ...], Field(min_length=1)]
    bootstrap: BootstrapConfig


class OutputsConfig(Frozen):
    """Folders: the cache below ``MAM_DATA_DIR``, the others below the working directory."""

    reports_dir: str
    artifacts_dir: str
    cache_dir: str


class MonitorConfig(Frozen):
    """The whole configuration."""

    universe: UniverseConfig
    costs: CostConfig
    features: FeaturesConfig
    regime: RegimeConfig
    beta: BetaConfig
    execution: ExecutionConfig
    backtest: BacktestConfig
    evaluation: EvaluationConfig
    outputs: OutputsConfig


def shipped_config(name: str = "config.yaml") -> dict[str, Any]:
    """Return a shipped configuration as a nested mapping."""
    text = resources.files("majors_alts_monitor").joinpath(name).read_text("utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> MonitorConfig:
    """Return the configuration in ``path`` (the shipped one by default) after ``--set`` overrides.

    Raises
    ------
    ConfigError
        If the file cannot be read, a key is unknown (the nearest known one is named) or missing,
        or a value is outside its range.

    Examples
    --------
    >>> load_config(overrides=["universe.basket_size=10"]).universe.basket_size
    10
    """
    where = "config.yaml" if path is None else str(path)
    values: Any = shipped_config() if path is None else _read_yaml(path)
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: must be a mapping of sections, was {type(values).__name__}")
    for override in overrides:
        _apply(values, override)
    return build_config(values, where)


def build_config(values: Mapping[str, Any], where: str) -> MonitorConfig:
    """Return the validated configuration of a nested mapping.

    Raises
    ------
    ConfigError
        With one line that starts with ``where`` and names the key.
    """
    try:
        return MonitorConfig.model_validate(values)
    except ValidationError as e:
        raise ConfigError(f"{where}: {_first_complaint(e)}") from e


def effective_values(config: MonitorConfig) -> dict[str, Any]:
    """Return the configuration as plain nested values, ready for JSON."""
    values: dict[str, Any] = config.model_dump(mode="json")
    return values


def by_dotted_key(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by the key that ``--set`` would name.

    Examples
    --------
    >>> by_dotted_key({"beta": {"ridge_alpha": 0.3}})
    {'beta.ridge_alpha': 0.3}
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        flat |= by_dotted_key(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
    return flat


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise ConfigError(f"{path}: cannot be read as YAML: {e}") from e


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override}: must read dotted.key=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as e:
        raise ConfigError(f"--set {override}: {text!r} is not a YAML value") from e
    *parents, leaf = key.strip().split(".")
    node = values
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ConfigError(f"--set {override}: {parent} is a value, not a section")
    node[leaf] = value


def _first_complaint(error: ValidationError) -> str:
    """Return the most telling complaint on one line; an unknown key goes before a missing one."""
    complaints = error.errors()
    unknown = [c for c in complaints if c["type"] == "extra_forbidden"]
    chosen = (unknown or complaints)[0]
    key = ".".join(str(part) for part in chosen["loc"])
    rest = f" (and {len(complaints) - 1} more)" if len(complaints) > 1 else ""
    if unknown:
        return f"unknown key {key}{_nearest(key, _known_keys(MonitorConfig))}{rest}"
    if chosen["type"] == "missing":
        return f"missing key {key}; see config.yaml{rest}"
    message = chosen["msg"].removeprefix("Value error, ")
    is_scalar = not isinstance(chosen["input"], dict)
    was = f", was {chosen['input']!r}" if is_scalar else ""
    return f"{key}: {message}{was}{rest}"


def _nearest(name: str, known: Sequence[str]) -> str:
    by_leaf = {key.rsplit(".", 1)[-1]: key for key in known}
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if not close:
        leaf = difflib.get_close_matches(name.rsplit(".", 1)[-1], list(by_leaf), n=1, cutoff=0.4)
        close = (
            [by_leaf[leaf[0]]] if leaf else difflib.get_close_matches(name, known, n=1, cutoff=0)
        )
    return f"; did you mean {close[0]}?" if close else ""


def _known_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                keys.extend(_known_keys(inner, f"{prefix}{name}."))
    return keys
