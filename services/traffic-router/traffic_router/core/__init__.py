"""The router's decisions, without I/O: which object gets which route, and what is said about it."""
