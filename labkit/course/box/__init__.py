"""The box in which a student's cells run: a process behind walls, and a pipe that only plain data passes."""
