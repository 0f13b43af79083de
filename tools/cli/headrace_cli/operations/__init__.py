"""What commands do: requests to the cluster or the bus, output to the terminal."""
