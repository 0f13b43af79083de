"""The command line: names, arguments and help of each command."""
