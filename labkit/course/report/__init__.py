"""The instructor's page: how it went, what was misunderstood, what to look at."""
