"""Each fault that the doctor knows is faked here; it must be found, and mended by one command."""

import collections
import sys
from importlib import metadata
from pathlib import Path

import pytest

import labkit
from labkit import doctor as module_or_function
from labkit.doctor import GIB, Finding, Report, doctor, numbers

D = sys.modules["labkit.doctor"]


def found(examine):
    return {f.what: f for f in examine()}


def fake_versions(monkeypatch, **versions):
    real = D.version
    monkeypatch.setattr(D, "version", lambda p: versions[p.replace("-", "_")] if p.replace("-", "_") in versions else real(p))


def test_a_healthy_machine_has_no_faults():
    report = doctor()
    assert report.faults == () and "Everything the lessons need is here." in str(report)
    assert {f.what for f in report.findings} >= {"Python", "packages", "widgets", "JupyterLab", "kernel", "device", "memory"}


def test_the_house_has_one_doctor_however_it_is_called():
    assert labkit.doctor is doctor is module_or_function
    import labkit.doctor as again

    assert again is doctor


def test_old_python(monkeypatch):
    monkeypatch.setattr(D.sys, "version_info", (3, 9, 1))
    assert found(D.python)["Python"].fault


def test_missing_and_old_packages(monkeypatch):
    fake_versions(monkeypatch, umap_learn=None, torch="2.1.0+cu118")
    fault = found(D.packages)["packages"]
    assert fault.fault and "umap-learn is missing" in fault.found and "torch 2.1.0+cu118 (needs 2.4)" in fault.found
    assert fault.cure.endswith("-m pip install 'torch>=2.4' 'umap-learn>=0.5.6'")


@pytest.mark.parametrize(
    "versions, said",
    [
        ({"ipywidgets": "7.8.5"}, "do not belong together"),
        ({"jupyterlab_widgets": "1.1.11"}, "do not belong together"),
        ({"anywidget": None}, "anywidget missing"),
        ({"ipywidgets": None, "jupyterlab_widgets": None}, "ipywidgets and jupyterlab_widgets missing"),
    ],
)
def test_widgets_that_would_not_show(monkeypatch, versions, said):
    fake_versions(monkeypatch, **versions)
    fault = found(D.widgets)["widgets"]
    assert fault.fault and said in fault.found
    assert fault.cure.endswith("-m pip install --upgrade ipywidgets jupyterlab_widgets anywidget")


def test_a_package_that_loses_widgets_is_named(monkeypatch):
    fake_versions(monkeypatch, jupyter_server_documents="0.1.0")
    assert list(D.widgets())[-1].cure.endswith("-m pip uninstall -y jupyter-server-documents")


def test_jupyterlab_missing_without_extensions_or_elsewhere(monkeypatch, tmp_path):
    import jupyter_core.paths

    monkeypatch.setattr(D.shutil, "which", lambda _: str(tmp_path / "bin" / "jupyter-lab"))
    other = found(D.server)["JupyterLab"]
    assert "starts another one" in other.found and other.cure.endswith("-m labkit lab") and not other.fault
    monkeypatch.setattr(jupyter_core.paths, "jupyter_path", lambda _: [str(tmp_path)])
    bare = found(D.server)["JupyterLab"]
    assert bare.fault and "lacks the extensions @jupyter-widgets, anywidget, jupyterlab-plotly" in bare.found
    fake_versions(monkeypatch, jupyterlab=None)
    assert found(D.server)["JupyterLab"].cure.endswith("-m pip install jupyterlab")


def test_a_kernel_of_another_python(monkeypatch, tmp_path):
    from jupyter_client import kernelspec

    spec = kernelspec.KernelSpec(argv=["/usr/bin/python3", "-m", "ipykernel_launcher"])
    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", lambda self, name: spec)
    fault = found(D.kernel)["kernel"]
    assert fault.fault and "python3 is /usr/bin/python3, but this is" in fault.found
    assert fault.cure.endswith("-m ipykernel install --sys-prefix --name python3")
    spec.argv = ["python", "-m", "ipykernel_launcher"]
    assert not found(D.kernel)["kernel"].fault
    monkeypatch.setattr(D.importlib.util, "find_spec", lambda _: None)
    assert found(D.kernel)["kernel"].cure.endswith("-m pip install ipykernel")


