"""Answers to the known cases of sequential boundaries, of designs with clusters or covariates, and of plans."""

import math

from modelctl.statistics import boundaries as curves
from modelctl.statistics import bounded, cuped, dkw, equal_quantiles, forecast, group_sequential, sample_size, triggered, tuning
from modelctl.statistics import clustered_quantile as quantile
from modelctl.statistics import clusters as cluster
from modelctl.statistics.comparison import anytime_p
from modelctl.statistics.designs import Means, PairedMeans
from modelctl.statistics.estimate import Estimate
from modelctl.statistics.sample_size import Target
from tests.statistics.known import Answers, answers


@answers("clus-delta-")
def clustered_ratio(given: Answers) -> Answers:
    arm = cluster.summarise(list(zip(given["S"], given["N"], strict=True)))
    return {
        "ratio": arm.ratio,
        "cluster_var_per_unit": arm.variance,
        "se": cluster.standard_error(arm),
        "naive_iid_se": cluster.iid_standard_error(arm),
        "design_effect": cluster.design_effect(arm),
    }


@answers("cuped-")
def adjusted_difference(given: Answers) -> Answers:
    arms = [joint(given[f"y_{arm}"], given[f"x_{arm}"]) for arm in "ab"]
    theta = cuped.slope([cuped.JointStage(*arms)])
    a, b = (cuped.adjusted(arm, theta) for arm in arms)
    assert a.variance is not None
    assert b.variance is not None
    return {
        "theta": theta,
        "adj_diff": cuped.estimate([cuped.JointStage(*arms)]).value,
        "var_a": a.variance,
        "var_b": b.variance,
        "se": math.sqrt(a.variance / a.n + b.variance / b.n),
    }


def joint(y: list[float], x: list[float]) -> cuped.Joint:
    """From the values of one arm, through the sums that a rollup holds."""
    pairs = [(one - y[0], other - x[0]) for one, other in zip(y, x, strict=True)]
    sums = cuped.JointSums(
        n=len(pairs),
        y=math.fsum(one for one, _ in pairs),
        x=math.fsum(other for _, other in pairs),
        yy=math.fsum(one * one for one, _ in pairs),
        xx=math.fsum(other * other for _, other in pairs),
        xy=math.fsum(one * other for one, other in pairs),
        pivot_y=y[0],
        pivot_x=x[0],
    )
    return cuped.from_sums(sums)


@answers("trigger-")
def diluted_effect(given: Answers) -> Answers:
    seen = Estimate(value=given["m_t"], se=given["s_t"], n=given["n_t"])
    found = triggered.dilute(seen, triggered.Trigger(given["n_t"], given["n"]))
    assert found.value is not None
    return {"effect_all": found.value, "se_all_given_trigger": found.se, "z": found.value / found.se}


@answers("gst-")
def spent_boundaries(given: Answers) -> Answers:
    spending = group_sequential.Spending(alpha=given["alpha"], sides=given["sides"], power=given["phi"])
    return {"z": group_sequential.boundaries(given["t"], spending)}


@answers("plan-")
def plan_of_a_rate(given: Answers) -> Answers:
    if "p" not in given:
        return plan_of_a_mean(given)
    target, delta, share = Target(alpha=given["alpha"], power=given["power"]), given["delta"], given["f"]
    spread = [sample_size.bernoulli(rate) for rate in (given["p"], given["p"] + delta)]
    variance = sample_size.two_arms(spread[0], spread[1], share=share)
    fixed, watched = sample_size.fixed(variance, delta, target=target), sample_size.marginal(variance, delta, target=target)
    se = sample_size.tuned_se(delta, target)
    return {
        "n_total_fixed": fixed,
        "n_total_spotify": sample_size.rounded_per_arm(fixed, share),
        "n_total_anytime": watched,
        "seconds_anytime": watched / given["rate"],
        "se_opt": se,
        "tau2": tuning.mixing_sd_at(se, alpha=given["alpha"]) ** 2,
    }


