"""The shells of the Experiment core: snapshot, effects, wake-ups, and their composition."""
