"""Every method against numbers made by other software or by hand; each case carries its definition and its source."""

import math

import numpy as np
import pytest
from scipy.special import ndtri

from modelctl.latency import bucket_index, growth
from modelctl.statistics import (
    agreement,
    arm_given_event,
    coin,
    difference,
    grid_betting,
    moments,
    normal_mixture,
    paired,
    quantiles,
    sample_ratio,
    tuning,
    verdict,
)
from modelctl.statistics.comparison import anytime_p
from modelctl.statistics.difference import Proportion, ProportionStage
from tests.statistics import known_fixed, known_sequential  # noqa: F401  they register their answers
from tests.statistics.known import CASES, Answers, answers, differences, method_of


@answers("seq-acs-")
def normal_mixture_interval(given: Answers) -> Answers:
    tau = tuning.mixing_sd_at(given["se_opt"], alpha=given["alpha"])
    half = float(normal_mixture.half_width(given["se"], tau=tau, alpha=given["alpha"]))
    log_e = float(normal_mixture.log_e(given["est"], given["se"], tau=tau, null=given["theta0"]))
    ci = [given["est"] - half, given["est"] + half]
    return {"tau2": tau**2, "half": half, "ci": ci, "log_e": log_e, "p_anytime": anytime_p(log_e)}


@answers("seq-gb-")
def growthbook_clock(given: Answers) -> Answers:
    arms = [moments.from_shifted_sums(given[f"n_{arm}"], given[f"sum_{arm}"], s2=given[f"sumsq_{arm}"], pivot=0.0) for arm in "ab"]
    n_a, n_b = (np.array(float(arm.n)) for arm in arms)
    m2_a, m2_b = (np.array(arm.m2) for arm in arms)
    gap = arms[1].mean - arms[0].mean
    welch, _ = difference.mean_variances(n_a, n_b, m2_a=m2_a, m2_b=m2_b, gap=np.array(gap))
    se = math.sqrt(float(welch))
    tau = tuning.mixing_sd_at(se * math.sqrt(float(n_a + n_b) / given["n_star"]), alpha=given["alpha"])
    result = normal_mixture.compare(gap, se, n=arms[0].n + arms[1].n, tau=tau, alpha=given["alpha"])
    ci = [result.lower, result.upper]
    return {"expected": result.estimate, "se": se, "ci": ci, "p": result.p, "equiv_tau2": tau**2}


@answers("seq-tune-")
def tuning_constants(given: Answers) -> Answers:
    alpha = given["alpha"]
    return {
        "kappa_for_n_opt_100": tuning.concentration(100, alpha=alpha),
        "kappa_for_n_opt_10000": tuning.concentration(10_000, alpha=alpha),
        "L": tuning.tuning_constant(alpha),
        "half_over_se_at_optimum": normal_mixture.half_width(1.0, tau=tuning.mixing_sd_at(1.0, alpha=alpha), alpha=alpha),
        "fixed_z": ndtri(1 - alpha / 2),
    }


@answers("seq-semax-")
def decision_interval(given: Answers) -> Answers:
    n_a, n_b, k_a, k_b = (np.array(float(given[name])) for name in ("n_a", "n_b", "x_a", "x_b"))
    unpooled, pooled = difference.proportion_variances(n_a, n_b, k_a=k_a, k_b=k_b)
    se = math.sqrt(max(float(unpooled), float(pooled)))
    stage = ProportionStage(Proportion(given["n_a"], given["x_a"]), Proportion(given["n_b"], given["x_b"]))
    tau = tuning.mixing_sd_at(given["se_opt"], alpha=given["alpha"])
    result = difference.compare_proportions([stage], tau=tau, alpha=given["alpha"])
    return {
        "se_unpooled": math.sqrt(float(unpooled)),
        "se_pooled": math.sqrt(float(pooled)),
        "se": se,
        "expected_events_smaller_arm": difference.expected_events(n_a, n_b, k_a=k_a, k_b=k_b),
        "gate_ok": result.usable,
        "ci": [result.lower, result.upper],
    }


