"""The dashboard and the alerts name only what is measured, and each alert has its section in the runbook."""

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import typer
import yaml  # type: ignore[import-untyped]  # what uvicorn reads its log settings with

from postlude.cli.commands import commands
from postlude.events import Event
from postlude.job import JobState
from postlude.telemetry.looking import WORKER_STATES
from postlude.telemetry.measures import COUNTED_EVENTS, MEASURES, OF_WORKER, OUTCOMES, WORKERS, Measure
from postlude.views.needs import NeedKind
from tests.docs.pages import ROOT
from tests.engine.test_events import LINES

DOCS = ROOT / "docs"
PAGE = (DOCS / "observability.md").read_text("utf-8")
RUNBOOK = (DOCS / "runbook.md").read_text("utf-8")
SELECTOR = re.compile(r"\b(postlude_\w+)(?:\{([^}]*)\})?")
SAMPLES = {f"{each.prometheus}{'_bucket' if each.kind == 'histogram' else ''}": each for each in MEASURES}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DOCS / "alerts.yaml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def labels(measure: Measure) -> set[str]:
    return {
        *measure.labels,
        *(["worker"] if measure in OF_WORKER else []),
        *(["le"] if measure.kind == "histogram" else []),
    }


def values(measure: Measure) -> dict[str, set[str]]:
    """Of the labels that have a few values, those."""
    states = {*WORKER_STATES} if measure is WORKERS else {*JobState}
    why = {"due", "later", "behind"}
    return {
        "outcome": {*OUTCOMES},
        "event": {*COUNTED_EVENTS},
        "kind": {*get_args(NeedKind)},
        "state": states,
        "why": why,
    }


def wrong(query: str) -> Iterator[str]:
    """What there is in a query that is not measured, and brackets that are never closed."""
    if not (found := SELECTOR.findall(query)):
        yield "nothing of Postlude's"
    known: set[str] = set()
    for name, selected in found:
        if name not in SAMPLES:
            yield name
            continue
        own = labels(SAMPLES[name])
        known |= own
        for label, asked in re.findall(r"(\w+)\s*=~?\"([^\"]*)\"", selected):
            there = values(SAMPLES[name]).get(label)
            if label not in own or (there is not None and not {*asked.split("|")} <= there):
                yield f"{name}{{{label}={asked}}}"
    for grouped in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", query):
        yield from (f"by ({label})" for label in re.split(r"\s*,\s*", grouped) if label not in known)
    if any(query.count(opened) != query.count(closed) for opened, closed in ("()", "[]", "{}")):
        yield "a bracket that is not closed"


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DOCS / "grafana.json").read_text("utf-8"))["panels"]
    return found


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_is_about_what_is_measured_and_is_in_the_runbook(rule: dict[str, Any]) -> None:
    assert list(wrong(rule["expr"])) == []
    name = rule["alert"]
    assert f"\n## {name}\n" in RUNBOOK
    assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    assert all(re.search(rf"by \([^)]*\b{label}\b", rule["expr"]) for label in used), "a label that the query gives"


def test_the_runbook_is_about_alerts_that_there_are() -> None:
    sections = re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in sections] == [rule["alert"] for rule in rules()], "in the order of the alerts"
    for name, text in sections:
        assert "- **Look**" in text, name
        assert "- **Do**" in text, name


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_shows_what_is_measured(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert list(wrong(target["expr"])) == []
        grouped = re.findall(r"\bby\s*\(([^)]*)\)", target["expr"])
        named = re.findall(r"{{\s*(\w+)\s*}}", target.get("legendFormat", ""))
        assert {*named} <= {*re.split(r"\s*,\s*", grouped[0] if grouped else "")}, "a label that the query gives"


def test_the_variables_of_the_dashboard_are_labels_of_what_is_measured() -> None:
    found = json.loads((DOCS / "grafana.json").read_text("utf-8"))["templating"]["list"]
    queries = [each["query"] for each in found if each["type"] == "query"]
    assert queries
    for query in queries:
        name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", query).groups()  # type: ignore[union-attr]
        assert label in labels(SAMPLES[name])


def test_a_query_that_nothing_would_ever_answer_is_found() -> None:
    assert list(wrong('max(postlude_needs{kind="no_wrker"}) > 0')) == ["postlude_needs{kind=no_wrker}"]
    assert list(wrong('max(postlude_needs{sort="failed"})')) == ["postlude_needs{sort=failed}"]
    assert list(wrong('max by (queue) (postlude_workers{state=~"idle|queued"})')) == [
        "postlude_workers{state=idle|queued}",
        "by (queue)",
    ]
    assert list(wrong("rate(postlude_attempts[5m])")) == ["postlude_attempts"]
    assert list(wrong("max(postlude_store_up")) == ["a bracket that is not closed"]


def test_the_panels_do_not_cover_one_another() -> None:
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in panels()):
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert taken.isdisjoint(cells)
        taken |= cells
    assert max(x for x, _ in taken) < 24, "Grafana's grid is that wide"


def test_the_page_lists_every_measure_with_its_labels() -> None:
    rows = dict(re.findall(r"^\| `(postlude_\w+)` \| ([^|]*) \|", PAGE, re.MULTILINE))
    assert {name: set(re.findall(r"`(\w+)`", given)) for name, given in rows.items()} == {
        each.prometheus: labels(each) - {"le"} for each in MEASURES
    }


def test_the_page_lists_every_event() -> None:
    listed = re.findall(r"^\| `([A-Z]\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(kind.__name__ for kind in get_args(Event))


def test_the_blocks_for_prometheus_are_yaml_and_ask_for_what_is_mounted() -> None:
    [scrape, *_] = [
        yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    ]
    [job] = scrape["scrape_configs"]
    assert f'app.mount("{job["metrics_path"].rstrip("/")}", durable.metrics())' in PAGE


def wrong_command(line: str) -> str | None:
    """What there is not in a command line; None: all of it is there."""
    _, *words = line.split()
    command: Any = typer.main.get_command(commands)
    while hasattr(command, "commands"):
        if not words or words[0] not in command.commands:
            return f"{line}: there is {', '.join(command.commands)}"
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    return next((f"{line}: no {word}" for word in words if word.startswith("--") and word not in known), None)


def test_the_commands_of_the_runbook_are_there() -> None:
    lines = {" ".join(line.split()) for line in re.findall(r"`(postlude [^`]+)`", RUNBOOK)}
    assert len(lines) > 10
    assert [found for line in sorted(lines) if (found := wrong_command(line))] == []


def test_the_commands_that_errors_end_with_are_there() -> None:
    lines = {text.rpartition("[")[2].rstrip("]") for _, _, text in LINES if text.endswith("]") and "[postlude " in text}
    assert len(lines) >= 4
    assert [found for line in sorted(lines) if (found := wrong_command(line))] == []
