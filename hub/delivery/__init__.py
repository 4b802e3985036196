"""The way out: what is due is claimed, sent, judged and settled."""
