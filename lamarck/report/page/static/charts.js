// The charts, drawn by Observable Plot. Colours are the style sheet's, so that they follow the theme.
"use strict";

const MOST_LANES = 12;
const ARMS = { domain: ["main", "control", "other"], range: ["var(--main)", "var(--control)", "var(--other)"] };

const armOf = (member) => (member.lane === "" ? "main" : /(^|\/)control$/.test(member.lane) ? "control" : "other");
const byName = new Map(page.members.map((member) => [member.name, member]));
const stateOf = (member) => {
  const states = member.pieces.map((piece) => piece.state);
  if (states.every((state) => state === "absent")) return "to come";
  if (states.some((state) => !["absent", "whole"].includes(state))) return "broken";
  const score = page.scores[member.name];
  return score?.partial ? "partial" : score ? "scored" : "unfinished";
};
const trainings = Object.values(page.trainings);
const laneName = (lane) => (lane === "" ? "main" : lane);
const oneDecimal = (value) => (value === null || value === undefined ? "" : value.toFixed(1));

// The main lineage and its control arm first, then the others, best score first.
function lanes() {
  const best = d3.rollup(page.members, (own) => d3.max(own, (member) => page.scores[member.name]?.score), (member) => member.lane);
  const first = ["", "control"].filter((lane) => best.has(lane));
  const others = [...best.keys()].filter((lane) => !first.includes(lane));
  return [...first, ...d3.sort(others, (lane) => -(best.get(lane) ?? -1))];
}

function lineageChart(width) {
  const shown = lanes().slice(0, MOST_LANES);
  const members = page.members.filter((member) => shown.includes(member.lane));
  const lines = members.flatMap((child) => child.parents.filter((name) => byName.has(name)).map((name) => ({ child, parent: byName.get(name) })));
  const gates = members.filter((member) => member.gate && member.gate.state !== "not planned");
  const gateText = ({ gate }) => (gate.approved_plan === gate.plan ? `${gate.by}\n${gate.date}` : gate.state === "refused" ? "refused" : "waits");
  const last = d3.max(members, (member) => member.number);
  const title = (member) => `${member.name}: ${stateOf(member)}${page.scores[member.name]?.score != null ? `, score ${oneDecimal(page.scores[member.name].score)}` : ""}`;
  const href = (member) => `#record/${member.name}`;
  return Plot.plot({
    width: Math.max(width, 150 * (last + 1)),
    height: 50 + 92 * shown.length,
    marginLeft: 90,
    marginRight: 50,
    marginTop: 10,
    x: { domain: [-0.15, last + 0.15], ticks: d3.range(last + 1), tickFormat: (number) => `g${number}`, label: null },
    y: { type: "point", domain: shown, padding: 0.5, tickFormat: laneName, label: null, tickSize: 0 },
    color: ARMS,
    marks: [
      Plot.link(lines, {
        x1: ({ parent }) => parent.number, x2: ({ child }) => child.number, y1: ({ parent }) => parent.lane, y2: ({ child }) => child.lane,
        stroke: ({ child }) => armOf(child), strokeWidth: 1.5, curve: "bump-x", strokeOpacity: 0.6,
      }),
      Plot.dot(gates, {
        x: (member) => member.number - 0.4, y: "lane", symbol: "diamond", r: 8, href, ariaLabel: (member) => `Gate of ${member.name}`,
        fill: "var(--paper)", stroke: (member) => (member.gate.approved_plan === member.gate.plan ? "var(--good)" : "var(--bad)"), strokeWidth: 2,
      }),
      Plot.text(gates, { x: (member) => member.number - 0.4, y: "lane", text: gateText, dy: 26, fill: "var(--faint)" }),
      Plot.dot(members, {
        x: "number", y: "lane", r: 17, href, ariaLabel: title, strokeWidth: 2.5, stroke: armOf,
        strokeDasharray: (member) => (stateOf(member) === "to come" ? "3,3" : "none"),
        fill: (member) => (["broken", "partial"].includes(stateOf(member)) ? "var(--bad)" : "var(--paper)"), fillOpacity: 0.9,
      }),
      Plot.text(members, {
        x: "number", y: "lane", text: (member) => oneDecimal(page.scores[member.name]?.score) || { "to come": "", broken: "!", partial: "!", unfinished: "…" }[stateOf(member)],
        fontWeight: 600, pointerEvents: "none", fill: (member) => (["broken", "partial"].includes(stateOf(member)) ? "var(--paper)" : "var(--ink)"),
      }),
      Plot.text(members, {
        filter: (member) => stateOf(member) !== "scored", x: "number", y: "lane", dy: 26, text: stateOf, fill: "var(--faint)",
      }),
    ],
  });
}

