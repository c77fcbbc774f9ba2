"""A long fault storm on real processes, and the books held against each other afterwards: `python -m soak`.

A run is a seed: the same seed makes the same faults at the same times, and the same clients (docs/reliability.md).
Needs the development requirements; nothing here is part of the installed package.
"""
