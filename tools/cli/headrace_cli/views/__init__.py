"""What is shown: pure functions from objects to lines."""
