# A snippet for The Littlest JupyterHub: /opt/tljh/config/jupyterhub_config.d/labkit.py. Not run here.
c = get_config()

# Small models make torch's threads wait for each other; on a shared machine they also take the cores from other students.
c.Spawner.environment = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
c.JupyterHub.shutdown_on_logout = True

# JupyterHub 4.1 and later forbid frames, and nbgrader's formgrader is one: it stays blank. Either the instructor opens the frame
# in a tab of its own (right click, in Firefox), or, with a wildcard DNS name and certificate, the hub serves each user from a
# domain of its own; then the users' server may allow the frame (nbgrader's documentation, "Enabling JupyterHub subdomains").
# c.JupyterHub.subdomain_host = "https://hub.example.edu"
