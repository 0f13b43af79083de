"""The pure core of the rollout-controller: observed snapshot in, plan out.

Nothing here reads a clock, logs, draws a number or does I/O. `decide` is called by the
reconciler, the simulator and `headrace plan` alike.
"""