def test_no_kernel_at_all(monkeypatch):
    from jupyter_client import kernelspec

    def none(self, name):
        raise kernelspec.NoSuchKernel(name)

    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", none)
    assert found(D.kernel)["kernel"].fault


def test_data_that_did_not_ship_and_data_that_is_broken(monkeypatch):
    from labkit.data import fetch

    def absent(*_):
        raise FileNotFoundError("labkit's data/ folder is missing")

    def not_fetched(*_, **__):
        raise FileNotFoundError("nowhere")

    def broken(*_, **__):
        raise ValueError("its sha256 is wrong")

    monkeypatch.setattr(fetch, "locate", not_fetched)
    advice = found(D.data)["Fashion-MNIST"]
    assert not advice.fault and advice.cure.endswith("-m labkit data fetch fashion-mnist") and advice.mark == "·"
    monkeypatch.setattr(fetch, "locate", broken)
    assert found(D.data)["Fashion-MNIST"].fault
    monkeypatch.setattr(D, "shipped", absent)
    assert next(D.data()).fault


def test_little_memory_little_disk_and_a_folder_that_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.setattr(D, "free_memory", lambda: GIB)
    assert found(D.memory)["memory"].fault
    monkeypatch.setattr(D, "free_memory", lambda: None)
    assert found(D.memory) == {}
    usage = collections.namedtuple("usage", "total used free")(1, 1, 1000)
    monkeypatch.setattr(D.shutil, "disk_usage", lambda _: usage)
    assert found(D.disk)["labkit's folder"].cure.startswith("export LABKIT_HOME=")
    file = tmp_path / "file"
    file.write_text("in the way")
    monkeypatch.setenv("LABKIT_HOME", str(file / "home"))
    fault = found(D.disk)["labkit's folder"]
    assert fault.fault and "cannot be written" in fault.found


def test_the_doctor_needs_no_doctor(monkeypatch):
    def stumbles():
        raise RuntimeError("a driver is broken")
        yield

    monkeypatch.setattr(D, "EXAMINATIONS", (stumbles, D.python))
    report = doctor()
    assert "a driver is broken" in str(report) and len(report.findings) == 2


def test_the_report_is_a_table_in_words_and_in_html():
    report = Report(
        (Finding("Python", "3.11"), Finding("<kernel>", "gone", "mend it"), Finding("data", "later", "fetch", True))
    )
    assert str(report).endswith("1 thing to mend:\n  <kernel>: mend it")
    assert "<code>mend it</code>" in report._repr_html_() and report._repr_html_().count("<tr>") == 3
    assert [f.what for f in report.faults] == ["<kernel>"]


@pytest.mark.parametrize("package", ["torch", "plotly", "jupyterlab"])
def test_versions_are_read(package):
    assert numbers(metadata.version(package)) > (0,)


def test_requirements_are_those_of_the_project():
    assert D.requirements()["torch"] == "2.4" and Path(D.PACKAGE).name == "labkit"


def test_the_language_model_is_advice_and_no_fault(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    name = "smollm2-135m"
    missing = found(D.language_model)[name]
    assert missing.mark == "·" and missing.cure.endswith(f"labkit data fetch {name}")
    (tmp_path / "models" / name).mkdir(parents=True)
    (tmp_path / "models" / name / "model.safetensors").touch()
    assert found(D.language_model)[name].mark == "✓"
    monkeypatch.setattr(D.importlib.util, "find_spec", lambda part: None if part == "gguf" else object())
    extra = found(D.language_model)["language model"]
    assert "gguf" in extra.found and "labkit[lm]" in extra.cure and not extra.fault
