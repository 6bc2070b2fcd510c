"""deploy/grafana: promtool takes the rules, their tests pass, and every query asks for what there is."""

import json
import re
import subprocess

import pytest

from stand import process

GRAFANA = process.ROOT / "deploy/grafana"
DASHBOARD = json.loads((GRAFANA / "sitewatch.json").read_text())
RULES = (GRAFANA / "rules.yml").read_text()
ALERTS = re.findall(r"- alert: (\w+)", RULES)
OTHERS = {"up"}  # Prometheus' own


def promtool(*args):
    done = subprocess.run(["promtool", *map(str, args)], capture_output=True, text=True, check=False, cwd=GRAFANA)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def panels():
    for panel in DASHBOARD["panels"]:
        for query in panel.get("targets", []):
            yield panel["title"], query["expr"]


def metric_names(expression):
    return set(re.findall(r"\b(?:sitewatch|probe)_\w+", expression)) - OTHERS


def documented():
    """Every series that a program shows, histograms by their parts."""
    names = set()
    for name, kind in re.findall(r"^\| `(\w+)` \| (\w+) \|", (process.ROOT / "docs/metrics.md").read_text(), re.M):
        names |= {f"{name}_{part}" for part in ("bucket", "count", "sum")} if kind == "histogram" else {name}
    return names


def test_promtool_takes_the_configuration_and_the_rules():
    assert f"{len(ALERTS)} rules" in promtool("check", "config", "prometheus.yml")


def test_the_tests_of_the_rules_pass():
    assert "SUCCESS" in promtool("test", "rules", "rules_test.yml")


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_tested_for_firing_and_not_firing_and_says_what_to_do(alert):
    tests = (GRAFANA / "rules_test.yml").read_text()
    assert re.search(rf"alertname: {alert}\n +exp_alerts:", tests)
    assert re.search(rf"alertname: {alert} }}", tests)
    assert re.search(rf"^\| `{alert}` \|[^|]+\|[^|]+\|$", (process.ROOT / "docs/alerts.md").read_text(), re.M)


def test_rules_and_dashboard_ask_for_metrics_that_there_are():
    asked = {name for _, expression in panels() for name in metric_names(expression)} | metric_names(RULES)
    assert len(asked) > 20
    assert asked <= documented(), asked - documented()


def test_queries_of_the_dashboard_are_valid(tmp_path):
    lines = ["groups:", "- name: dashboard", "  rules:"]
    for number, (_, expression) in enumerate(panels()):
        plain = re.sub(r"\$__(rate_interval|range)", "5m", expression).replace("$site", ".*").replace("$location", ".*")
        assert "$" not in plain, plain
        lines += [f"  - record: query:{number}", f"    expr: {json.dumps(plain)}"]
    assert len(lines) > 40
    path = tmp_path / "dashboard.yml"
    path.write_text("\n".join(lines) + "\n")
    promtool("check", "rules", path)


def test_panels_of_the_dashboard_lie_beside_each_other():
    places = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & places, panel["title"]
        places |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
