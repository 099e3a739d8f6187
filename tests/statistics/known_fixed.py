"""Known answers of the fixed-horizon and the descriptive methods."""

import math

from modelctl.kinds import fields
from modelctl.statistics import (
    bayes,
    distance,
    drift,
    fixed_horizon,
    losses,
    means,
    multiplicity,
    noise,
    proportions,
    ranks,
    rates,
    score_interval,
)
from modelctl.statistics.difference import Proportion
from modelctl.statistics.moments import Moments, from_shifted_sums, summary
from tests.statistics.known import Answers, answers


@answers("bin-1prop-")
def one_proportion(given: Answers) -> Answers:
    arm = Proportion(given["n"], given["k"])
    return {"wilson": proportions.wilson(arm), "clopper_pearson": proportions.clopper_pearson(arm)}


@answers("bin-2prop-")
def two_proportions(given: Answers) -> Answers:
    arms = two_shares(given)
    wald, pooled = proportions.wald(*arms), proportions.pooled_z(*arms)
    return {
        "diff": wald.estimate,
        "z_pooled": pooled.z,
        "p_pooled_two_sided": pooled.p,
        "se_unpooled": wald.se,
        "wald_ci": (wald.lower, wald.upper),
        "newcombe_ci": proportions.newcombe(*arms),
        "miettinen_nurminen_ci": score_interval.as_statsmodels(*arms) or score_interval.miettinen_nurminen(*arms),
    }


@answers("bin-rr-")
def risk_ratio(given: Answers) -> Answers:
    arms = two_shares(given)
    found, exact = proportions.risk_ratio(*arms), proportions.fisher(*arms)
    return {
        "risk_ratio": found.ratio,
        "katz_ci": (found.lower, found.upper),
        "fisher_p_two_sided": exact.p,
        "fisher_p_b_greater": exact.p_candidate_greater,
    }


def two_shares(given: Answers) -> tuple[Proportion, Proportion]:
    return Proportion(given["n_a"], given["x_a"]), Proportion(given["n_b"], given["x_b"])


@answers("cont-agg-")
def welch_from_sums(given: Answers) -> Answers:
    return effect(means.welch(*two_sums(given)))


@answers("cont-agg-2")
def relative_uplift(given: Answers) -> Answers:
    return effect(means.uplift(*two_sums(given)))


def two_sums(given: Answers) -> tuple[Moments, Moments]:
    a, b = (from_shifted_sums(given[f"n_{arm}"], given[f"sum_{arm}"], s2=given[f"sumsq_{arm}"], pivot=0.0) for arm in "ab")
    return a, b


def effect(found: fixed_horizon.FixedHorizon) -> Answers:
    return {"expected": found.estimate, "ci": (found.lower, found.upper), "p": found.p, "se": found.se}


@answers("cont-welch-")
def welch_from_rows(given: Answers) -> Answers:
    a, b = two_samples(given)
    found = means.welch(a, b)
    ci = (found.lower, found.upper)
    return {
        "diff": found.estimate,
        "t": found.statistic,
        "df": found.df,
        "p": found.p,
        "ci": ci,
        "var_a": a.variance,
        "var_b": b.variance,
    }


def two_samples(given: Answers) -> tuple[Moments, Moments]:
    return summary(given["a"]), summary(given["b"])


@answers("pair-cont-")
def paired_values(given: Answers) -> Answers:
    d = ranks.differences(given["a"], given["b"])
    moments = summary(d)
    t, pratt, signs = means.paired_t(moments), ranks.signed_ranks(d), ranks.sign_test(d)
    wilcox = ranks.signed_ranks(d, zeros=ranks.ZeroRule.WILCOX)
    return {
        "mean_diff": t.estimate,
        "sd_diff": None if moments.variance is None else math.sqrt(moments.variance),
        "t": t.statistic,
        "p": t.p,
        "ci": (t.lower, t.upper),
        "wilcoxon_W": wilcox.w,
        "wilcoxon_p_normal": wilcox.p,
        "pratt_p_normal": pratt.p,
        "sign_n_pos": signs.n_positive,
        "sign_n_neg": signs.n_negative,
        "sign_p_exact": signs.p,
    }


@answers("equiv-tost-1")
def equivalence_of_pairs(given: Answers) -> Answers:
    return two_one_sided(means.paired_t(summary(ranks.differences(given["a"], given["b"]))), given)


@answers("equiv-tost-3")
def equivalence_of_means(given: Answers) -> Answers:
    return two_one_sided(means.welch(*two_samples(given)), given)


def two_one_sided(found: fixed_horizon.FixedHorizon, given: Answers) -> Answers:
    tests = fixed_horizon.equivalence(found, low=given["low"], high=given["high"])
    return {
        "p_equiv": tests.p,
        "t_lower": tests.t_lower,
        "p_lower": tests.p_lower,
        "t_upper": tests.t_upper,
        "p_upper": tests.p_upper,
    }


@answers("rank-mw-")
def mann_whitney(given: Answers) -> Answers:
    found = ranks.mann_whitney(given["a"], given["b"])
    return {"U_b": found.u, "p": found.p, "auc_b_gt_a": found.auc, "hodges_lehmann": found.shift}


