"""Servers that the tests of delivery start, fault and read back. One file a server; each is a context manager.

Every server answers on loopback once `with` has been entered, at a port that stays its own over `kill()` and
`restart()`, keeps its data in a temporary folder that goes with it, and gives back what arrived through a client that
is not the daemon's library. A program of its own (`process.Program`) is killed by SIGKILL; a server in Python threads
(`service.Service`) does what the kernel does to the connections of a killed process, and keeps what it has recorded.
"""
