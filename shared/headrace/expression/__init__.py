"""The condition language of analysis metrics (analysis 6), without any I/O.

An expression text travels through these stages, one module each:

``lexer`` → ``parser`` (tree of ``syntax`` nodes) → ``checker`` (static types) → ``rewrites``
(the rewriting that can be observed) → ``compiler`` (closures) → ``program`` (evaluation).

``conditions`` is the entry for the analysis judge and for the times of range queries. The values
that conditions see are described in ``values``. Expressions come from users who are not trusted:
``limits`` says what one of them may cost, and every failure is an ``errors.ExpressionError``.
"""
