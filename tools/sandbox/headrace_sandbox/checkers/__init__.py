"""What must hold in the whole world: safety at every step, liveness after the storm."""
