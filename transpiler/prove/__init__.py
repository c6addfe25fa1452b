"""Proves rules: every example is built in torch, ported, and compared with what Keras computes."""
