"""Probes look at a target and return frozen facts.

A probe never asserts, never imports pytest or settings, and none imports another.
"""
