"""Updates as they would go: the real engine on a cluster in memory, in virtual time."""
