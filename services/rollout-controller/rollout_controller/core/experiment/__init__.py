"""The pure core of Experiments, beside that of Rollouts: what to run, to judge and to end."""
