"""Metric providers: they ask and answer, and judge nothing."""
