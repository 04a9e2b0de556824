"""What all boards have in common: frame, variables, links, and one function per kind of panel.

Knows Grafana's builders; leaves what is asked, and in which order it is shown, to the boards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple, TypeVar
from urllib.parse import quote

from grafana_foundation_sdk.builders import common, dashboard, heatmap, logs, loki, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueTextMode,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    LogsSortOrder,
    ScaleDistribution,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    Panel,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

# Names and labels as grafana/dashboard-linter wants them.
_PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${prometheus_datasource}")
_LOKI = DataSourceRef(type_val="loki", uid="${loki_datasource}")
# Provisioned with this uid, be it Jaeger or Tempo.
_TRACES_UID = "otelbridge-traces"
_TAG = "otelbridge"
_ALL = VariableOption(text="All", value="$__all")

_Shown = TypeVar("_Shown", timeseries.Panel, stat.Panel, table.Panel, heatmap.Panel, logs.Panel)


class Ask(NamedTuple):
    """A query, and what its series are called; `exemplars` are the dots that open a trace."""

    expression: str
    legend: str = ""
    exemplars: bool = False


def legend(*labels: str) -> str:
    """Return what a series is called: the values of its labels."""
    return " ".join(f"{{{{{label}}}}}" for label in labels)


class Link(NamedTuple):
    """Where a click on a series leads."""

    title: str
    url: str


Row = tuple[str, Sequence[Builder[Panel]]]


def encode_board(
    uid: str, title: str, description: str, variables: Sequence[Builder[VariableModel]], rows: Sequence[Row]
) -> str:
    """Return a board as JSON: the same text for the same board."""
    builder = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([_TAG])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time("now-30m", "now")
        .refresh("30s")
        .link(
            dashboard.DashboardLink("Other boards")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([_TAG])
            .as_dropdown(True)
            .keep_time(True)
        )
        .variables(list(variables))
    )
    for name, panels in rows:
        builder.with_row(dashboard.Row(name))
        for panel in panels:
            builder.with_panel(panel)
    board = builder.build()
    for index, shown in enumerate(board.panels or [], start=1):
        shown.id_val = index
    return json.dumps(board, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


# ------------------------------------------------------------------------------------------------------- variables


def prometheus_variables(metric: str) -> list[Builder[VariableModel]]:
    """Return data source, job and instance, as `metric` knows them."""
    return [
        dashboard.DatasourceVariable("prometheus_datasource").type("prometheus").label("Prometheus data source"),
        label_variable("job", metric, "job", all_value=".+"),
        label_variable("instance", f'{metric}{{job=~"$job"}}', "instance", all_value=".+"),
    ]


def label_variable(name: str, selector: str, label: str, *, all_value: str) -> Builder[VariableModel]:
    """Return a choice of the values of a label in Prometheus."""
    return (
        dashboard.QueryVariable(name)
        .label(name.title())
        .datasource(_PROMETHEUS)
        .query(f"label_values({selector}, {label})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(all_value)
        .current(_ALL)
    )


def loki_variables(label: str) -> list[Builder[VariableModel]]:
    """Return data source and service, which is what `label` says."""
    return [
        dashboard.DatasourceVariable("loki_datasource").type("loki").label("Loki data source"),
        dashboard.QueryVariable("service")
        .label("Service")
        .datasource(_LOKI)
        .query(f"label_values({label})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(_ALL),
    ]


def choice_variable(name: str, label: str, values: Sequence[str]) -> Builder[VariableModel]:
    """Return a choice of known values."""
    choice = dashboard.CustomVariable(name).label(label).values(",".join(values))
    options = [VariableOption(text=value, value=value) for value in values]
    return choice.options([_ALL, *options]).multi(True).include_all(True).all_value(".*").current(_ALL)


def text_variable(name: str, label: str, default: str = "") -> Builder[VariableModel]:
    """Return a box to type into."""
    option = VariableOption(text=default, value=default)
    return dashboard.TextBoxVariable(name).label(label).default_value(default).current(option).options([option])


# ------------------------------------------------------------------------------------------------------------ links


def label_value(label: str) -> str:
    """Return Grafana's expression for what the clicked series has for a label."""
    return f"${{__field.labels.{label}:percentencode}}"


def board_link(title: str, uid: str, variable: str, label: str) -> Link:
    """Return a link to a board, whose variable is what the clicked series has for `label`."""
    return Link(title, f"/d/{uid}?var-{variable}={label_value(label)}&${{__url_time_range}}")


def traces_link(title: str, *, service: str, operation: str) -> Link:
    """Return a link to Explore: Jaeger's search for the traces of an operation."""
    query = {"refId": "A", "queryType": "search", "service": service, "operation": operation, "limit": 20}
    pane = {"datasource": _TRACES_UID, "queries": [query], "range": {"from": "${__from}", "to": "${__to}"}}
    panes = json.dumps({"traces": pane}, separators=(",", ":"))
    # Grafana fills variables in only where they stand as they are.
    parts = re.split(r"(\$\{[^}]+\})", panes)
    encoded = "".join(part if index % 2 else quote(part, safe="") for index, part in enumerate(parts))
    return Link(title, f"/explore?schemaVersion=1&panes={encoded}")


