"""What travels on the bus: envelope, topics, and the catalogue of event types. Pure.

Modules build on each other in this order: `topics` and `payload`; the payloads by producing
service (`rollout`, `traffic`, `analysis`, `commands`); `catalog`; `envelope`; `outbox`.
"""
