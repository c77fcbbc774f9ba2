"""The database: the queue and the truth. Two engines, one schema, one SQL text (docs/architecture.md)."""
