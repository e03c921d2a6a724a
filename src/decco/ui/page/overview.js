// All Spaces: those with a failure first, each with the number of its Apps.

import { badge, count, element, remarks, spaceLink } from "./dom.js";

const RANK = { failure: 0, warning: 1, unknown: 2, ok: 3 };

let filter = "";
let onlyBad = false;

function rank(space) {
  return Math.min(RANK[space.state] ?? 2, RANK[space.apps_state] ?? 3);
}

function worst(space) {
  return Object.keys(RANK).find((state) => RANK[state] === rank(space));
}

export function overview(found, title) {
  const spaces = [...found.spaces].sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
  const list = element("ul", { class: "spaces" });
  const summary = element("p", { class: "summary" });
  const draw = () => {
    const words = filter.toLowerCase();
    const fits = (space) => [space.name, space.fqdn, space.project].some((text) => (text ?? "").toLowerCase().includes(words));
    const chosen = spaces.filter((space) => fits(space) && (!onlyBad || rank(space) < 2));
    list.replaceChildren(...chosen.map(row));
    const bad = spaces.filter((space) => rank(space) === 0).length;
    const all = `${count(spaces.length, "Space")}, ${bad} with a failure`;
    summary.textContent = chosen.length === spaces.length ? all : `${all}; ${chosen.length} shown`;
  };
  const search = element("input", { type: "search", id: "filter", autocomplete: "off", spellcheck: "false", "aria-describedby": "filter-hint" });
  search.value = filter;
  search.addEventListener("input", () => {
    filter = search.value;
    draw();
  });
  const bad = element("input", { type: "checkbox", id: "only-bad" });
  bad.checked = onlyBad;
  bad.addEventListener("change", () => {
    onlyBad = bad.checked;
    draw();
  });
  draw();
  return [
    element("h1", { tabindex: "-1" }, title),
    summary,
    remarks(found.remarks),
    spaces.length > 0 &&
      element(
        "form",
        { class: "filter", role: "search" },
        element("label", { for: "filter" }, "Find a Space"),
        search,
        element("span", { id: "filter-hint", class: "about" }, "by name, domain or project"),
        element("label", { class: "check" }, bad, " only those with problems"),
      ),
    spaces.length > 0
      ? list
      : element("p", {}, "There is no Space that you may read. If you work in one namespace, name it: ", element("code", {}, "decco ui -n NAME"), "."),
  ].filter(Boolean);
}

function row(space) {
  const states = { failure: "failure", warning: "warning", ok: "Ready", unknown: "not readable with your rights" };
  const reported = space.finding && space.state === "unknown" && space.finding.code !== "DECCO-0207";
  return element(
    "li",
    { class: `card ${worst(space)}` },
    element("h2", {}, element("a", { href: spaceLink(space.name), id: `space-${space.name}` }, space.name)),
    element("p", { class: "states" }, badge(space.state, reported ? "not reported" : states[space.state]), " ", apps(space)),
    space.fqdn && element("p", { class: "about" }, space.fqdn, space.project ? `, project ${space.project}` : ", no project"),
    space.finding &&
      element("p", { class: "text" }, space.finding.code && element("span", { class: "code" }, `${space.finding.code} `), space.finding.text),
  );
}

function apps(space) {
  if (space.apps === undefined) return badge("unknown", "Apps not readable with your rights");
  if (space.apps === 0) return element("span", { class: "about" }, "no App");
  const bad = space.bad > 0 ? `, ${space.bad} not Ready` : "";
  return badge(space.bad > 0 ? space.apps_state : "ok", `${count(space.apps, "App")}${bad}`);
}
