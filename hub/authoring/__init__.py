"""The desk of those who write topics: files in, findings out. Needs no hub, no network and no Redis."""
