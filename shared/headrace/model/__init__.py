"""The kinds of `argoproj.io/v1alpha1` and the scalars they are made of. Pure."""