@answers("ratio-fieller-")
def relative_margin(given: Answers) -> Answers:
    a, b = (Moments(given[f"n_{arm}"], given[f"mean_{arm}"], given[f"var_{arm}"] * (given[f"n_{arm}"] - 1)) for arm in "ab")
    ratio, margin = means.fieller(a, b), means.contrast(a, b, delta=given["delta"])
    return {
        "ratio": ratio.ratio,
        "fieller_ci": (ratio.lower, ratio.upper),
        "bounded": ratio.bounded,
        "theta": margin.theta,
        "se": margin.se,
        "z": margin.z,
        "p_one_sided_theta_less_0": margin.p_below,
    }


@answers("mult-e-")
def many_e_values(given: Answers) -> Answers:
    log_e = [math.log(e) if e else -math.inf for e in given["e"]]
    rejected = multiplicity.e_bh(log_e, alpha=given["alpha"])
    return {"n_reject": len(rejected), "rejected": rejected, "average_e": math.exp(multiplicity.mean_log_e(log_e))}


@answers("mult-p-")
def many_p_values(given: Answers) -> Answers:
    p = given["p"]
    return {
        "bonferroni": multiplicity.bonferroni(p),
        "holm": multiplicity.holm(p),
        "fdr_bh": multiplicity.benjamini_hochberg(p),
        "fdr_by": multiplicity.benjamini_yekutieli(p),
    }


@answers("drift-")
def drift_of_bins(given: Answers) -> Answers:
    a, b = given["a"], given["b"]
    together = drift.association(a, b)
    return {
        "psi": drift.psi(a, b),
        "js_divergence_bits": drift.jensen_shannon(a, b),
        "chi2": together.chi2,
        "chi2_p": together.chi2_p,
        "g": together.g,
        "g_p": together.g_p,
        "cramers_v": together.cramers_v,
        "tv": drift.total_variation(a, b),
    }


@answers("drift-ks-")
def drift_of_values(given: Answers) -> Answers:
    found = distance.kolmogorov_smirnov(given["a"], given["b"])
    return {"D": found.d, "p_exact": found.p, "wasserstein": distance.wasserstein(given["a"], given["b"])}


@answers("count-")
def poisson_rates(given: Answers) -> Answers:
    baseline, candidate = (rates.Events(given[f"k_{arm}"], given[f"e_{arm}"]) for arm in "ab")
    found = rates.rate_ratio(baseline, candidate)
    return {
        "rate_ratio": found.ratio,
        "p_cond_two_sided": found.p,
        "p_b_greater": found.p_candidate_greater,
        "ci": (found.lower, found.upper),
    }


@answers("loss-")
def loss_difference(given: Answers) -> Answers:
    by_loss = {}
    for name, loss in (("logloss", losses.log_loss), ("brier", losses.brier)):
        a, b = ([loss(y, p) for y, p in zip(given["y"], given[f"p_{arm}"], strict=True)] for arm in "ab")
        by_loss[name] = losses.compare(a, b)
    found = by_loss["logloss"].difference
    means_a = {f"{name}_a": both.baseline for name, both in by_loss.items()}
    means_b = {f"{name}_b": both.candidate for name, both in by_loss.items()}
    return {**means_a, **means_b, "diff": found.estimate, "se": found.se, "t": found.statistic, "p": found.p}


@answers("noise-")
def noise_floor(given: Answers) -> Answers:
    counts = noise.FieldCounts(total=given["total"], raw=given["raw"], noise=given["noise"], both=given["both"])
    return {
        "relative_pct": counts.relative_percent,
        "absolute_pct": counts.absolute_percent,
        "flag_diffy": counts.flagged_by_diffy,
        "discordant": counts.discordant,
        "excess": counts.excess,
        "log_e": noise.excess(counts, kappa=given["kappa"]).log_e,
    }


@answers("json-")
def fields_of_json(given: Answers) -> Answers:
    tolerance = fields.Tolerance(relative=given["rtol"], absolute=given["atol"])
    classes = fields.compared(given["A"], given["B"], tolerance=tolerance)
    equal = sum(kind is fields.FieldClass.EQUAL for kind in classes.values())
    return {"fields": classes, "n_equal": equal, "n_fields": len(classes), "exact_match": fields.exact_match(classes)}


@answers("bayes-1")
def normal_posterior(given: Answers) -> Answers:
    effect = proportions.wald(*two_shares(given))
    assert effect.estimate is not None
    prior = bayes.NormalPrior(given["prior_mean"], given["prior_var"])
    found = bayes.effect_posterior(effect.estimate, effect.se or 0.0, prior=prior)
    return {
        "chance_to_win": found.chance_to_win,
        "expected": found.mean,
        "ci": (found.lower, found.upper),
        "risk": (found.risk_staying, found.risk_switching),
    }


@answers("bayes-3")
def chance_of_a_higher_share(given: Answers) -> Answers:
    return {"p_b_gt_a": bayes.chance_higher(*two_shares(given))}
