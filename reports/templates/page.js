"use strict";
// The samples of the page: a list, filters, and one sample side by side.  Texts by models only
// ever become text nodes.  `data.served` says that they are asked for; else the page holds them.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const PAGE = 100;
  const MARKS = { improved: "▲", regressed: "▼", no_regression: "·", inconclusive: "?", invalid: "✕" };
  // Characters that draw nothing or turn text around are shown by their number.
  const ODD = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

  const make = (tag, more = {}, ...inside) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(more)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "class") node.className = value;
      else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...inside.filter((each) => each != null && each !== ""));
    return node;
  };

  const visible = (text) => {
    const parts = [];
    let last = 0;
    for (const found of text.matchAll(ODD)) {
      parts.push(text.slice(last, found.index));
      const code = found[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
      parts.push(make("span", { class: "odd" }, `U+${code}`));
      last = found.index + found[0].length;
    }
    parts.push(text.slice(last));
    return parts.filter((part) => part !== "");
  };

  const cut = (text, most) => {
    const flat = text.replace(/\s+/g, " ");
    return flat.length > most ? `${flat.slice(0, most - 1)}…` : flat;
  };
  const short = (text, most) => cut(text, most).replace(ODD, "\ufffd");
  const number = (value) => value.toLocaleString("en-US");
  const points = (delta) => {
    if (delta == null) return "missing";
    const shown = Math.abs(100 * delta).toFixed(1);
    return Number(shown) === 0 ? "0.0" : (delta < 0 ? "−" : "+") + shown;
  };

  // ---- where samples come from: both give promises of the same values ----

  const held = () => {
    const side = (raw) => {
      const whole = { ...raw };
      for (const name of ["text", "reasoning", "details", "answer"]) {
        if (name in raw) whole[name] = data.texts[raw[name]];
      }
      for (const name of ["said", "turns"]) {
        if (name in raw) whole[name] = raw[name].map((at) => data.texts[at]);
      }
      return whole;
    };
    const flips = data.flips.map((raw) => ({
      ...raw,
      target: data.texts[raw.target],
      question: data.texts[raw.question],
      before: side(raw.before),
      after: side(raw.after),
    }));
    const words = (flip) =>
      [flip.id, flip.slice, flip.target, flip.question, flip.before.text, flip.after.text,
        flip.before.answer, flip.after.answer].join("\n").toLowerCase();
    const matches = (flip, wanted) =>
      flip.pair === wanted.pair &&
      (!wanted.slice || flip.slice === wanted.slice) &&
      (!wanted.outcome || flip.after.outcome === wanted.outcome) &&
      (!wanted.direction || (flip.delta < 0) === (wanted.direction === "lost")) &&
      (!wanted.search || (flip.words ??= words(flip)).includes(wanted.search.toLowerCase()));
    return {
      directions: ["lost", "gained"],
      async list(wanted, from) {
        const found = flips.filter((flip) => matches(flip, wanted));
        return { total: found.length, rows: found.slice(from, from + PAGE) };
      },
      async facets(at) {
        const mine = flips.filter((flip) => flip.pair === at);
        const { lost, gained, slices } = data.pairs[at];
        const ended = new Map();
        for (const { after } of mine) ended.set(after.outcome, (ended.get(after.outcome) ?? 0) + 1);
        const here = new Set(mine.map((flip) => flip.slice));
        return {
          counts: { lost, gained },
          outcomes: [...ended].sort(),
          slices: slices.filter(([name]) => here.has(name)),
        };
      },
      async sample(row) {
        return row;
      },
    };
  };

  const asked = () => {
    const ask = async (what, wanted) => {
      const answer = await fetch(`${what}?${new URLSearchParams(wanted)}`);
      const found = await answer.json();
      if (!answer.ok) throw new Error(found.error);
      return found;
    };
    return {
      directions: ["lost", "gained", "same"],
      list: (wanted, from) => ask("samples", { ...wanted, from }),
      facets: (pair) => ask("facets", { pair }),
      sample: (row) => ask("sample", { pair: row.pair, at: row.at }),
    };
  };

  const source = data.served ? asked() : held();

  // ---- the frame: filters above, list beside the sample ----

  const browser = document.getElementById("browser");
  const choice = (title, onchange) => {
    const select = make("select", { onchange, "aria-label": title });
    return { select, label: make("label", {}, title, select) };
  };
  const fill = (select, options, value = "") => {
    select.replaceChildren(
      ...options.map(([key, title]) => make("option", { value: key, selected: String(key) === String(value) }, title)),
    );
  };

  const state = { pair: 0, slice: "", outcome: "", direction: "", search: "", at: -1, rows: [], total: 0, counts: { lost: 0, gained: 0 } };
  const comparison = choice("comparison", () => choosePair(pairsOf(comparison.select.value)[0]));
  const task = choice("task", () => choosePair(Number(task.select.value)));
  const slice = choice("slice", () => narrow({ slice: slice.select.value }));
  const outcome = choice("outcome", () => narrow({ outcome: outcome.select.value }));
  const direction = choice("direction", () => narrow({ direction: direction.select.value }));
  const search = make("input", { type: "search", autocomplete: "off", spellcheck: "false", "aria-label": "search", placeholder: "words of a sample" });
  const count = make("p", { class: "count", role: "status" });
  const list = make("ul", { class: "list", "aria-label": "Samples" });
  const shown = make("article", { class: "sample", tabindex: "-1", "aria-label": "One sample", hidden: true });
  const help = make("dialog", { "aria-label": "Keys" },
    make("p", {}, make("kbd", {}, "j"), " ", make("kbd", {}, "k"), " next, previous sample"),
    make("p", {}, make("kbd", {}, "Enter"), " to the sample, ", make("kbd", {}, "Esc"), " back to the list"),
    make("p", {}, make("kbd", {}, "/"), " search, ", make("kbd", {}, "?"), " these keys"),
    make("form", { method: "dialog" }, make("button", {}, "close")));

  let waiting = 0;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => narrow({ search: search.value.trim() }), 120);
  });
  browser.replaceChildren(
    make("div", { class: "bar" }, comparison.label, task.label, slice.label, outcome.label, direction.label,
      make("label", {}, "search", search),
      make("button", { type: "button", onclick: () => help.showModal() }, "keys")),
    count,
    make("div", { class: "sides" }, list, shown),
    help,
  );

  const title = (pair) => short(`${pair.candidate} against ${pair.against}`, 200);
  const pairsOf = (name) => data.pairs.flatMap((pair, at) => (title(pair) === name ? [at] : []));
  const names = [...new Set(data.pairs.map(title))];

  // ---- choosing ----

  let asking = 0;
  const choosePair = async (at, keep = {}) => {
    Object.assign(state, { pair: at, slice: "", outcome: "", ...keep });
    const pair = data.pairs[at];
    state.counts = { lost: pair.lost ?? 0, gained: pair.gained ?? 0 };
    fill(comparison.select, names.map((name) => [name, name]), title(pair));
    fill(task.select, pairsOf(title(pair)).map((other) => {
      const { task: name, verdict, lost, gained } = data.pairs[other];
      const moved = data.served ? "" : `: ${number(lost)} lost, ${number(gained)} gained`;
      return [other, `${MARKS[verdict] ?? ""} ${name}${moved}`];
    }), at);
    fill(direction.select, [["", "any"], ...source.directions.map((name) => [name, name])], state.direction);
    const turn = ++asking;
    try {
      const found = await source.facets(at);
      if (turn !== asking) return;
      state.counts = found.counts;
      facets(found);
    } catch (error) {
      fail(error);
    }
    await refresh();
  };

  const facets = (found) => {
    fill(outcome.select, [["", "any"], ...found.outcomes.map(([name, n]) => [name, `${name} (${number(n)})`])], state.outcome);
    fill(slice.select, [["", "all"], ...found.slices.map(([name, items, lost, gained]) =>
      [name, `${name}: ${number(lost)} lost, ${number(gained)} gained of ${number(items)}`])], state.slice);
    slice.label.hidden = found.slices.length < 2;
  };

  const narrow = (change) => {
    Object.assign(state, change);
    return refresh();
  };

  const refresh = async () => {
    const turn = ++asking;
    try {
      const found = await source.list(query(), 0);
      if (turn !== asking) return;
      Object.assign(state, { rows: found.rows, total: found.total, at: -1 });
      shown.hidden = true;
      shown.replaceChildren();
      tell();
      draw();
      if (state.rows.length && !narrowScreen()) await open(0, false);
    } catch (error) {
      fail(error);
    }
  };

  const query = () => {
    const { pair, slice, outcome, direction, search } = state;
    return { pair, slice, outcome, direction, search };
  };

  const narrowScreen = () => matchMedia("(max-width: 760px)").matches;
  const fail = (error) => count.replaceChildren(`Nothing can be shown: ${error.message}`);

  const tell = () => {
    const pair = data.pairs[state.pair];
    const { lost, gained, same } = state.counts;
    const rest = same === undefined ? "" : ` of ${number(lost + gained + same)}`;
    const all = `${title(pair)}, ${pair.task}: ${number(lost)} lost, ${number(gained)} gained${rest}`;
    if (pair.reason) return count.replaceChildren(`${all}. ${pair.reason}`);
    const others = data.left_out ? ` ${number(data.left_out)} further comparisons have no samples here.` : "";
    const whole = data.served || pair.shown === lost + gained;
    const here = whole ? "" : ` Of them ${number(pair.shown)} are here (${data.rule}); evalkit view has all.`;
    count.replaceChildren(make("b", {}, `${number(state.total)} match.`), ` ${all}.${here}${others}`);
  };

  // ---- the list ----

  const sign = (row) => (row.delta < 0 ? ["▼", "regressed"] : row.delta > 0 ? ["▲", "improved"] : ["·", "no-regression"]);

  const entry = (row, at) => {
    const [mark, role] = sign(row);
    const read = (side) => short(side.answer ?? side.outcome, 40);
    return make("li", {}, make("button", { type: "button", "data-at": at, onclick: () => open(at, true) },
      make("span", { class: "id" }, make("b", { class: role, "aria-hidden": "true" }, mark), " ", short(row.id, 80)),
      make("span", { class: "read muted" }, `${row.before.outcome} → ${row.after.outcome}`, row.slice ? ` · ${short(row.slice, 30)}` : ""),
      make("span", { class: "read" }, `${read(row.before)} → ${read(row.after)}`)));
  };

  const draw = () => {
    const entries = state.rows.map(entry);
    if (state.rows.length < state.total) {
      entries.push(make("li", {}, make("button", { type: "button", class: "more", onclick: more }, `${number(state.total - state.rows.length)} more`)));
    }
    list.replaceChildren(...entries);
    list.hidden = !entries.length;
  };

  const more = async () => {
    const turn = ++asking;
    const from = state.rows.length;
    try {
      const found = await source.list(query(), from);
      if (turn !== asking) return;
      state.rows.push(...found.rows);
      draw();
      current();
      list.querySelector(`[data-at="${from}"]`)?.focus();
    } catch (error) {
      fail(error);
    }
  };

  const current = () => {
    for (const button of list.querySelectorAll("[data-at]")) {
      button.setAttribute("aria-current", String(Number(button.dataset.at) === state.at));
    }
  };

  // ---- one sample ----

  let opening = 0;
  const open = async (at, focus) => {
    if (!state.rows[at]) return;
    state.at = at;
    current();
    const turn = ++opening;
    try {
      const found = await source.sample(state.rows[at]);
      if (turn !== opening) return;
      shown.replaceChildren(...inside(found));
      shown.hidden = false;
      shown.scrollTop = 0;
      if (focus) shown.focus({ preventScroll: !narrowScreen() });
    } catch (error) {
      fail(error);
    }
  };

  const close = () => {
    if (narrowScreen()) shown.hidden = true;
    list.querySelector('[aria-current="true"]')?.focus();
  };

  const text = (words, more = "") => make("div", { class: `text ${more}`, tabindex: "0" }, ...visible(words));
  const block = (name, words, more) => (words ? [make("h4", {}, name), text(words, more)] : []);

  const marked = (words, ranges, tag) => {
    const parts = [];
    let last = 0;
    for (let at = 0; at < ranges.length; at += 2) {
      parts.push(...visible(words.slice(last, ranges[at])));
      parts.push(make(tag, {}, ...visible(words.slice(ranges[at], ranges[at + 1]))));
      last = ranges[at + 1];
    }
    parts.push(...visible(words.slice(last)));
    return make("div", { class: "text", tabindex: "0" }, ...parts);
  };

  const pretty = (words) => {
    try {
      return JSON.stringify(JSON.parse(words), null, 2);
    } catch {
      return words;
    }
  };

  const answers = (side, ranges, tag) => {
    const parts = [];
    const words = side.text ?? "";
    parts.push(make("h4", {}, "answer"));
    parts.push(words ? (ranges ? marked(words, ranges, tag) : text(words)) : make("p", { class: "nothing" }, side.error ? "" : "empty"));
    parts.push(...block("error", side.error));
    parts.push(...block("tool calls", side.calls?.map(([name, given]) => `${name} ${pretty(given)}`).join("\n"), "code"));
    for (const [at, turn] of (side.turns ?? []).entries()) parts.push(...block(`turn ${at + 1}`, turn));
    parts.push(...folded("reasoning", side.reasoning));
    for (const [at, words] of (side.said ?? []).entries()) {
      parts.push(...block(at ? "judge, this answer shown second" : "judge, this answer shown first", words));
    }
    parts.push(...folded("scorer's details", side.details && pretty(side.details), "code"));
    parts.push(...folded("log-likelihoods", side.likelihoods?.join("  "), "code"));
    return parts;
  };

  const folded = (name, words, more) =>
    words ? [make("details", {}, make("summary", { class: "muted" }, name), text(words, more))] : [];

  const head = (side) => make("div", { class: "head" }, side.checkpoint,
    make("small", {}, [
      side.epoch ? `answer ${side.epoch + 1}` : "",
      side.finish && side.finish !== "stop" ? `ended by ${short(side.finish, 40)}` : "",
      side.tokens ? `${number(side.tokens[0])} + ${number(side.tokens[1])} tokens` : "",
    ].filter(Boolean).join(" · ")));

  const fact = (name, ...words) => make("span", {}, `${name} `, make("b", {}, ...words));
  const read = (side) => [`${side.outcome}, `, ...(side.answer == null ? ["nothing read"] : ["read as ", ...visible(cut(side.answer, 400))])];

  const inside = (found) => {
    const [mark, role] = sign(found);
    const pair = data.pairs[state.pair];
    const [before, after] = found.changed ?? [null, null];
    return [
      make("button", { type: "button", class: "close", onclick: close }, "close"),
      make("h3", {}, make("b", { class: role, "aria-hidden": "true" }, mark), " ", ...visible(cut(found.id, 200))),
      make("div", { class: "facts" },
        fact("task", pair.task),
        found.slice ? fact("slice", ...visible(found.slice)) : null,
        fact("score", `${found.before.value ?? "missing"} → ${found.after.value ?? "missing"}`, ` (${points(found.delta)})`),
        found.target ? fact("target", ...visible(cut(found.target, 400))) : null),
      make("div", { class: "facts" }, fact(found.before.checkpoint, ...read(found.before)), fact(found.after.checkpoint, ...read(found.after))),
      ...block("asked", found.question, "asked"),
      make("div", { class: "pair" },
        make("div", {}, head(found.before), ...answers(found.before, before, "del")),
        make("div", {}, head(found.after), ...answers(found.after, after, "ins"))),
    ];
  };

  // ---- keys and links ----

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "Escape") {
      if (event.target === search && search.value) return;
      close();
    } else if (typing) {
      if (event.key !== "Enter" || event.target !== search) return;
      event.preventDefault(); // or the entry that is given the focus is pressed, too
      intoList();
    } else if (event.key === "/") {
      event.preventDefault();
      browser.scrollIntoView();
      search.focus();
    } else if (event.key === "?") {
      help.showModal();
    } else if (event.key === "j" || event.key === "k") {
      step(event.key === "j" ? 1 : -1);
    } else if (event.key === "Enter" && event.target === document.body && state.at >= 0) {
      open(state.at, true);
    }
  });

  const intoList = async () => {
    clearTimeout(waiting);
    await narrow({ search: search.value.trim() });
    list.querySelector("[data-at]")?.focus();
  };

  const step = async (by) => {
    const at = Math.min(Math.max(state.at + by, 0), state.rows.length - 1);
    const inList = !shown.contains(document.activeElement);
    await open(at, !inList);
    const button = list.querySelector(`[data-at="${at}"]`);
    if (inList) button?.focus();
    button?.scrollIntoView({ block: "nearest" });
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-candidate]");
    if (!link) return;
    const { candidate, against, task: wanted } = link.dataset;
    const at = data.pairs.findIndex((pair) => pair.candidate === candidate && pair.against === against && pair.task === wanted);
    if (at < 0) {
      count.replaceChildren(`The samples of ${candidate} against ${against} in ${wanted} are not here: evalkit view has them.`);
    } else {
      search.value = "";
      choosePair(at, { search: "", direction: data.pairs[at].verdict === "improved" ? "" : data.pairs[at].lost ? "lost" : "" });
    }
  });

  const first = data.pairs.findIndex((pair) => data.served || pair.shown);
  if (first >= 0) choosePair(first);
})();