@answers("seq-bern-")
def bernoulli_interval(given: Answers) -> Answers:
    kappa = tuning.concentration(given["n_opt"])
    lower, upper = coin.interval(given["k"], given["n"], alpha=given["alpha"], kappa=kappa)
    return {"lower": lower, "upper": upper}


@answers("seq-coin-")
def coin_evidence(given: Answers) -> Answers:
    log_e = float(coin.log_e(given["k"], given["n"], p0=given["p0"], kappa=given["kappa"]))
    return {"log_e": log_e, "p_anytime": anytime_p(log_e)}


@answers("seq-tri-")
def bets_on_pairs(given: Answers) -> Answers:
    counts = (given["n_pos"], given["n_zero"], given["n_neg"])
    result = grid_betting.compare(counts[0], counts[1], n_neg=counts[2], alpha=given["alpha"])
    return {
        "log_e_up": grid_betting.log_e_up(counts[0], counts[1], n_neg=counts[2], theta0=given["theta0"]),
        "log_e_dn": grid_betting.log_e_down(counts[0], counts[1], n_neg=counts[2], theta0=given["theta0"]),
        "cs": [result.lower, result.upper],
        "mean": result.estimate,
    }


@answers("seq-rr-")
def rate_ratio(given: Answers) -> Answers:
    stages = [arm_given_event.EventStage(k, n, share) for k, n, share in zip(given["k"], given["n"], given["pi"], strict=True)]
    result = arm_given_event.compare(stages, alpha=given["alpha"])
    return {"log_e_psi1": result.log_e, "psi_hat": result.estimate, "cs": [result.lower, result.upper]}


@answers("strat-")
def stratified_difference(given: Answers) -> Answers:
    stages = [ProportionStage(Proportion(n_a, x_a), Proportion(n_b, x_b)) for n_a, n_b, x_a, x_b in given["stages"]]
    result = difference.compare_proportions(stages, tau=0.001, alpha=0.05)
    columns = np.array(given["stages"], dtype=float).T
    n_a, n_b, x_a, x_b = columns
    variances = np.maximum(*difference.proportion_variances(n_a, n_b, k_a=x_a, k_b=x_b))
    _, se = difference.stratify(x_b / n_b - x_a / n_a, variances, weights=difference.overlap(n_a, n_b))
    n_a, n_b, x_a, x_b = columns.sum(axis=1)
    return {"stratified_diff": result.estimate, "se": se, "pooled_diff_WRONG": x_b / n_b - x_a / n_a}


@answers("srm-chi2-")
def split_chi_square(given: Answers) -> Answers:
    statistic, p = sample_ratio.chi_square(given["counts"], given["weights"])
    return {"chi2": statistic, "p": p}


@answers("srm-seq-")
def split_evidence(given: Answers) -> Answers:
    looks = np.cumsum(given["batches"], axis=0)
    stages = [sample_ratio.ShareStage(tuple(int(count) for count in look), tuple(given["pi"])) for look in looks]
    log_e = [sample_ratio.compare([stage], kappa=given["kappa"]).log_e for stage in stages]
    return {"log_e": log_e[-1], "p_running_min": min(anytime_p(value) for value in log_e)}


@answers("num-merge-")
def merged_parts(given: Answers) -> Answers:
    whole = moments.merge_all(summarise(part, pivot=2.0) for part in given["parts"])
    return {"n": whole.n, "mean": whole.mean, "M2": whole.m2, "var": whole.variance}


@answers("num-offset-")
def offset_values(given: Answers) -> Answers:
    x = given["x"]
    whole = summarise(x, pivot=x[0])
    split = moments.merge(summarise(x[:1], pivot=x[0]), summarise(x[1:], pivot=x[0]))
    assert split.variance == pytest.approx(whole.variance, rel=1e-12)
    return {"mean": whole.mean, "var": whole.variance}


