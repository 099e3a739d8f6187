"""The maths of comparing two arms: counts and sums in, always-valid intervals and verdicts out.

Laws of this package:

- Functions take counts or mergeable sums, never rows, so they read rollups and cost the same at any traffic.
- An interval is a confidence sequence: it may be looked at after every request and still misses at most `alpha` of the time.
- Evidence is carried as log E. It is exponentiated in one place only, `comparison.anytime_p`, where it cannot overflow.
- No NaN leaves the package. What cannot be computed is a `State` with a reason, and its interval is the whole line.
- Effects are candidate minus baseline, or candidate over baseline for ratios.
"""
