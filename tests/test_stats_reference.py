"""Every reference case: exact answers from routines independent of evalkit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.stats import (
    boundaries,
    designs,
    intervals,
    power,
    pvalues,
    rankings,
    samples,
    scales,
    sequential,
)
from evalkit.stats.cell import Estimate
from evalkit.stats.clusters import cluster_se
from evalkit.stats.decision import Evidence, decide_cell, decide_domain, overall, saturated
from evalkit.stats.distributions import t_quantile
from evalkit.stats.domains import domain_mean, pooled
from evalkit.stats.estimate import estimate
from evalkit.stats.families import benjamini_hochberg, holm, regression_family
from evalkit.stats.missing import missing_bounds
from evalkit.stats.trend import change_point
from tests import oracles

CASES = json.loads(
    (Path(__file__).parent / "reference" / "statistics_reference_cases.json").read_text()
)["cases"]


def of_counts(gained: int, lost: int, n: int, conf: float = 0.90) -> Estimate:
    return estimate([1] * gained + [-1] * lost + [0] * (n - gained - lost), binary=True, conf=conf)


def mcnemar(gained: int, lost: int) -> dict[str, float]:
    return {
        **oracles.mcnemar_exact(gained, lost),
        "p_less_midp": float(pvalues.mcnemar_midp(gained, lost)),
    }


def tango_ci(gained: int, lost: int, n: int, conf: float) -> dict[str, float]:
    lower, upper = map(float, intervals.tango_ci(gained, lost, n, conf))
    lower_plain, upper_plain = map(float, intervals.tango_ci(gained, lost, n, conf, bessel=False))
    return {
        "lower": lower,
        "upper": upper,
        "lower_plain": lower_plain,
        "upper_plain": upper_plain,
    }


def wilson_ci(x: int, n: int, conf: float) -> dict[str, float]:
    lower, upper = map(float, intervals.wilson_ci(x, n, conf))
    return {"lower": lower, "upper": upper}


def paired_t(baseline: list[float], candidate: list[float], conf: float) -> dict[str, float]:
    d = np.subtract(candidate, baseline)
    t, p_less = pvalues.paired_t(d)
    delta = float(d.mean())
    reach = float(t_quantile((1 + conf) / 2, d.size - 1)) * delta / t
    return {
        "delta": delta,
        "se": delta / t,
        "t": t,
        "p_less": p_less,
        "p_two_sided": 2 * min(p_less, 1 - p_less),
        "lower": delta - abs(reach),
        "upper": delta + abs(reach),
    }


def clustered(diffs: list[float], cluster: list[int], correction: str) -> dict[str, float]:
    if correction == "none":
        return {"mean": float(np.mean(diffs)), "se": oracles.cluster_se(diffs, cluster, False)}
    return {
        "se": cluster_se(diffs, cluster),
        "se_statsmodels": oracles.cluster_se(diffs, cluster, True),
    }


def multiple(adjust: Callable[[Any], Any], name: str) -> Callable[..., dict[str, Any]]:
    def run(p: list[float], alpha: float) -> dict[str, Any]:
        adjusted = adjust(p)
        assert adjusted == pytest.approx(oracles.multiple_tests(p, name))
        return {"reject": (adjusted <= alpha).tolist(), "p_adj": adjusted.tolist()}

    return run


def verdict_single(
    gained: int, lost: int, n: int, margin: float, alpha: float, family_size: int
) -> dict[str, Any]:
    assert family_size == 1
    cell = of_counts(gained, lost, n)
    decision = decide_cell(cell, margin, cell.p_regressed, cell.p_improved, alpha=alpha)
    flags = list(decision.flags)
    if saturated(gained, lost, 0.5, 0.5):
        flags.append("saturated")
    return {
        "lower": cell.lower,
        "upper": cell.upper,
        "p_regressed_midp": cell.p_regressed,
        "p_improved_midp": cell.p_improved,
        "verdict": decision.verdict,
        "flags": flags,
    }


def quasi_tango(
    conf: float,
    diffs: list[float] | None = None,
    baseline: list[float] | None = None,
    candidate: list[float] | None = None,
) -> dict[str, float]:
    d = np.asarray(diffs) if diffs else np.subtract(candidate or [], baseline or [])
    gained, lost, phi = intervals.change_sums(d)
    lower, upper = map(float, intervals.quasi_tango_ci(d, conf))
    whole = estimate(d, binary=False, lattice=16)
    return {
        "gained": gained,
        "lost": lost,
        "phi": phi,
        "delta": float(d.mean()),
        "lower": lower,
        "upper": upper,
        "p_t": pvalues.paired_t(d)[1],
        "p_sign_flip_exact": pvalues.sign_flip(d, 16),
        "p_regressed": whole.p_regressed,
        "p_improved": whole.p_improved,
    }


def domain(
    cells: list[dict[str, Any]], margin: float, n_domains: int, alpha: float
) -> dict[str, Any]:
    assert n_domains == 1
    parts = [of_counts(c["gained"], c["lost"], c["n"]) for c in cells]
    family = regression_family([[c.p_regressed for c in parts]], [[c.se for c in parts]])
    improved = holm([c.p_improved for c in parts])
    verdicts = [
        decide_cell(part, c["margin"], p, float(q), alpha=alpha).verdict
        for part, c, p, q in zip(parts, cells, family.p_cell_adjusted[0], improved, strict=True)
    ]
    mean, pool = domain_mean(parts), pooled(parts)
    p_adjusted, evidence = family.p_domain_adjusted[0], Evidence(tuple(verdicts), pool.lower)
    decision = decide_domain(mean, margin, p_adjusted, mean.p_improved, evidence, alpha=alpha)
    p_pool, p_min = stouffer_and_sidak(parts)
    return {
        "delta": mean.delta,
        "lower": mean.lower,
        "upper": mean.upper,
        "p_pool": p_pool,
        "p_min": p_min,
        "p_D": mean.p_regressed,
        "delta_pool": pool.delta,
        "lower_pool": pool.lower,
        "cell_p": [c.p_regressed for c in parts],
        "cell_se": [c.se for c in parts],
        "cell_lower": [c.lower for c in parts],
        "cell_upper": [c.upper for c in parts],
        "cell_verdicts": verdicts,
        "verdict": decision.verdict,
        "flags": list(decision.flags),
    }


def stouffer_and_sidak(parts: list[Estimate]) -> tuple[float, float]:
    p = [c.p_regressed for c in parts]
    _, p_pool = oracles.combined(p, "stouffer", [1 / c.se for c in parts])
    return float(p_pool), float(1 - (1 - min(p)) ** len(p))


def family(p: list[list[float]], se: list[list[float]], alpha: float) -> dict[str, Any]:
    found = regression_family(p, se)
    return {
        "p_domain": found.p_domain,
        "p_domain_adj": found.p_domain_adjusted,
        "p_cell_adj": found.p_cell_adjusted,
        "flagged": [each <= alpha for each in found.p_domain_adjusted],
    }


def candidate(gating: list[str], detectors: list[str]) -> dict[str, Any]:
    verdict, exit_code = overall(gating, detectors)
    return {"verdict": verdict, "exit_code": exit_code}


def fixed_exam(
    baseline_correct: list[int], candidate_correct: list[int], k0: int, k1: int, conf: float
) -> dict[str, float]:
    baseline, candidate = (
        [[1.0] * c + [0.0] * (k - c) for c in correct]
        for correct, k in ((baseline_correct, k0), (candidate_correct, k1))
    )
    return fields(designs.fixed_exam(baseline, candidate, conf))


def stratified(strata: list[dict[str, Any]], conf: float) -> dict[str, float]:
    parts = [of_counts(s["gained"], s["lost"], s["n"], conf) for s in strata]
    return fields(designs.stratified(parts, [s["weight"] for s in strata]))


def fields(found: Estimate) -> dict[str, float]:
    names = ("delta", "lower", "upper", "se", "p_regressed")
    return {name: float(getattr(found, name)) for name in names}


def missing(baseline: list[list[Any]], candidate: list[list[Any]]) -> dict[str, float]:
    bounds = missing_bounds(baseline, candidate)
    return {
        "delta": float(bounds.differences.mean()),
        "delta_worst": float(bounds.worst.mean()),
        "delta_best": float(bounds.best.mean()),
        "missing_share": bounds.share,
    }


def mde_regressed(
    se: float, margin: float, cells_in_domain: int, n_domains: int, alpha: float, power_: float
) -> dict[str, float]:
    return {
        "p_first": power.first_step_alpha(cells_in_domain, n_domains, alpha),
        "mde": power.mde_regressed(
            se,
            margin,
            cells_in_domain=cells_in_domain,
            n_domains=n_domains,
            alpha=alpha,
            power=power_,
        ),
    }


def seeds(deltas: list[float], se_items: float, n_items: int, conf: float) -> dict[str, float]:
    found = designs.seeds(deltas, se_items, n_items, conf)
    se, df = designs.seed_variance(deltas, se_items, n_items)
    return {**fields(found), "se": se, "df": df}


def unpaired(acc1: float, acc2: float, n: int) -> dict[str, float]:
    found = designs.unpaired(acc1, acc2, n, n)
    return {"z": -found.delta / found.se, "p": 2 * min(found.p_regressed, found.p_improved)}


def stouffer(p: list[float], weights: list[float]) -> dict[str, float]:
    z, value = oracles.combined(p, "stouffer", weights)
    return {"z": z, "p": value}


def fisher(p: list[float]) -> dict[str, float]:
    chi2, value = oracles.combined(p, "fisher", None)
    return {"chi2": chi2, "p": value}


def miller(
    mde: float, omega2: float, sA2: float, sB2: float, KA: int, KB: int, alpha: float, power: float
) -> dict[str, float]:
    return {"n": oracles.miller_n(omega2 + sA2 / KA + sB2 / KB, mde, alpha, power)}


def length_controlled(preference: list[float], tanh_std_delta_len: list[float]) -> dict[str, float]:
    intercept, slope = oracles.length_controlled(preference, tanh_std_delta_len)
    return {
        "intercept": intercept,
        "slope": slope,
        "lc_winrate": 1 / (1 + float(np.exp(-intercept))),
    }


def eprocess(diffs: list[float], null: float, direction: str, lam: float) -> dict[str, float]:
    assert direction == "regressed"
    found = oracles.wealth(diffs, null, lam)
    return {"wealth": found, "p_anytime": min(1.0, 1 / found)}


def gs_bounds(info: list[float], alpha: float, spending: str) -> dict[str, list[float]]:
    if spending == "lan_demets_pocock":
        return {"z": boundaries.boundaries(info, alpha, oracles.pocock_spending)}
    return {"z": boundaries.boundaries(info, alpha)}


def post_stratified(
    strata: list[dict[str, float]], flip_prior: float, margin: float, n_max: int
) -> dict[str, float]:
    size, seen, total, squares = (
        [s[name] for s in strata] for name in ("N", "n", "sum_d", "sum_d2")
    )
    found = sequential.strata_of(size, seen, total, squares)
    look = sequential.post_stratified(found, n_max, flip_prior)
    return {
        "delta": look.delta,
        "var": look.variance,
        "var_final": look.final_variance,
        "t": look.information,
        "T_margin": look.statistic(-margin),
        "T_zero": look.statistic(0.0),
    }


def bradley_terry(battles: list[tuple[str, str, float, float]], anchor: str) -> dict[str, float]:
    beta = rankings.bradley_terry(battles, anchor)
    return {
        "beta_A": beta["A"],
        "beta_B": beta["B"],
        "winrate_A_vs_C": rankings.win_rate(beta["A"], beta["C"]),
        "elo_A": rankings.elo(beta["A"]),
    }


def change(items: list[list[int]]) -> dict[str, Any]:
    found = change_point(items)
    return {"z": list(found.z), "index": found.index, "delta": found.delta}


ROUTES: dict[str, Callable[..., dict[str, Any]]] = {
    "mcnemar": mcnemar,
    "mcnemar_chi2": oracles.mcnemar_chi2,
    "tango_ci": tango_ci,
    "tango_ci_plain": lambda **given: wilson_keys(intervals.tango_ci(**given, bessel=False)),
    "tango_T": lambda gained, lost, n, D: {
        "T": float(intervals.tango_statistic(gained, lost, n, D, bessel=False))
    },
    "wilson_ci": wilson_ci,
    "clopper_pearson": oracles.clopper_pearson,
    "paired_t": paired_t,
    "tost": oracles.tost,
    "cluster_se": clustered,
    "sign_flip": lambda diffs: {
        "p_less": pvalues.sign_flip(diffs, 8),
        "p_less_scipy": oracles.sign_flip(diffs),
    },
    "cluster_sign_flip": lambda diffs, cluster: {
        "p_less": pvalues.sign_flip(np.bincount(cluster, weights=diffs), 1000)
    },
    "holm": multiple(holm, "holm"),
    "fdr_bh": multiple(benjamini_hochberg, "fdr_bh"),
    "stouffer": stouffer,
    "fisher": fisher,
    "pass_at_k": lambda n, c, k: {"value": float(samples.pass_at_k(n, c, k))},
    "bayes_prob_worse": lambda gained, lost, prior: {
        "p": oracles.probability_worse(gained, lost, prior)
    },
    "mde": lambda sd, n, alpha, power_: {"mde": power.mde(sd, n, alpha, power_)},
    "n_required": lambda disc, margin, alpha, power_: {
        "n": power.n_required(disc, margin, alpha, power_)
    },
    "n_required_miller": miller,
    "verdict_single": verdict_single,
    "length_controlled_winrate_plain": length_controlled,
    "eprocess": eprocess,
    "change_point_known_se": oracles.known_se_change,
    "unpaired_z": unpaired,
    "quasi_tango_ci": quasi_tango,
    "domain": domain,
    "regression_family": family,
    "overall": candidate,
    "fixed_exam": fixed_exam,
    "stratified": stratified,
    "missing_bounds": missing,
    "orient": lambda scores, bounds, higher_is_better: {
        "oriented": scales.orient(scores, (bounds[0], bounds[1]), higher_is_better).tolist()
    },
    "mde_regressed": mde_regressed,
    "seeds": seeds,
    "gs_bounds": gs_bounds,
    "poststratified": post_stratified,
    "bradley_terry": bradley_terry,
    "change_point": change,
}


def wilson_keys(limits: tuple[Any, Any]) -> dict[str, float]:
    return {"lower": float(limits[0]), "upper": float(limits[1])}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_answer_is_that_of_the_independent_routine(case: dict[str, Any]) -> None:
    given = dict(case["input"])
    if "power" in given and case["function"] != "n_required_miller":
        given["power_"] = given.pop("power")
    found = ROUTES[case["function"]](**given)
    for name, expected in case["expected"].items():
        assert_close(found[name], expected, case)


def assert_close(found: Any, expected: Any, case: dict[str, Any]) -> None:
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other, case)
    elif isinstance(expected, str | bool):
        assert found == expected
    else:
        assert found == pytest.approx(expected, rel=case["rtol"], abs=case.get("atol", 1e-9))


def test_no_reference_case_is_left_out() -> None:
    assert len(CASES) == 92
    assert {case["function"] for case in CASES} == set(ROUTES)
