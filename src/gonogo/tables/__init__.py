"""The tables of a target in launch.toml: one module a domain, with its bounds.

Every default bound is the playbook's.
"""