// "score", "tier sanity", "task arithmetic_2" -> what a generation's evaluation says of it.
function measured(score, measure) {
  const [kind, name] = measure.split(" ");
  const found = kind === "tier" ? score.tiers[name] : kind === "task" ? score.tasks[name] : score;
  return found?.score == null ? null : { score: found.score, low: found.interval?.low, high: found.interval?.high };
}

function scoresChart(width) {
  const measure = document.getElementById("measure").value;
  const rows = Object.values(page.scores).flatMap((score) => {
    const member = byName.get(score.generation);
    const found = measured(score, measure);
    return found && armOf(member) !== "other" ? [{ ...found, number: member.number, arm: armOf(member), name: member.name }] : [];
  });
  const founder = rows.find((row) => row.number === 0);
  const control = founder ? [{ ...founder, arm: "control" }, ...rows.filter((row) => row.arm === "control")] : [];
  return Plot.plot({
    width, height: 320, marginLeft: 50, marginBottom: 42,
    x: { label: "generation", ticks: d3.range(d3.max(rows, (row) => row.number) + 1), tickFormat: (number) => `g${number}`, inset: 25 },
    y: { label: "points of 100", grid: true, nice: true },
    color: { ...ARMS, legend: true, domain: ["main", "control"] },
    marks: [
      Plot.line(rows.filter((row) => row.arm === "main"), { x: "number", y: "score", stroke: "arm", sort: "number" }),
      Plot.line(control, { x: "number", y: "score", stroke: "arm", sort: "number", strokeDasharray: "5,4" }),
      Plot.ruleX(rows.filter((row) => row.low != null), { x: "number", y1: "low", y2: "high", stroke: "arm", strokeWidth: 3, strokeOpacity: 0.5 }),
      Plot.dot(rows, { x: "number", y: "score", fill: "arm", r: 4 }),
      Plot.tip(rows, Plot.pointer({ x: "number", y: "score", fill: "var(--panel)",
        title: (row) => `${row.name}: ${row.score.toFixed(1)}${row.low == null ? "" : ` [${row.low.toFixed(1)}, ${row.high.toFixed(1)}]`}` })),
    ],
  });
}

function tasksChart(width) {
  const compared = Object.values(page.scores).filter((score) => score.to_founder && armOf(byName.get(score.generation)) !== "other");
  const last = d3.greatest(compared.filter((score) => armOf(byName.get(score.generation)) === "main"), (score) => byName.get(score.generation).number);
  if (!last) return null;
  const shown = compared.filter((score) => [last.generation, `control/${last.generation}`].includes(score.generation));
  const rows = shown.flatMap((score) => Object.entries(score.to_founder.tasks).map(([task, difference]) => ({
    task, difference, arm: armOf(byName.get(score.generation)), tier: score.tasks[task]?.tier,
  })));
  const tasks = d3.sort(new Set(rows.map((row) => row.task)), (task) => last.tasks[task]?.tier, (task) => task);
  return Plot.plot({
    width, height: 60 + 17 * tasks.length, marginLeft: Math.min(260, 0.4 * width), marginTop: 30, marginBottom: 42,
    x: { label: `${last.generation} minus g0, in points`, grid: true, axis: "both" },
    y: { domain: tasks, label: null },
    color: { ...ARMS, legend: true, domain: ["main", "control"] },
    marks: [
      Plot.ruleX([0], { stroke: "var(--faint)" }),
      Plot.ruleY(rows.filter((row) => row.arm === "main"), { y: "task", x1: 0, x2: "difference", stroke: "arm", strokeWidth: 5, strokeOpacity: 0.45 }),
      Plot.dot(rows, { x: "difference", y: "task", fill: "arm", r: 3.5, title: (row) => `${row.task} (${row.tier}): ${row.difference.toFixed(1)}` }),
    ],
  });
}

function rewardsChart(width) {
  const rows = Object.entries(page.rewards).flatMap(([arm, { by_strategy }]) => by_strategy.flatMap(({ digest, rewards, proxies }) =>
    Object.entries(rewards).filter(([teacher]) => teacher in proxies).map(([teacher, reward]) => ({
      digest, teacher: arm === "main" ? teacher : `${teacher} (${arm})`, proxy: proxies[teacher], reward,
    }))));
  if (!rows.length) return null;
  return Plot.plot({
    width: Math.min(width, 640), height: 360, marginLeft: 50, marginBottom: 42, grid: true, inset: 30,
    x: { label: "child’s score (proxy)", nice: true }, y: { label: "grandchild’s score (reward)", nice: true },
    color: { type: "categorical", legend: true, tickFormat: (digest) => `strategy ${digest}` },
    marks: [
      Plot.dot(rows, { x: "proxy", y: "reward", r: 6, fill: (row) => short(row.digest) }),
      Plot.text(rows, { x: "proxy", y: "reward", text: "teacher", dy: -14 }),
    ],
  });
}

