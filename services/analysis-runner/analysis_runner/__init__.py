"""The analysis-runner: measures what AnalysisRuns ask for, and judges it."""