def plan_of_a_mean(given: Answers) -> Answers:
    """Non-inferiority of a mean: one-sided, unpaired and on pairs. The name of the second number has the correlation in it."""
    target = Target(alpha=given["alpha"], power=given["power"], sides=1)
    unpaired = Means(baseline_sd=given["sd"], candidate_sd=given["sd"], share=given["f"], margin=given["margin"])
    sd = math.sqrt(sample_size.paired_variance(given["sd"], correlation=given["rho"]))
    pairs = forecast.forecast(PairedMeans(sd=sd, margin=given["margin"]), target).n_fixed
    return {
        "n_total": forecast.forecast(unpaired, target).n_fixed,
        f"n_pairs_shadow_rho{given['rho']:g}".replace(".", ""): pairs,
    }


@answers("q-dlt-")
def error_of_a_quantile(given: Answers) -> Answers:
    if "n_clusters" in given:
        return clustered_quantile(given)
    found = quantile.independent(quantile_interval(given))
    return {"variance": found.variance, "se": found.se}


def clustered_quantile(given: Answers) -> Answers:
    below = cluster.Clusters(
        units=given["n_clusters"],
        s=given["main_sum"],
        n=given["denominator_sum"],
        ss=given["main_sum_squares"],
        nn=given["denominator_sum_squares"],
        sn=given["main_denominator_sum_product"],
    )
    found = quantile.clustered(quantile_interval(given), below)
    return {"variance": found.variance, "se": found.se, "deff": found.design_effect}


def quantile_interval(given: Answers) -> quantile.QuantileInterval:
    return quantile.QuantileInterval(
        q=given["nu"], n=given["n"], n_star=given["n_star"], lower=given["quantile_lower"], upper=given["quantile_upper"]
    )


@answers("seq-bounds-")
def uniform_boundaries(given: Answers) -> Answers:
    v, alpha, c, g, h = (given[name] for name in ("v", "alpha", "c", "g", "h"))
    one, two = (curves.rho_at(given["v_opt"], sides=sides) for sides in (1, 2))
    return {
        "two_sided_normal_bound": curves.two_sided_normal_bound(v, rho=two, alpha=alpha),
        "one_sided_normal_bound": curves.one_sided_normal_bound(v, rho=one, alpha=alpha),
        "gamma_exponential_bound": curves.gamma_exponential_bound(v, rho=one, scale=c, alpha=alpha),
        "gamma_poisson_bound": curves.gamma_poisson_bound(v, rho=one, scale=c, alpha=alpha),
        "beta_binomial_two_sided_bound": curves.beta_binomial_bound(v, rho=two, g=g, h=h, sides=2, alpha=alpha),
        "beta_binomial_one_sided_bound": curves.beta_binomial_bound(v, rho=one, g=g, h=h, sides=1, alpha=alpha),
        "poly_stitching_bound": curves.stitched_bound(v, v_min=given["v_opt"] / 10, scale=c, alpha=alpha),
    }


@answers("seq-dkw-")
def band_widths(given: Answers) -> Answers:
    return {
        "C": dkw.constant(given["alpha"]),
        "bound": dkw.half_width(given["t"], alpha=given["alpha"], t_min=given["t_min"]),
        "dkw_fixed_n": dkw.fixed_half_width(given["t"], alpha=given["alpha"]),
    }


@answers("seq-eb-")
def empirical_bernstein(given: Answers) -> Answers:
    lower, upper = bounded.empirical_bernstein(given["x"], alpha=given["alpha"])
    tenth = min(10, len(lower)) - 1
    return {"lower": lower[-1], "upper": upper[-1], "lower_at_10": lower[tenth], "upper_at_10": upper[tenth]}


@answers("seq-bet-")
def hedged_martingale(given: Answers) -> Answers:
    return {"mart": math.exp(bounded.log_wealth(given["x"], given["m"], alpha=given["alpha"])[-1])}


@answers("seq-qab-")
def equal_quantiles_p(given: Answers) -> Answers:
    low = {float(value): 1 for value in range(1, given["n"] + 1)}
    high = {value + given["offset"]: 1 for value in low}
    kappa = tuning.concentration(given["t_opt"])
    return {"p": anytime_p(equal_quantiles.log_e(low, high, q=given["p"], kappa=kappa))}
