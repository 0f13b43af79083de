"""What Kubernetes computes, in Python: quantities, hashes, pod templates. Pure."""