const verifiedCurricula = () => Object.values(page.curricula).filter((each) => armOf(byName.get(each.generation)) === "main");

function cellsChart(width) {
  const rows = verifiedCurricula().flatMap((each) => each.cells.map((cell) => ({
    ...cell, number: byName.get(each.generation).number, teacher: each.teacher, name: `${cell.skill} ${cell.difficulty}`,
  })));
  if (!rows.length) return null;
  const names = d3.sort(new Set(rows.map((row) => row.name)));
  const numbers = d3.sort(new Set(rows.map((row) => row.number)));
  return Plot.plot({
    width: Math.max(Math.min(width, 220 + 110 * numbers.length), 140 + 46 * numbers.length), height: 60 + 21 * names.length,
    marginLeft: 140, marginTop: 45,
    x: { axis: "top", type: "band", domain: numbers, tickFormat: (number) => `g${number - 1} → g${number}`, label: null, tickRotate: numbers.length > 8 ? -60 : 0 },
    y: { domain: names, label: null },
    color: { legend: true, domain: [0, 1], label: "share of its first texts that were right", scheme: "YlGnBu" },
    marks: [
      Plot.cell(rows, { x: "number", y: "name", fill: "pass_rate", title: (row) => `${row.teacher} on ${row.name}: ${(100 * row.pass_rate).toFixed(0)}% of its first texts right, ${row.verified} of all ${row.sampled}; ${row.kept} of ${row.asked} items kept` }),
      Plot.text(rows, { x: "number", y: "name", text: "kept", fill: (row) => (row.pass_rate > 0.55 ? "#fff" : "#1a1d22") }),
    ],
  });
}

// One small chart a guard-rail, and two counts that are no guard-rail.
function measuresCharts(place) {
  const values = (each) => ({ ...each.measures, items: each.items, "overlap with the suite, dropped": each.contamination });
  const rows = Object.values(page.curricula).filter((each) => armOf(byName.get(each.generation)) !== "other").map((each) => ({
    number: byName.get(each.generation).number, arm: armOf(byName.get(each.generation)), values: values(each),
  }));
  const names = [...new Set(rows.flatMap((row) => Object.keys(row.values)))];
  for (const measure of names) {
    const own = rows.filter((row) => measure in row.values).map((row) => ({ ...row, value: row.values[measure] }));
    const chart = Plot.plot({
      width: 240, height: 120, marginLeft: 46, marginBottom: 24, color: ARMS,
      x: { ticks: d3.range(1, d3.max(own, (row) => row.number) + 1).slice(0, 6), tickFormat: (number) => `g${number}`, label: null, inset: 12 },
      y: { zero: true, ticks: 3, grid: true, label: null, nice: true },
      marks: [
        Plot.line(own, { x: "number", y: "value", stroke: "arm", z: "arm", sort: "number" }),
        Plot.dot(own, { x: "number", y: "value", fill: "arm", r: 3.5, title: (row) => `${row.arm} g${row.number}: ${row.value}` }),
      ],
    });
    const title = measure.replaceAll("_", " ");
    name(chart, `${title} over generations`);
    place.append(element("figure", {}, element("figcaption", {}, element("h4", {}, title)), chart));
  }
}

const curveRows = () => trainings.filter((each) => armOf(byName.get(each.generation)) !== "other").flatMap((each) => each.curve.map(([step, loss, rate, speed, memory]) => ({
  step, loss, rate, speed, gigabytes: memory === null ? null : memory / 1e9, name: each.generation, arm: armOf(byName.get(each.generation)), number: byName.get(each.generation).number,
})));

function curveChart(width, y, label, marks) {
  const rows = curveRows().filter((row) => row[y] !== null);
  if (!rows.length) return null;
  const names = [...new Set(rows.map((row) => row.name))];
  return Plot.plot({
    width, height: 290, marginLeft: 60, marginBottom: 42,
    x: { label: "optimizer step" }, y: { label, grid: true, zero: y !== "loss" },
    color: { type: "categorical", domain: names, legend: names.length <= 12, scheme: names.length <= 10 ? "observable10" : undefined,
      range: names.length > 10 ? names.map((_, place) => d3.interpolateTurbo(0.1 + (0.8 * place) / names.length)) : undefined },
    marks: marks(rows, { x: "step", y, stroke: "name", z: "name" }),
  });
}

