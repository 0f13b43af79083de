"""The command line of Headrace: `headrace` and `kubectl headrace`."""
