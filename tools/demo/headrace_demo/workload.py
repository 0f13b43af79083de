"""How the versions of the application behave: what decides the outcome of the demo.

As the sample application does (`examples/sample-app`): `bad` fails three of ten requests, every
other version is good, which is not perfect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Workload = Mapping[str, float]
"""Ratio of requests that a version answers with a 500, 0 to 1; `GOOD` for one not in it."""

GOOD: Final = 0.002
BAD: Final = 0.3

EXAMPLE: Final[Workload] = {"v1": GOOD, "v2": GOOD, "bad": BAD}
