"""The words of the standard and what follows from them. Pure: no I/O, no clock, no chance."""
