# For everybody on the hub: /opt/tljh/user/etc/jupyter/nbgrader_config.py. Not run here.
c = get_config()

c.CourseDirectory.course_id = "contrast"  # the name of the course in the exchange and in the list of assignments
c.Exchange.root = "/srv/nbgrader/exchange"  # exists, and everybody may write in it (mode 0777)
c.Exchange.timezone = "UTC"
c.Exchange.path_includes_course = False  # True where students take several courses on this hub
c.Execute.timeout = 300  # seconds for a cell under Validate; 30 by default, and a7 and a8 train
c.NbGrader.logfile = "/tmp/nbgrader.log"  # nbgrader's documentation recommends one on a hub
