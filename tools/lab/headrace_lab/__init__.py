"""The lab: the real parts on loopback, started, broken and stopped by tests and demos."""
