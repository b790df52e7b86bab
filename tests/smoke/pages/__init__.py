"""Page objects: where things are (``places``), and what a user does with them (all others)."""
