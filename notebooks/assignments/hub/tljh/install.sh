#!/bin/bash
# The Littlest JupyterHub with nbgrader's exchange and labkit's assignments, on one machine (Ubuntu or Debian, as root or with
# sudo, after TLJH itself is installed: https://tljh.jupyter.org/en/latest/install/). Not run here: read it before you run it.
#
#   sudo bash install.sh /path/to/labkit INSTRUCTOR
#
# INSTRUCTOR is a name on the hub. TLJH gives it the Unix account jupyter-INSTRUCTOR, made at its first log-in: log in once first.
set -euo pipefail

labkit=${1:?"the folder of a clone of labkit"}
instructor=${2:?"the instructor's name on the hub"}
here=$(cd "$(dirname "$0")" && pwd)
user=/opt/tljh/user
exchange=/srv/nbgrader/exchange
account=jupyter-$instructor
home=$(getent passwd "$account" | cut -d: -f6)
[ -n "$home" ] || { echo "log in to the hub as $instructor once, then run this again" >&2; exit 1; }

# 1. the sandbox that students' code is graded in, and labkit with nbgrader for everybody
apt-get update
apt-get install --yes bubblewrap
"$user/bin/pip" install "${labkit}[course]"

# 2. the exchange, writable by everybody, as nbgrader wants it
install --directory --mode=0777 "$exchange"

# 3. what everybody's nbgrader knows, and what only the instructor's does
install --directory "$user/etc/jupyter"
install --mode=0644 "$here/nbgrader_config.py" "$user/etc/jupyter/nbgrader_config.py"
install --directory --owner="$account" --group="$account" "$home/.jupyter"
sed "s|INSTRUCTOR_HOME|$home|" "$here/instructor_nbgrader_config.py" > "$home/.jupyter/nbgrader_config.py"
chown "$account:$account" "$home/.jupyter/nbgrader_config.py"

# 4. students see the list of assignments and the Validate button, and nothing else of nbgrader
lab="$user/bin/jupyter labextension"
server="$user/bin/jupyter server extension"
for extension in formgrader create-assignment course-list; do
  $lab disable --level=sys_prefix "@jupyter/nbgrader:$extension"
done
for extension in formgrader course_list; do
  $server disable --sys-prefix "nbgrader.server_extensions.$extension"
done
for extension in formgrader create-assignment; do
  sudo --set-home --user="$account" $lab enable --level=user "@jupyter/nbgrader:$extension"
done
sudo --set-home --user="$account" $server enable --user nbgrader.server_extensions.formgrader

# 5. limits, then the hub's own snippet
tljh-config set limits.memory 3G
tljh-config set limits.cpu 2
tljh-config set user_environment.default_app jupyterlab
install --directory /opt/tljh/config/jupyterhub_config.d
install --mode=0644 "$here/jupyterhub_config.py" /opt/tljh/config/jupyterhub_config.d/labkit.py
tljh-config reload

# 6. does it work?
sudo --set-home --user="$account" "$user/bin/python" -m labkit doctor
sudo --user="$account" bwrap --unshare-all --ro-bind / / true && echo "bubblewrap works" \
  || echo "bubblewrap does not work here (on Ubuntu 24.04 AppArmor forbids it by default); labkit then takes Landlock" >&2
