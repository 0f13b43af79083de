"""The canary strategy, one module per chapter of its specification."""
