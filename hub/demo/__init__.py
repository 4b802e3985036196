"""``hub demo``: a hub, a receiver and a synthetic hospital tell a story, and every step is checked."""
