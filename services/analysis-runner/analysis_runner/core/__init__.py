"""Pure decisions of the analysis-runner: no clock, no I/O, no logging."""
