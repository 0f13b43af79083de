"""Headrace: progressive delivery for Kubernetes fleets as event-driven services.

What all services share. `model`, `events`, `routes`, `expression` and `kubernetes` are pure;
`runtime` holds the asynchronous ports and their adapters.
"""

__version__ = "0.1.0"
