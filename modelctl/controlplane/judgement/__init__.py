"""From sums to a word: what the evidence says about every candidate, read from left to right. Pure but for `inquiry`."""
