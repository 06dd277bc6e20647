"""Starting a server for the browser: what the tests of JupyterLab and of the dashboard share."""

import json
import socket
import time
import urllib.request
from pathlib import Path


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
