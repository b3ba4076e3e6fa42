/** Pictures without a browser: ECharts draws, here are the colours, which follow the reader's light or dark, and the kinds of charts. */
import { type CustomSeriesOption, type CustomSeriesRenderItemReturn, type EChartsOption, init } from "echarts";

/** By light and dark. */
const paper = { light: "#ffffff", dark: "#0d1117" };
const ink = { light: "#1f2328", dark: "#e6edf3" };
const faint = { light: "#59636e", dark: "#9198a1" };
const rule = { light: "#d1d9e0", dark: "#3d444d" };

/** Told apart by the colour-blind too, and seen on white and on black (after Okabe and Ito, 2008). */
const colours = ["#1f83d6", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#8a9a2f", "#8c7ae6", "#7f8c8d"];

function colourOf(index: number): string {
  return colours[index % colours.length] as string;
}

const font = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif";
const width = 860;

/** The same figures make the same bytes. */
function svg(height: number, option: EChartsOption): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    chart.setOption({
      animation: false,
      backgroundColor: paper.light,
      textStyle: { fontFamily: font, color: ink.light },
      ...option,
    });
    return themed(chart.renderToSVGString());
  } finally {
    chart.dispose();
  }
}

/** Without what only a browser's scripts use, such as names that count up from one picture to the next. */
function themed(drawn: string): string {
  const bare = drawn
    .replace(/<style >[\s\S]*?<\/style>\n?/g, "")
    .replace(/ (?:ecmeta_\w+|class|pointer-events)="[^"]*"/g, "")
    .replace(/\bzr\d+-/g, "")
    // Not every reader knows the first one.
    .replaceAll('dominant-baseline="central"', 'dy="0.35em"')
    .replaceAll("></path>", "/>")
    .replaceAll("></rect>", "/>");
  const dark = [paper, ink, faint, rule].map(
    (each) => `[fill="${each.light}"]{fill:${each.dark}}[stroke="${each.light}"]{stroke:${each.dark}}`,
  );
  return `${bare.replace(/<svg[^>]*>/, (opening) => `${opening}\n<style>@media (prefers-color-scheme:dark){${dark.join("")}}</style>`)}\n`;
}

const labels = { color: faint.light, fontSize: 12 };
const axes = { axisLine: { lineStyle: { color: rule.light } }, splitLine: { lineStyle: { color: rule.light } }, axisTick: { show: false } };
/** With an edge of paper, so that no line runs through it. */
const written = { fill: ink.light, fontFamily: font, fontSize: 12, verticalAlign: "middle" as const, stroke: paper.light, lineWidth: 3 };
const named = (name: string) => ({ name, nameLocation: "middle" as const, nameGap: 28, nameTextStyle: labels });
const heading = (text: string) => ({ text, left: 12, top: 10, textStyle: { color: ink.light, fontSize: 15, fontFamily: font } });
const legend = { left: 12, top: 36, itemWidth: 14, itemHeight: 10, itemGap: 26, textStyle: { ...labels, fontFamily: font } };

export interface Bar {
  readonly name: string;
  readonly ratio: number;
  readonly lowest: number;
  readonly highest: number;
  readonly aim?: number | undefined;
}

export interface Group {
  readonly title: string;
  readonly bars: readonly Bar[];
}

const barHeight = 10;
const titleHeight = 22;

