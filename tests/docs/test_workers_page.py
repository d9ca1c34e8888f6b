"""The units and manifests of the page on deploying workers say what they must: signals, grace periods and probes."""

import configparser
import re
import shlex
from collections.abc import Sequence
from typing import Any

import pytest
import typer
import yaml  # type: ignore[import-untyped]  # what uvicorn reads its log settings with

from postlude.cli.commands import commands
from postlude.lifetime.grace import BEYOND_THE_GRACE
from postlude.standalone.answering import PATH
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "workers.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def checked(command: Sequence[str]) -> None:
    """The command line is one that `postlude` takes."""
    program, *words = command
    assert program.endswith("postlude")
    group: Any = typer.main.get_command(commands)
    with group.make_context("postlude", list(words), resilient_parsing=True) as context:
        name, worker, rest = group.resolve_command(context, list(words))
        assert name == "worker"
        worker.make_context(name, rest, parent=context)


def manifest(key: str) -> Any:
    (found,) = [document for document in map(yaml.safe_load, blocks("yaml")) if key in document]
    return found


def test_the_unit_of_systemd() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]  # as the documentation of configparser does it
    parser.read_string(blocks("ini")[0])
    service = parser["Service"]
    grace = int(re.findall(r"POSTLUDE_SHUTDOWN_GRACE=(\d+)", PAGE)[0])
    assert int(service["TimeoutStopSec"]) >= grace + BEYOND_THE_GRACE
    checked(shlex.split(service["ExecStart"]))


def test_the_composition_of_docker() -> None:
    services = manifest("services")["services"]
    worker, api = services["worker"], services["api"]
    assert api["environment"]["POSTLUDE_WORKER"] == "off"
    assert worker["environment"]["POSTLUDE_URL"] == api["environment"]["POSTLUDE_URL"]
    grace = int(worker["environment"]["POSTLUDE_SHUTDOWN_GRACE"])
    assert int(worker["stop_grace_period"].removesuffix("s")) >= grace + BEYOND_THE_GRACE
    checked(worker["command"])


def test_the_manifest_of_kubernetes() -> None:
    pod = manifest("kind")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    env = {each["name"]: each.get("value") for each in container["env"]}
    assert pod["terminationGracePeriodSeconds"] >= int(env["POSTLUDE_SHUTDOWN_GRACE"]) + BEYOND_THE_GRACE
    checked(container["args"])
    (port,) = container["ports"]
    assert str(port["containerPort"]) == container["args"][container["args"].index("--health-port") + 1]
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": PATH, "port": port["name"]}


@pytest.mark.parametrize("line", re.findall(r"^    (postlude worker.*?)(?: +#.*)?$", PAGE, re.MULTILINE))
def test_every_command_line(line: str) -> None:
    checked(shlex.split(line))


def test_the_page_names_the_time_beyond_the_grace() -> None:
    assert f"its grace and {BEYOND_THE_GRACE:g} s more" in PAGE
    assert f"the grace and {BEYOND_THE_GRACE:g} s, as above" in PAGE
