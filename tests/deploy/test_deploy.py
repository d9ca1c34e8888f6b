"""The deployment files of the examples: linters read them, and their commands are run as they stand.

Only addresses are others here: the folders, the database and the ports.
"""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml  # type: ignore[import-untyped]  # what uvicorn reads its log settings with

from postlude.lifetime.grace import BEYOND_THE_GRACE
from tests.scenarios.server import ROOT, Server
from tests.scenarios.waiting import wait_until
from tests.stores.places import await_calm

DEPLOY: Final = ROOT / "examples" / "deploy"
DOCKERFILE: Final = (DEPLOY / "Dockerfile").read_text("utf-8")
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
KUBERNETES: Final[list[dict[str, Any]]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8")))
UNITS: Final = sorted((DEPLOY / "systemd").glob("*.service"))
MAIL: Final = {"to": "ada@example.com", "template": "welcome", "values": {"message": "Good evening."}}
REPORT: Final = {
    "data": "flights.parquet",
    "question": {"measures": [{"what": "count", "label": "flights"}], "group_by": ["airline"]},
}
GRACE: Final = 8
"""Seconds, where nothing else is said."""


class Role(NamedTuple):
    """What is started, and with which variables."""

    command: list[str]
    env: dict[str, str]


def tool(name: str) -> str:
    """A program that came with the tests, or with the machine."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}") or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not there")
    return found


def says_nothing_bad(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


# What linters say


def test_the_dockerfile_has_no_fault_that_a_linter_knows() -> None:
    says_nothing_bad(tool("hadolint"), str(DEPLOY / "Dockerfile"))


def test_the_composition_is_one() -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    says_nothing_bad(tool("check-jsonschema"), *schema, str(DEPLOY / "compose.yaml"))


def test_the_manifest_is_one() -> None:
    says_nothing_bad(tool("kubernetes-validate"), "--strict", str(DEPLOY / "kubernetes.yaml"))


def test_the_units_are_such(tmp_path: Path) -> None:
    for unit in UNITS:
        placed = unit.read_text("utf-8").replace("/opt/postlude/.venv/bin", str(Path(sys.executable).parent))
        (tmp_path / unit.name).write_text(placed, "utf-8")
    says_nothing_bad(tool("systemd-analyze"), "verify", *(str(tmp_path / unit.name) for unit in UNITS))


# What they have to say


def test_the_image_has_what_it_is_said_to_have() -> None:
    last = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    for line in ("USER 10001:10001", "VOLUME /data", "WORKDIR /data"):
        assert f"\n{line}\n" in last
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        assert all((ROOT / each).exists() for each in source.split()), source
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").split()
    kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    sources = {
        part.split("/")[0]
        for each in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
        for part in each.split()
    }
    assert sources == kept


def test_what_is_copied_is_enough_to_build(tmp_path: Path) -> None:
    for sources, place in re.findall(
        r"^COPY (?!--from)(.+) (\S+)$", DOCKERFILE[: DOCKERFILE.rindex("\nFROM ")], re.MULTILINE
    ):
        for source in sources.split():
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copyfile
            copy(ROOT / source, tmp_path / (source if place == "./" else place))
    (installed,) = re.findall(r"pip install --no-cache-dir -c (\S+) '\.\[(.+)\]'", DOCKERFILE)
    assert (tmp_path / installed[0]).is_file()
    offered = tomllib.loads((tmp_path / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(installed[1].split(",")) <= offered.keys()
    wheel = ("-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet", "-w", str(tmp_path))
    says_nothing_bad(sys.executable, *wheel, str(tmp_path))
    assert list(tmp_path.glob("postlude-*.whl"))


@pytest.mark.parametrize("name", ["migrate", "api", "worker"])
def test_a_container_may_write_only_where_its_volume_is(name: str) -> None:
    service = COMPOSE["services"][name]
    assert (service["read_only"], service["cap_drop"], service["volumes"]) == (True, ["ALL"], ["data:/data"])
    spec = pod(name)
    assert spec["securityContext"]["runAsNonRoot"] is True
    (container,) = spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    if name != "migrate":
        assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/data", "/tmp"]


@pytest.mark.parametrize("name", ["api", "worker"])
def test_everybody_waits_longer_than_the_grace(name: str) -> None:
    service = COMPOSE["services"][name]
    grace = int(service["environment"].get("POSTLUDE_SHUTDOWN_GRACE", GRACE))
    assert int(service["stop_grace_period"].removesuffix("s")) >= grace + BEYOND_THE_GRACE
    spec = pod(name)
    ((_, env), before) = of_kubernetes(name), 5 if "lifecycle" in spec["containers"][0] else 0
    assert (
        spec["terminationGracePeriodSeconds"]
        >= int(env.get("POSTLUDE_SHUTDOWN_GRACE", GRACE)) + BEYOND_THE_GRACE + before
    )
    unit, (_, env) = parsed(name), of_systemd(name, Path())
    assert int(unit["Service"]["TimeoutStopSec"]) >= int(env.get("POSTLUDE_SHUTDOWN_GRACE", GRACE)) + BEYOND_THE_GRACE


def test_kubernetes_and_compose_start_the_same() -> None:
    for name in ("migrate", "api", "worker"):
        assert of_kubernetes(name).command == of_compose(name).command


# What they start


@pytest.fixture
def database(postgres: str) -> str:
    await_calm(postgres)
    return postgres


def test_what_compose_and_kubernetes_start_does_its_work(tmp_path: Path, database: str) -> None:
    elsewhere = {"POSTLUDE_URL": database, "POSTLUDE_PASSWORD": "", "POSTLUDE_SCHEMA": f"deploy_{uuid.uuid4().hex[:8]}"}
    elsewhere["PYTHONPATH"] = str(ROOT / "examples")  # in the image they are in /srv
    assert "PYTHONPATH=/srv" in DOCKERFILE
    roles = {name: of_compose(name) for name in ("migrate", "api", "worker")}
    with served(tmp_path, roles["migrate"], elsewhere) as migration:
        assert migration.launch().wait(seconds=30) == 0, migration.text
    does_its_work(tmp_path, roles, elsewhere)


def test_what_systemd_starts_does_its_work(tmp_path: Path) -> None:
    roles = {name: of_systemd(name, tmp_path) for name in ("api", "worker")}
    does_its_work(tmp_path, roles, {"PYTHONPATH": str(ROOT / "examples")})


def does_its_work(folder: Path, roles: dict[str, Role], elsewhere: dict[str, str]) -> None:
    """What the API takes is done by the worker, a mail and a report; both end when they are told to."""
    with served(folder, roles["api"], elsewhere) as api, served(folder, roles["worker"], elsewhere) as worker:
        api.start(seconds=30)
        for address, status in {"reports": 200, "postlude/": 401, "docs": 200}.items():
            assert f'href="{address}"' in api.get("/").body
            assert api.get(f"/{address}").status == status
        worker.launch()
        if "--health-port" in worker.command:
            wait_until(worker.listens, "the worker's health can be asked", seconds=30)
            wait_until(lambda: worker.get("/healthz").status == 200, "the worker is well", seconds=30)
        report = ask(api, "/reports", REPORT)
        ask(api, "/notifications", MAIL)
        wait_until((folder / "acknowledged.txt").exists, f"the mail is acknowledged\n{worker.text}", seconds=30)
        wait_until(lambda: '"succeeded"' in api.get(report).body, f"the report is there\n{worker.text}", seconds=30)
        worker.terminate()
        api.terminate()


def ask(api: Server, path: str, body: object) -> str:
    """Where it can be asked after."""
    connection = api.connect()
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 202, answer.read()
    connection.close()
    return str(answer.headers["Location"])


def served(folder: Path, role: Role, elsewhere: dict[str, str]) -> Server:
    """The role, with this test's own addresses."""
    command = [Path(role.command[0]).name, *role.command[1:]]
    for option in ("--port", "--health-port"):
        if option in command:
            command[command.index(option) + 1] = "{port}"
    return Server(folder, tuple(command), role.env | elsewhere)


# What the files say


def of_compose(name: str) -> Role:
    service = COMPOSE["services"][name]
    given = {"POSTGRES_PASSWORD": "secret"}

    def said(variable: re.Match[str]) -> str:
        return given.get(variable[1]) or (variable[3] if variable[2] == ":-" else "")

    filled = {key: re.sub(r"\$\{(\w+)(:-|:\?)(.*?)\}", said, value) for key, value in service["environment"].items()}
    return Role([str(word) for word in service["command"]], filled)


def pod(name: str) -> Any:
    (found,) = [
        each for each in KUBERNETES if each["metadata"]["name"] == f"postlude-{name}" and "template" in each["spec"]
    ]
    return found["spec"]["template"]["spec"]


def of_kubernetes(name: str) -> Role:
    (container,) = pod(name)["containers"]
    (settings,) = [each["data"] for each in KUBERNETES if each["kind"] == "ConfigMap"]
    return Role(container["args"], settings | {each["name"]: each["value"] for each in container.get("env", [])})


def parsed(name: str) -> configparser.ConfigParser:
    """The unit; of a key that comes more than once, all values, one a line."""

    class Lines(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            super().__setitem__(key, [*self.get(key, []), *value] if isinstance(value, list) else value)

    parser = configparser.ConfigParser(dict_type=Lines, strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]  # as the documentation of configparser does it
    parser.read(DEPLOY / "systemd" / f"postlude-{name}.service", "utf-8")
    return parser


def of_systemd(name: str, folder: Path) -> Role:
    service = parsed(name)["Service"]
    env = dict(word.split("=", 1) for word in shlex.split(service["Environment"].replace("\n", " ")))
    moved = {key: value.replace("/var/lib/postlude", str(folder)) for key, value in env.items()}
    assert service["WorkingDirectory"] == "/var/lib/postlude"
    return Role(shlex.split(service["ExecStart"]), moved)
