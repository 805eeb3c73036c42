// Searching through the texts of models: curricula, and answers side by side. A page of rows is made at a time.
"use strict";

const ROWS_A_PAGE = 25;

function choice(label, options, onChange) {
  const select = element("select", {}, ...options.map(([value, text]) => element("option", { value }, text)));
  select.addEventListener("change", onChange);
  return { select, field: element("label", {}, label, select) };
}

function text(content) {
  return element("div", { class: "text", dir: "auto" }, content);
}

// Shows `count()` rows of which `keep(place)` are wanted, each drawn by `row(place)`; `refresh` begins at the first again.
function pager(place, { count, keep, row, sentence }) {
  const [found, rows, pages] = ["found", "rows", "pages"].map((name) => place.querySelector(`.${name}`));
  const before = element("button", { type: "button" }, "Previous");
  const after = element("button", { type: "button" }, "Next");
  const where = element("span");
  let kept = [];
  let first = 0;
  const show = () => {
    rows.replaceChildren(...kept.slice(first, first + ROWS_A_PAGE).map(row));
    where.textContent = kept.length ? `${first + 1}–${Math.min(first + ROWS_A_PAGE, kept.length)} of ${kept.length.toLocaleString("en")}` : "";
    before.disabled = first === 0;
    after.disabled = first + ROWS_A_PAGE >= kept.length;
  };
  before.addEventListener("click", () => { first -= ROWS_A_PAGE; show(); });
  after.addEventListener("click", () => { first += ROWS_A_PAGE; show(); });
  pages.replaceChildren(before, where, after);
  return () => {
    kept = d3.range(count()).filter(keep);
    first = 0;
    found.textContent = sentence(kept.length);
    show();
  };
}

// Waits until nobody has typed for a moment.
function searchField(onChange) {
  const input = element("input", { type: "search", placeholder: "words of the problem or the answer" });
  let timer;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(onChange, 120);
  });
  return { input, field: element("label", {}, "Search", input) };
}

async function itemBrowser(place) {
  const packs = page.texts.curricula;
  if (!packs.length) {
    place.querySelector(".found").textContent = "No curriculum has been written yet.";
    return;
  }
  let items, haystack;
  const refresh = pager(place, {
    count: () => items.line.length,
    keep: (at) =>
      haystack[at].includes(search.input.value.toLowerCase())
      && (!skill.select.value || `${items.skill[at]} ${items.difficulty[at]}` === skill.select.value)
      && (!verdict.select.value || String(items.verified[at]) === verdict.select.value),
    row: (at) => element(
      "div", { class: "row" }, element("div", { class: "pair" }, text(items.prompt[at]), text(items.completion[at])),
      items.reasoning[at] ? element("details", {}, element("summary", {}, "the teacher’s reasoning"), text(items.reasoning[at])) : null,
      element(
        "div", { class: "facts" }, element("span", {}, `${items.skill[at]} ${items.difficulty[at]}`), element("span", {}, items.task[at]),
        element("span", {}, `by ${items.teacher[at]}${items.edited[at] ? ", changed by a human" : ""}`),
        element("span", {}, items.verified[at] ? `verified by ${items.by[at]}, score ${items.score[at]}` : "not verified"),
        element("span", {}, `line ${items.line[at].toLocaleString("en")}`),
      ),
    ),
    sentence: (count) => {
      const { shown, total, path } = packs[generation.select.selectedIndex];
      const part = shown < total ? `, of ${shown.toLocaleString("en")} in this page, drawn at random from the ${total.toLocaleString("en")} of` : " of";
      return `${count.toLocaleString("en")} items found${part} ${path}`;
    },
  });
  const load = async () => {
    const wanted = generation.select.value;
    const loaded = await unpack(`items-${wanted}`);
    if (generation.select.value !== wanted) return; // another was chosen meanwhile
    items = loaded;
    haystack = items.prompt.map((prompt, at) => `${prompt}\n${items.completion[at]}\n${items.reasoning[at]}`.toLowerCase());
    const names = d3.sort(new Set(items.skill.map((name, at) => `${name} ${items.difficulty[at]}`)));
    skill.select.replaceChildren(element("option", { value: "" }, "all"), ...names.map((name) => element("option", { value: name }, name)));
    refresh();
  };
  const generation = choice("Curriculum of", packs.map(({ name }) => [name, name]), load);
  const skill = choice("Skill and difficulty", [["", "all"]], refresh);
  const verdict = choice("Verdict", [["", "all"], ["true", "verified"], ["false", "not verified"]], refresh);
  const search = searchField(refresh);
  place.querySelector(".filters").replaceChildren(search.field, generation.field, skill.field, verdict.field);
  generation.select.value = (packs.findLast(({ name }) => !name.includes("/")) ?? packs[0]).name;
  await load();
}

