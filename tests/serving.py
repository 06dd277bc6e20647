"""Starting a server for the browser: what the tests of JupyterLab and of the dashboard share."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from labkit.paths import PACKAGE


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def quiet_settings(home):
    """No question about news over the page, and every cell in it, also those out of sight."""
    settings = {
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        "notebook-extension/tracker": {"windowingMode": "none"},
    }
    for name, values in settings.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(values))
    return home / "settings"


def wait_for(address, server, log, seconds=120):
    for _ in range(seconds * 2):
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address, timeout=2) as reply:
                if reply.status == 200:
                    return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"the server did not start:\n{Path(log).read_text()[-3000:]}")


@contextmanager
def jupyterlab(home, root):
    """The address of a JupyterLab on the folder `root`, without anyone's settings; `home` is a folder of its own."""
    port = free_port()
    environment = os.environ | {
        "LABKIT_SMOKE": "1",
        "PYTHONPATH": str(PACKAGE.parent),
        "HOME": str(home),
        **{name: str(home / name.lower()) for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")},
        "JUPYTERLAB_SETTINGS_DIR": str(quiet_settings(home)),
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--IdentityProvider.token=", "--ServerApp.password=", "--LabApp.news_url=None"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.extension_manager=readonly"]
    command += [f"--ServerApp.root_dir={root}"]
    log = home / "server.log"
    with log.open("w") as out:
        server = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT, cwd=home)
    try:
        wait_for(f"http://127.0.0.1:{port}/api/status", server, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)
