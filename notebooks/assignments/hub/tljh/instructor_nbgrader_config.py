# For the instructor's account only: ~/.jupyter/nbgrader_config.py. Not run here.
# The formgrader looks for the course here; the course's own nbgrader_config.py (made by `labkit grade release`) has the rest.
from labkit.course.settings import configure

c = get_config()

configure(c, "INSTRUCTOR_HOME/course/nbgrader_config.py")
c.CourseDirectory.course_id = "contrast"  # as in everybody's
