"""Architectures as data: a typed genome, the model it describes, and operators that change both."""