/** Groups of bars that grow from the line at 1 to the right or the left, by powers of two; those of `marked` come with their figures. */
export function bars(title: string, axis: string, groups: readonly Group[], marked: string): string {
  const titles: { text: string; y: number }[] = [];
  const placed: { bar: Bar; y: number }[] = [];
  let height = 0;
  for (const { title, bars } of groups) {
    titles.push({ text: title, y: height + titleHeight / 2 + 2 });
    height += titleHeight;
    for (const bar of bars) placed.push({ bar, y: height + barHeight * (bars.indexOf(bar) + 0.5) });
    height += bars.length * barHeight + 6;
  }
  const all = placed.flatMap(({ bar: { lowest, highest, aim = 1 } }) => [lowest, highest, aim, 1]).map(Math.log2);
  const names = [...new Set(placed.map(({ bar }) => bar.name))].sort((one, other) => Number(other === marked) - Number(one === marked));
  const top = 40 + legendHeight(names);
  const captions = custom("", ink.light, titles, ({ text, y }, at) => ({
    type: "text",
    x: 14,
    y: at(1, y)[1],
    style: { text, ...written },
  }));
  const series = names.map((name, index) =>
    custom(
      name,
      colourOf(index),
      placed.filter(({ bar }) => bar.name === name),
      ({ bar, y }, at) => {
        const [from, middle] = at(1, y);
        const [to] = at(bar.ratio, y);
        const children = [
          {
            type: "rect" as const,
            shape: { x: Math.min(from, to), y: middle - 4, width: Math.abs(to - from) + 1, height: 8 },
            style: { fill: colourOf(index) },
          },
          stroke(at(bar.lowest, y), at(bar.highest, y), 1),
        ];
        if (name !== marked) return { type: "group", children };
        const [end] = at(Math.max(bar.highest, bar.aim ?? 0, 1), y);
        const aim = bar.aim === undefined ? [] : [stroke(at(bar.aim, y - 7), at(bar.aim, y + 7), 2.5)];
        const figure = {
          type: "text" as const,
          x: end + 6,
          y: middle,
          style: { text: `${said(bar.ratio)} ×`, ...written, fontWeight: "bold" as const },
        };
        return { type: "group", children: [...children, ...aim, figure] };
      },
    ),
  );
  return svg(top + height + 48, {
    title: heading(title),
    legend: { ...legend, data: names },
    grid: { left: 24, right: 60, top, height },
    xAxis: {
      ...axes,
      type: "value",
      min: Math.floor(Math.min(...all)),
      max: Math.ceil(Math.max(...all)),
      interval: 1,
      axisLabel: { ...labels, formatter: (power: number) => (power < 0 ? `1/${2 ** -power}` : `${2 ** power}`) },
      ...named(axis),
    },
    yAxis: { type: "value", min: 0, max: height, inverse: true, show: false },
    series: [...series, custom("", ink.light, [height], (end, at) => stroke(at(1, 0), at(1, end), 1.5)), captions],
  });
}

/** Draws each datum where it lies; `at` tells where a ratio and a height are. */
function custom<Datum>(
  name: string,
  color: string,
  data: readonly Datum[],
  draw: (datum: Datum, at: (ratio: number, y: number) => [number, number]) => CustomSeriesRenderItemReturn,
): CustomSeriesOption {
  return {
    type: "custom",
    name,
    color,
    silent: true,
    data: data.map((_, index) => [0, 0, index]),
    renderItem: (_, api) => {
      const at = (ratio: number, y: number) => api.coord([Math.log2(ratio), y]) as [number, number];
      return draw(data[api.value(2) as number] as Datum, at);
    },
  };
}

function stroke([x1, y1]: [number, number], [x2, y2]: [number, number], lineWidth: number) {
  return { type: "line" as const, shape: { x1, y1, x2, y2 }, style: { stroke: ink.light, lineWidth } };
}

export interface Panel {
  /** What the upright axis tells. */
  readonly title: string;
  readonly log?: boolean;
  readonly lines: readonly { readonly name: string; readonly points: readonly (readonly [at: number, figure: number])[] }[];
}

