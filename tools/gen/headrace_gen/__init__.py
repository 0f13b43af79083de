"""Generators of CRDs, schemas and reference documents: `python -m headrace_gen`."""
