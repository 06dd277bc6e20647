"""How stored results are made, a file for each topic: `python -m labkit results NAME` runs the function of that name."""
