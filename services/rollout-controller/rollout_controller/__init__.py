"""The rollout-controller: decides each step of a rollout, and asks the others to carry it out."""
