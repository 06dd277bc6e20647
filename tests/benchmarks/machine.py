"""Which machine this is: the first lines of the report."""

import os
import platform
from datetime import date
from pathlib import Path
from typing import Any


def free_gib() -> float:
    return meminfo("MemAvailable") or 8.0


def facts(about: dict[str, Any]) -> dict[str, Any]:
    total = meminfo("MemTotal")
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory": f"{total:.0f} GiB" if total else "unknown",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "threads": about["threads"],
        "gpu": about["gpu"],
        "versions": about["versions"],
        "date": date.today().isoformat(),
        "load": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
    }


def processor() -> str:
    """Name, family and model, as far as the system says."""
    lines = cpuinfo()
    name = lines.get("model name") or platform.processor() or platform.machine()
    return f"{name} (family {lines['cpu family']}, model {lines['model']})" if "cpu family" in lines else name


def cpuinfo() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").partition("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def meminfo(name: str) -> float:
    """In GiB; 0 where the system does not say."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    except OSError:
        return 0.0
    return int(lines[name].split()[0]) / 2**20
