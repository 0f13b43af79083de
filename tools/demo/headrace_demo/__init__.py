"""The main job, shown in one process on memory ports, or on the lab with true requests."""