const lossChart = (width) => curveChart(width, "loss", "loss, nats an answer token", (rows, channels) => [
  Plot.line(rows, { ...channels, strokeOpacity: 0.2, strokeWidth: 1 }),
  Plot.line(rows, Plot.windowY(9, { ...channels, strokeWidth: 2 })),
]);
const rateChart = (width) => curveChart(width, "rate", "learning rate", (rows, channels) => [Plot.line(rows, channels)]);
const speedChart = (width) => curveChart(width, "speed", "tokens a second", (rows, channels) => [Plot.line(rows, channels)]);
const memoryChart = (width) => curveChart(width, "gigabytes", "gigabytes, the highest so far", (rows, channels) => [Plot.line(rows, channels)]);

// Bars of the main lineage and its control arm, generation by generation.
function barsChart(width, rows, y, label, { fill = "arm", ...options } = {}, marks = []) {
  const placed = rows.filter((row) => armOf(byName.get(row.generation)) !== "other").map((row) => ({
    ...row, arm: armOf(byName.get(row.generation)), number: byName.get(row.generation).number,
  }));
  if (!placed.length) return null;
  const numbers = d3.sort(new Set(placed.map((row) => row.number)));
  return Plot.plot({
    width: Math.max(width, 80 + 26 * numbers.length), height: 260, marginLeft: 60, marginBottom: 42,
    fx: { domain: numbers, tickFormat: (number) => `g${number}`, label: null }, x: { axis: null, domain: ["main", "control"] },
    y: { label, grid: true }, color: { ...ARMS, domain: ["main", "control"], legend: true }, ...options,
    marks: [
      Plot.barY(placed, { fx: "number", x: "arm", y, fill, title: (row) => `${row.generation}${row.stage ? ` ${row.stage}` : ""}: ${d3.format(",.1f")(row[y])}` }),
      ...marks.map((mark) => mark(placed)),
    ],
  });
}

const ceilingChart = (width) => barsChart(width, trainings, "used_device_seconds", "device-seconds; the line is the approved ceiling", {}, [
  (rows) => Plot.tickY(rows, { fx: "number", x: "arm", y: "ceiling_device_seconds", stroke: "var(--bad)", strokeWidth: 3 }),
]);
const costChart = (width) => barsChart(width, page.costs, "device_seconds", "device-seconds, the main lineage left, control right", {
  fill: "stage", color: { legend: true, type: "categorical", scheme: "observable10" },
});

const CHARTS = {
  lineage: lineageChart, scores: scoresChart, tasks: tasksChart, rewards: rewardsChart, cells: cellsChart,
  loss: lossChart, rate: rateChart, speed: speedChart, memory: memoryChart, cost: costChart, ceiling: ceilingChart,
};

// A chart is one picture with one name; its marks have none, unless they are links, which must stay reachable.
function name(drawing, label) {
  const links = drawing.querySelectorAll("a");
  for (const link of links) {
    link.setAttribute("href", link.getAttributeNS("http://www.w3.org/1999/xlink", "href"));
    link.setAttribute("aria-label", link.firstElementChild.getAttribute("aria-label"));
  }
  for (const mark of drawing.querySelectorAll("[aria-label]:not(a)")) mark.removeAttribute("aria-label");
  drawing.setAttribute("role", links.length ? "group" : "img");
  drawing.setAttribute("aria-label", label);
}

function draw(place) {
  const chart = CHARTS[place.dataset.chart](place.clientWidth);
  if (!chart) {
    place.replaceChildren(element("p", {}, "Nothing to draw yet."));
    return;
  }
  const drawing = chart.tagName === "svg" ? chart : chart.querySelector(":scope > svg");
  name(drawing, place.dataset.label);
  drawing.style.maxWidth = "none";
  place.replaceChildren(chart);
}

{
  const hidden = document.getElementById("hidden-lanes");
  const count = lanes().length;
  if (hidden && count > MOST_LANES) hidden.textContent = `${MOST_LANES} of ${count} lines are drawn, those with the best scores; the table of scores has them all.`;
  const measure = document.getElementById("measure");
  if (measure) {
    const scores = Object.values(page.scores);
    const names = (kind) => [...new Set(scores.flatMap((score) => Object.keys(score[`${kind}s`] ?? {})))];
    measure.append(element("option", { value: "score" }, "the whole suite"));
    for (const kind of ["tier", "task"]) {
      const options = names(kind).map((name) => element("option", { value: `${kind} ${name}` }, name));
      measure.append(element("optgroup", { label: `${kind}s` }, ...options));
    }
    measure.addEventListener("change", () => draw(document.querySelector('[data-chart="scores"]')));
  }
  for (const place of document.querySelectorAll("[data-chart]")) {
    let width = 0;
    whenSeen(place, () => new ResizeObserver(() => {
      if (place.clientWidth !== width) {
        width = place.clientWidth;
        draw(place);
      }
    }).observe(place));
  }
  const measures = document.getElementById("measures");
  if (measures) whenSeen(measures, () => measuresCharts(measures));
}
