// Who may talk to whom: the drawing of decco graph, and the same as a list.

import { badge, count, element, remarks, spaceLink } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const TAGS = new Set(["rect", "text", "path"]);
const ATTRIBUTES = new Set(["x", "y", "width", "height", "rx", "d"]);
const KINDS = ["in", "call", "refused"];

export function graph(found, title) {
  const refused = found.calls.filter((call) => call.allowed === false);
  return [
    element("h1", { tabindex: "-1" }, title),
    element("p", { class: "summary" }, `${count(found.spaces.length, "Space")}, ${count(found.calls.length, "call")}, ${refused.length} in vain`),
    found.incomplete &&
      element("p", {}, badge("unknown", "not readable with your rights"), " Some Spaces or Apps are missing here: only what you may read is drawn."),
    remarks(found.remarks),
    found.spaces.length > 0 && [
      element(
        "figure",
        {},
        element("div", { class: "scroll", id: "drawing", tabindex: "0", role: "region", "aria-label": "Drawing; the list below says the same" }, drawing(found.drawing)),
        element("figcaption", {}, "An arrow leads from who may connect to where it may connect. The list below says the same."),
      ),
      refused.length > 0 && section("Calls in vain", element("ul", { class: "calls" }, refused.map(callOf))),
      section("The same as a list", element("ul", { class: "spaces" }, found.spaces.map((space) => spaceOf(space, found.calls)))),
    ],
    found.spaces.length === 0 && element("p", {}, "There is no Space that you may read."),
  ]
    .flat()
    .filter(Boolean);
}

function section(title, content) {
  return element("section", {}, element("h2", {}, title), content);
}

/** The shapes of the server as elements. What is not on the lists above is left out. */
function drawing(drawn) {
  const root = svg("svg", { width: drawn.width, height: drawn.height, viewBox: `0 0 ${drawn.width} ${drawn.height}`, class: "drawing", "aria-hidden": "true" });
  const defs = svg("defs", {});
  for (const kind of KINDS) {
    const tip = svg("marker", { id: `tip-${kind}`, viewBox: "0 0 8 8", refX: 8, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" });
    tip.append(svg("path", { class: `tip ${kind}`, d: "M0 0 L8 4 L0 8 z" }));
    defs.append(tip);
  }
  root.append(defs);
  for (const shape of drawn.shapes) {
    if (!TAGS.has(shape.tag)) continue;
    const attributes = Object.fromEntries(Object.entries(shape.attributes).filter(([name]) => ATTRIBUTES.has(name)));
    const made = svg(shape.tag, { ...attributes, class: shape.kind });
    if (shape.tag === "path" && KINDS.includes(shape.kind)) made.setAttribute("marker-end", `url(#tip-${shape.kind})`);
    if (shape.text) made.append(document.createTextNode(shape.text));
    if (shape.title) {
      const tip = svg("title", {});
      tip.textContent = shape.title;
      made.append(tip);
    }
    root.append(made);
  }
  return root;
}

function svg(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
}

function spaceOf(space, calls) {
  const own = calls.filter((call) => call.from.startsWith(`${space.name}/`));
  const from = space.allowed_from.map((each) => element("li", {}, `${each.endpoints.join(", ")} from ${each.from}`));
  return element(
    "li",
    { class: "card" },
    element("h3", {}, element("a", { href: spaceLink(space.name), id: `graph-${space.name}` }, space.name)),
    element("p", { class: "about" }, space.fqdn, space.project ? `, project ${space.project}` : ", no project: open to anybody"),
    from.length > 0 ? element("ul", {}, from) : element("p", {}, "Nothing of it can be reached from outside."),
    space.clients && element("p", {}, space.clients.length > 0 ? `The edge serves only clients in ${space.clients.join(", ")}.` : "The edge serves nobody, as it cannot keep clientCidrs."),
    space.leads_to && element("p", {}, `Its pods connect only to: ${[...space.leads_to, "what its Apps call"].join("; ")}.`),
    own.length > 0 && element("ul", { class: "calls" }, own.map(callOf)),
  );
}

function callOf(call) {
  const where = call.space ? `${call.to} of ${call.space}` : call.to;
  return element("li", {}, `${call.from} calls ${where} `, call.allowed === false && badge("failure", `refused: ${call.why}`));
}
