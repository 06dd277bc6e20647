"""The front desk: what an LMS gives comes in, grades go out in its columns."""
