"""What the controller says of a Rollout: phase, conditions, duration, waiting, history."""
