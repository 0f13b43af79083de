"""The deterministic simulator: whole releases in virtual time, with faults, from one seed."""
