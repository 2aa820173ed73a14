"""Tests of the rules by themselves: no MongoDB, no stand-in, no socket, no thread."""
