"""Benchmarks of `cooee serve`, run with `python -m bench`.

A conductor starts every peer as a process of its own (simulated SMSC, load generator, server, PostgreSQL), all
on loopback and in a folder of their own, and ends them by their process ids. docs/benchmarks.md says what is
measured.
"""
