"""The application's source as its team sees it: what the target puts under version control when it starts.

Nothing here is imported by the target itself; the files are copied into a repository of their own.
"""
