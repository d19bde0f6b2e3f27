"""The order of events. Knows protocols only; what stands behind them is wired in cli/."""