@answers("q-dds-")
def log_buckets(given: Answers) -> Answers:
    indices = [bucket_index(x, given["a"]) for x in given["x"]]
    histogram = quantiles.Histogram({index: indices.count(index) for index in indices}, accuracy=given["a"])
    found = {f"q{q}": quantiles.quantile(histogram, q) for q in given["q"]}
    return {"gamma": growth(given["a"]), "indices": indices, **found}


@answers("q-os-")
def order_statistics(given: Answers) -> Answers:
    low, high = quantiles.order_statistic_ranks(given["n"], given["p"])
    return {"rank_low": "nan" if low is None else low, "rank_high": "nan" if high is None else high}


@answers("cat-kappa-")
def kappa(given: Answers) -> Answers:
    found = agreement.cohen_kappa(given["table"], weights=agreement.Weights(given.get("weights", "none")))
    ci = [found.lower, found.upper]
    return {"kappa": found.kappa, "se": found.se, "se_null": found.se_null, "ci": ci, "po": found.share}


@answers("cat-margin-")
def label_shift(given: Answers) -> Answers:
    bowker, stuart_maxwell = agreement.bowker(given["table"]), agreement.stuart_maxwell(given["table"])
    return {
        "bowker_stat": bowker.statistic,
        "bowker_df": bowker.df,
        "bowker_p": bowker.p,
        "stuart_maxwell_stat": stuart_maxwell.statistic,
        "stuart_maxwell_df": stuart_maxwell.df,
        "stuart_maxwell_p": stuart_maxwell.p,
    }


@answers("pair-bin-")
def mcnemar(given: Answers) -> Answers:
    found = paired.mcnemar(given["n11"], given["n10"], candidate_only=given["n01"], neither=given["n00"])
    return {
        "delta_b_minus_a": found.delta,
        "se": found.se,
        "exact_p": found.exact_p,
        "mid_p": found.mid_p,
        "chi2_cc": found.chi2_corrected,
        "chi2_cc_p": found.chi2_corrected_p,
        "chi2": found.chi2,
        "chi2_p": found.chi2_p,
    }


@answers("pair-ba-")
def bland_altman(given: Answers) -> Answers:
    differences = [b - a for a, b in zip(given["a"], given["b"], strict=True)]
    d, a, b = (summarise(values, pivot=values[0]) for values in (differences, given["a"], given["b"]))
    found, together = paired.bland_altman(d), paired.concordance(a, b, differences=d)
    return {
        "bias": found.bias,
        "sd": found.sd,
        "loa": found.limits,
        "bias_ci": found.bias_interval,
        "loa_lower_ci": found.lower_limit_interval,
        "loa_upper_ci": found.upper_limit_interval,
        "pearson_r": together.pearson,
        "lin_ccc": together.lin,
    }


@answers("verdict-")
def decision(given: Answers) -> Answers:
    sample = verdict.Sample(n=given["n"], min_n=given["min_n"], max_n=given["max_n"], log_e_srm=given["log_e_srm"])
    criteria = [criterion(metric) for metric in given["metrics"]]
    return {"verdict": verdict.decide(criteria, sample, mode=verdict.Mode(given["mode"])).word.upper()}


def criterion(metric: Answers) -> verdict.Criterion:
    role = verdict.Role(metric["role"])
    if metric["cs"] is None:
        return verdict.Criterion(name=metric["name"], role=role, margin=metric["margin"], has_data=False)
    low, high = metric["cs"]
    lower, upper = (-high, -low) if metric["higher_is_better"] else (low, high)
    return verdict.Criterion(name=metric["name"], role=role, margin=metric["margin"], lower=lower, upper=upper)


def summarise(values: list[float], *, pivot: float) -> moments.Moments:
    shifted = [value - pivot for value in values]
    return moments.from_shifted_sums(len(shifted), math.fsum(shifted), s2=math.fsum(x * x for x in shifted), pivot=pivot)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_method_gives_the_known_answer(case: Answers) -> None:
    got = method_of(case["id"])(case["inputs"])
    assert differences(got, case) == {}
