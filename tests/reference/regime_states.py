"""The state machine of strategy.md section 4 in plain Python, sentence by sentence."""

import math

FIVE = {
    -2: "STRONG_RISK_ON_ALTS",
    -1: "WEAK_RISK_ON_ALTS",
    0: "BALANCED",
    1: "WEAK_RISK_ON_MAJORS",
    2: "STRONG_RISK_ON_MAJORS",
}
THREE = {-1: "RISK_ON_ALTS", 0: "BALANCED", 1: "RISK_ON_MAJORS"}


def boundaries(thresholds, n_regimes):
    """Return the inner boundary of every state but BALANCED."""
    inner = {-1: thresholds["low"], 1: thresholds["high"]}
    if n_regimes == 5:
        inner |= {-2: thresholds["strong_low"], 2: thresholds["strong_high"]}
    return inner


def classify_once(score, inner):
    reached = [state for state, edge in inner.items() if state > 0 and score > edge]
    reached += [state for state, edge in inner.items() if state < 0 and score < edge]
    return max(reached, key=abs, default=0)


def days(scores, gates, thresholds, band, min_days, n_regimes):
    """Yield (name, days in it); ``thresholds`` is one mapping or one a day."""
    names = FIVE if n_regimes == 5 else THREE
    state, age = None, 0
    for i, (score, gated) in enumerate(zip(scores, gates, strict=True)):
        inner = boundaries(thresholds[i] if isinstance(thresholds, list) else thresholds, n_regimes)
        if math.isnan(score):
            new = 0
        elif state is None:
            new = classify_once(score, inner)
            if gated:
                new = min(new, 0)
        else:
            new = judge(state, age, score, inner, band, min_days)
            if gated and new > 0:
                if state < 0:
                    new = 0
                elif new > state:
                    new = state
        age = age + 1 if state is not None and new == state else 0
        state = new
        yield names[state], age + 1


def judge(state, age, score, inner, band, min_days):
    wanted = classify_once(score, inner)
    if state == 0:
        return wanted
    is_same_side = (wanted > 0) == (state > 0) and wanted != 0
    if is_same_side and abs(wanted) >= abs(state):
        return wanted
    needed = 1.5 * band if age < min_days else band
    if state > 0 and score < inner[state] - needed:
        return wanted
    if state < 0 and score > inner[state] + needed:
        return wanted
    return state
