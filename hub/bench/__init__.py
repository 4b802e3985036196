"""``hub bench``: the project's own reproducible benchmark, with receivers, load and baselines of its own.

Every part runs as a process of its own and is spoken to in JSON lines, so that its processor time can be told apart.
Nothing here is imported by the server, and nothing of the server is imported here but what starts it as a process.
"""
