"""``decco import`` as a person meets it: streams, files, exit status."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.sample import thorough
from tests.unit.cli.conftest import Run

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "tests" / "importing" / "first-decco.yaml"
GOOD = """
apiVersion: decco.platform9.com/v1beta2
kind: Space
metadata: {name: acme, namespace: decco}
spec: {domainName: example.net, encryptHttp: true}
"""


@pytest.fixture
def convert(run: Run) -> Run:
    return functools.partial(run, "import")


@thorough
def test_a_real_process(convert: Run) -> None:
    """The tests below call the command in this process; this one shows that it makes no difference."""
    command = [sys.executable, "-m", "decco.cli.main", "import", "-"]
    done = subprocess.run(command, input=GOOD, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == convert("-", given=GOOD)


def test_one_stream_of_what_there_is_to_apply(convert: Run) -> None:
    done = convert(str(SAMPLE))
    assert done.returncode == 1
    kinds = [each["kind"] for each in yaml.safe_load_all(done.stdout)]
    assert kinds == ["Space", *["Role", "RoleBinding"], *["ServiceAccount", "Role", "RoleBinding"], *["App"] * 6]
    assert "# lost: spec.endpoints[1].httpLocalhostOnly" in done.stdout
    *remarks, _ = done.stderr.splitlines()
    assert all(re.fullmatch(r"decco import: .*: (note|lost|error): .* \(DECCO-07\d\d\)", line) for line in remarks)
    comments = " ".join(line.lstrip("# ") for line in done.stdout.splitlines() if line.startswith("#"))
    assert "its clients in the Space connect to the pods' port (DECCO-0728)" in comments
    assert done.stderr.splitlines()[-1] == (
        "decco import: 1 of 2 Spaces and 6 of 6 Apps converted; without a counterpart: 4, with errors: 1"
    )


def test_all_has_a_counterpart(convert: Run) -> None:
    done = convert("-", given=GOOD)
    assert done.returncode == 0
    assert yaml.safe_load(done.stdout)["spec"] == {"domainName": "example.net", "encryptHttp": True}


TALK = (
    GOOD
    + """---
apiVersion: decco.platform9.com/v1beta2
kind: App
metadata: {name: timeserver-tcp, namespace: acme}
spec:
  initialReplicas: 1
  pod:
    containers:
    - {name: timeserver, image: "registry.example/timeserver:1", ports: [{containerPort: 80}]}
"""
)


@pytest.mark.parametrize(
    ("options", "want"),
    [
        ([], [{"name": "timeserver-tcp", "port": 80}]),
        (["--absent-endpoints", "first-port"], [{"name": "timeserver-tcp", "port": 80}]),
        (["--absent-endpoints", "none"], []),
    ],
)
def test_the_talks_tcp_example_is_served(convert: Run, options: list[str], want: list[dict[str, object]]) -> None:
    done = convert("-", *options, given=TALK)
    assert done.returncode == 0
    _, app = yaml.safe_load_all(done.stdout)
    assert app["spec"]["endpoints"] == want


def test_a_wrong_reading_of_absent_endpoints(convert: Run) -> None:
    done = convert("-", "--absent-endpoints", "first", given=TALK)
    assert done.returncode == 2
    assert "first-port" in done.stderr


def test_no_text_leaves_its_comment(convert: Run) -> None:
    evil = GOOD.replace("encryptHttp: true", '"a\\n---\\nkind: Evil": 1')
    done = convert("-", given=evil)
    assert done.returncode == 1
    assert [each["kind"] for each in yaml.safe_load_all(done.stdout)] == ["Space"]
    assert len(done.stderr.splitlines()) == 2


def test_a_folder_in_the_order_to_apply(convert: Run, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    assert convert(str(SAMPLE), "-o", str(folder)).returncode == 1
    assert sorted(path.name for path in folder.iterdir()) == [
        "1-spaces.yaml",
        "2-permissions.yaml",
        "3-apps.yaml",
        "left-out.txt",
    ]
    again = convert(str(SAMPLE), "-o", str(folder))
    assert again.returncode == 2
    assert "is there already" in again.stderr


NAMESPACE = ROOT / "tests" / "importing" / "namespace" / "shop.yaml"


def test_a_proposal_for_a_namespace(convert: Run, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    done = convert("-", "-o", str(folder), given=NAMESPACE.read_text())
    assert done.returncode == 1
    assert sorted(path.name for path in folder.iterdir()) == [
        "1-spaces.yaml",
        "2-services.yaml",
        "3-apps.yaml",
        "4-autoscalers.yaml",
        "left-out.txt",
    ]
    assert "swordfish" not in done.stderr
    assert "decco import: standard input: document 10: Ingress shop/web: lost:" in done.stderr
    assert (
        "# into other objects: standard input: document 10: Ingress shop/web" in (folder / "left-out.txt").read_text()
    )
    assert "1 of 1 Spaces and 4 of 4 Apps converted" in done.stderr.splitlines()[-1]


def test_with_objects_of_the_first_decco_others_are_left_alone(convert: Run) -> None:
    """The first decco's own Deployments and Ingresses are in what kubectl prints of its namespaces."""
    done = convert("-", given=f"{GOOD}---\n{NAMESPACE.read_text()}")
    assert [each["kind"] for each in yaml.safe_load_all(done.stdout)] == ["Space"]


def test_wrong_words(convert: Run) -> None:
    for words, message in (
        (["-", "--namespace", "A_b"], "--namespace must be a DNS label"),
        (["-", "--domain", "*.net"], "--domain must be a DNS name"),
        (["-"], "there is no object in"),
        (["/nowhere"], "/nowhere cannot be read"),
        ([], "name a FILE, - for standard input"),
        (["-", "--space", "9"], "--space must be a DNS label that starts with a letter"),
        (["-", "--from-namespace", "shop"], "leave one of the two out"),
        ([str(SAMPLE), "--space", "acme"], "the input has Spaces or Apps of the first decco"),
    ):
        done = convert(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
