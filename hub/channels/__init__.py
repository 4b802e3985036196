"""The ways out: one file per channel type, each (channel, bytes) → Outcome, and the sender of HTTP they stand on."""
