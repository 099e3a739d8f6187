"""From a word to the next move: the rules, what bars a raise, and what is watched and swept away. Reads; `acting` moves."""
