"""Launch a Jupyter workshop on one machine, and leave nothing behind.

Floors, and imports go down only: words (models, errors, protocols) < making (keys, sizing,
render, sheet) < edges (providers, dns, remote, store, settings) and order of events (workflow)
< the human (cli).
"""

__version__ = "0.1.0"
