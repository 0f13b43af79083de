"""The traffic-router: writes the routes that the rollout-controller asks for, and nothing else."""
