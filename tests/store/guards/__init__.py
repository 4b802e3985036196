"""The guards of the store, each with what must hold because of it. ``table.py`` is the one list of them."""
