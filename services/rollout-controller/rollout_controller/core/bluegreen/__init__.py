"""The blue-green strategy, one module per chapter of its specification."""
