"""What is stored, read back into words: definitions and events. Both journeys, in and out, ask here."""
