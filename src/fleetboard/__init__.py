"""The embedded target: a small fleet application in production shape, on loopback, with faults on demand."""
