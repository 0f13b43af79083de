"""Rules that a Rollout must satisfy before anything else is looked at (rollout-api 4)."""