/** Panels beside each other, with a line for each name, a thick one for `marked`; the steps of the level axis are as far apart as each other. */
export function lines(title: string, axis: string, panels: readonly Panel[], marked?: string): string {
  const names = [...new Set(panels.flatMap((panel) => panel.lines.map(({ name }) => name)))];
  const top = 72 + legendHeight(names);
  const share = width / panels.length;
  const steps = panels.map((panel) =>
    [...new Set(panel.lines.flatMap(({ points }) => points.map(([at]) => at)))].sort((one, other) => one - other),
  );
  return svg(top + 250 + 56, {
    title: [
      heading(title),
      ...panels.map((panel, index) => ({
        text: panel.title,
        left: index * share + 12,
        top: top - 34,
        textStyle: { ...labels, color: ink.light, fontFamily: font },
      })),
    ],
    legend: { ...legend, data: names },
    grid: panels.map((_, index) => ({ left: index * share + 74, width: share - 74 - 24, top, height: 250 })),
    xAxis: panels.map((_, index) => ({
      ...axes,
      type: "category" as const,
      gridIndex: index,
      data: (steps[index] as number[]).map((at) => at.toLocaleString("en-US")),
      axisLabel: labels,
      ...named(axis),
    })),
    yAxis: panels.map(({ log }, index) => ({
      ...axes,
      type: log ? ("log" as const) : ("value" as const),
      gridIndex: index,
      axisLabel: { ...labels, formatter: (figure: number) => figure.toLocaleString("en-US") },
    })),
    series: panels.flatMap((panel, index) =>
      panel.lines.map(({ name, points }) => ({
        type: "line" as const,
        name,
        xAxisIndex: index,
        yAxisIndex: index,
        data: (steps[index] as number[]).map((at) => points.find((point) => point[0] === at)?.[1] ?? "-"),
        color: colourOf(names.indexOf(name)),
        symbol: "circle",
        symbolSize: 7,
        lineStyle: { width: name === marked ? 3 : 1.5 },
      })),
    ),
  });
}

export interface Portions {
  readonly name: string;
  /** In parts of 1. */
  readonly shares: readonly number[];
  readonly longestMs: number;
}

/** What each process had of the whole, beside the longest wait. */
export function portions(title: string, all: readonly Portions[]): string {
  const processes = Math.max(...all.map(({ shares }) => shares.length));
  const names = all.map(({ name }) => name);
  const height = all.length * 30;
  const top = 70;
  const band = { type: "category" as const, data: names, inverse: true, axisTick: { show: false }, axisLine: { show: false } };
  return svg(top + height + 48, {
    title: heading(title),
    grid: [
      { left: 190, width: 370, top, height },
      { left: 615, width: 180, top, height },
    ],
    xAxis: [
      {
        ...axes,
        type: "value",
        min: 0,
        max: 100,
        interval: 100 / processes,
        axisLabel: { ...labels, formatter: "{value} %" },
        ...named("of the sections, by process"),
      },
      { ...axes, gridIndex: 1, type: "value", splitNumber: 3, axisLabel: { ...labels, hideOverlap: true }, ...named("longest wait, ms") },
    ],
    yAxis: [
      { ...band, axisLabel: { ...labels, color: ink.light } },
      { ...band, gridIndex: 1, axisLabel: { show: false } },
    ],
    series: [
      ...Array.from({ length: processes }, (_, rank) => ({
        type: "bar" as const,
        stack: "shares",
        barWidth: 18,
        data: all.map(({ shares }) => (shares[rank] ?? 0) * 100),
        itemStyle: { color: colourOf(0), opacity: 1 - (rank * 0.8) / processes, borderColor: paper.light, borderWidth: 1 },
      })),
      {
        type: "bar" as const,
        xAxisIndex: 1,
        yAxisIndex: 1,
        barWidth: 18,
        data: all.map(({ longestMs }) => longestMs),
        itemStyle: { color: faint.light },
        label: {
          show: true,
          position: "right" as const,
          color: ink.light,
          fontSize: 12,
          formatter: ({ value }: { value?: unknown }) => `${said(value as number)} ms`,
        },
      },
    ],
  });
}

/** Roughly how much room the names take: the library measures text only in browsers. */
function legendHeight(names: readonly string[]): number {
  const length = names.reduce((sum, name) => sum + name.length * 6.8 + 48, 0);
  // Rows of it are as far apart as names in a row.
  return 22 + (Math.ceil(length / (width - 40)) - 1) * 36;
}

function said(figure: number): string {
  return Number(figure.toPrecision(figure >= 100 ? 3 : 2)).toLocaleString("en-US");
}
