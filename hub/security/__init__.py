"""Who may speak to the hub."""
