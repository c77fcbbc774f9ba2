"""The use cases: what the API, the console and the commands ask for, on top of the store."""