# ----------------------------------------------------------------------------------------------------------- panels


def lines(
    title: str,
    description: str,
    unit: str,
    asks: Sequence[Ask],
    *,
    width: int = 12,
    stacked: bool = False,
    links: Sequence[Link] = (),
    source: DataSourceRef = _PROMETHEUS,
) -> Builder[Panel]:
    """Return lines over time; `stacked` bars for what adds up."""
    panel = (
        timeseries.Panel()
        .min(0)
        .line_width(1)
        .fill_opacity(60 if stacked else 10)
        .draw_style(GraphDrawStyle.BARS if stacked else GraphDrawStyle.LINE)
        .show_points(VisibilityMode.AUTO)
        .span_nulls(False)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .data_links([dashboard.DashboardLink(link.title).url(link.url) for link in links])
        .unit(unit)
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    return _placed(panel, title, description, width, 8, asks, source)


def number(title: str, description: str, unit: str, ask: Ask, *, width: int = 6, text: bool = False) -> Builder[Panel]:
    """Return the last value in large, or (`text`) the name of the series."""
    panel = stat.Panel().unit(unit).min(0)
    if text:
        panel.text_mode(BigValueTextMode.NAME)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
    return _placed(panel, title, description, width, 4, [ask], _PROMETHEUS)


def heat(
    title: str, description: str, unit: str, expression: str, *, has_buckets: bool, width: int = 12
) -> Builder[Panel]:
    """Return how often which value was measured, over time."""
    panel = (
        heatmap.Panel()
        .calculate(False)
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
        .y_axis(heatmap.YAxisConfig().unit(unit).min(0))
        .cell_values(heatmap.CellValues().unit("short"))
        .scale_distribution(common.ScaleDistributionConfig().type(ScaleDistribution.LINEAR))
    )
    panel.with_target(
        prometheus.Dataquery()
        .expr(expression)
        .format(PromQueryFormat.HEATMAP)
        .range()
        .legend_format("{{le}}" if has_buckets else "")
        .datasource(_PROMETHEUS)
        .ref_id("A")
    )
    return _placed(panel, title, description, width, 8, [], _PROMETHEUS)


def log_lines(title: str, description: str, expression: str, *, height: int) -> Builder[Panel]:
    """Return the records themselves, newest first."""
    panel = (
        logs.Panel()
        .show_time(True)
        .show_labels(False)
        .wrap_log_message(True)
        .enable_log_details(True)
        .sort_order(LogsSortOrder.DESCENDING)
    )
    return _placed(panel, title, description, 24, height, [Ask(expression)], _LOKI)


def log_volume(title: str, description: str, expression: str, *labels: str) -> Builder[Panel]:
    """Return how many records there were, over time."""
    return lines(title, description, "short", [Ask(expression, legend(*labels))], stacked=True, source=_LOKI)


def log_table(
    title: str, description: str, expression: str, columns: dict[str, str], count: str, *, height: int
) -> Builder[Panel]:
    """Return counts in the whole time range by labels, called as `columns` says; the count is called `count`."""
    panel = table.Panel().unit("short").filterable(True)
    order = {name: index for index, name in enumerate([*columns, "Value #A"])}
    shown = {**columns, "Value #A": count}
    # Loki answers with a frame per series, whose labels are no fields yet.
    for name, options in (
        ("labelsToFields", {"mode": "columns"}),
        ("merge", {}),
        ("organize", {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": shown}),
        ("sortBy", {"sort": [{"field": count, "desc": True}]}),
    ):
        panel.with_transformation(DataTransformerConfig(id_val=name, options=options))
    panel.with_target(
        loki.Dataquery().expr(expression).query_type("instant").instant(True).datasource(_LOKI).ref_id("A")
    )
    return _placed(panel, title, description, 24, height, [], _LOKI)


def _placed(
    panel: _Shown, title: str, description: str, width: int, height: int, asks: Sequence[Ask], source: DataSourceRef
) -> Builder[Panel]:
    """Give a panel what every panel has."""
    panel.title(title).description(description).span(width).height(height).datasource(source)
    for index, ask in enumerate(asks):
        ref_id = chr(ord("A") + index)
        if source is _LOKI:
            query = loki.Dataquery().expr(ask.expression).query_type("range").legend_format(ask.legend)
            panel.with_target(query.datasource(_LOKI).ref_id(ref_id))
        else:
            target = prometheus.Dataquery().expr(ask.expression).legend_format(ask.legend).datasource(_PROMETHEUS)
            panel.with_target(target.range().exemplar(ask.exemplars).ref_id(ref_id))
    return panel
