"""The only rooms that know Redis: keys, scripts, and the calls around them.

Every step that must not be half done is one script in ``lua/``; each is safe to run twice, stays in one hash slot and
uses the clock of Redis. Deciding happens elsewhere: scripts are told what to write and check that they still may.
"""
