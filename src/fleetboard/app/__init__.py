"""One application process of the Fleet Manager Dashboard: API, live positions, page."""
