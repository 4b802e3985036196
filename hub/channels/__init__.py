"""The ways out: one file per channel type, each (channel, dispatch) → Outcome, and what they send by: HTTP and SMTP."""