async function answerBrowser(place) {
  const answers = page.texts.answers;
  if (!answers) {
    place.querySelector(".found").textContent = "Nothing has been evaluated yet.";
    return;
  }
  const names = answers.members.map(({ name }) => name);
  const main = names.filter((name) => !name.includes("/"));
  const wanted = [...new Set([main[0], main[Math.floor((main.length - 1) / 2)], main.at(-1)])];
  let items, haystack, columns;
  const refresh = pager(place, {
    count: () => items.task.length,
    keep: (at) => {
      const [first, last] = [columns[0].score[at], columns.at(-1).score[at]];
      return haystack[at].includes(search.input.value.toLowerCase())
        && (!task.select.value || items.task[at] === task.select.value)
        && ({ "": true, gained: last > first, lost: last < first, right: last === 1, wrong: last !== null && last < 1 })[change.select.value];
    },
    row: (at) => element(
      "div", { class: "row" }, text(items.prompt[at]),
      items.target[at] ? element("div", { class: "facts" }, "expected") : null, items.target[at] ? text(items.target[at]) : null,
      element("div", { class: "columns" }, ...columns.map((column, each) => element(
        "div", { class: column.score[at] === 1 ? "right" : "wrong" },
        element("div", { class: "facts" }, element("span", {}, chosen[each].select.value),
          element("span", {}, column.score[at] === null ? "not asked" : `score ${column.score[at]}`),
          column.missed[at] ? element("span", {}, `missed: ${column.missed[at]}`) : null),
        text(column.answer[at]),
      ))),
      element("div", { class: "facts" }, `${items.task[at]}, item ${items.index[at]}`),
    ),
    sentence: (count) => `${count.toLocaleString("en")} of ${answers.shown.toLocaleString("en")} items`
      + (answers.shown < answers.total ? `, drawn at random from the suite’s ${answers.total.toLocaleString("en")}` : ""),
  });
  const load = async () => {
    const [found, ...loaded] = await Promise.all([unpack("suite-items"), ...chosen.map(({ select }) => unpack(`answers-${select.value}`))]);
    items = found;
    columns = loaded;
    haystack = items.prompt.map((prompt, at) => `${prompt}\n${items.target[at]}\n${columns.map((column) => column.answer[at]).join("\n")}`.toLowerCase());
    refresh();
  };
  const chosen = wanted.map((name, each) => {
    const column = choice(["First", "Second", "Third"][each], names.map((every) => [every, every]), load);
    column.select.value = name;
    return column;
  });
  const search = searchField(refresh);
  const change = choice("From first to last", [["", "all"], ["gained", "gained"], ["lost", "lost"], ["right", "last is right"], ["wrong", "last is wrong"]], refresh);
  const task = choice("Task", [["", "all"]], refresh);
  place.querySelector(".filters").replaceChildren(search.field, change.field, task.field, ...chosen.map(({ field }) => field));
  await load();
  const tasks = d3.sort(new Set(items.task));
  task.select.append(...tasks.map((name) => element("option", { value: name }, name)));
}

for (const [id, browser] of [["items", itemBrowser], ["outcomes", answerBrowser]]) {
  const place = document.getElementById(id);
  if (place) whenSeen(place, () => browser(place));
}
