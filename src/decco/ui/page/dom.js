// Elements with text. Names and messages are of tenants: they only ever become text nodes and plain attributes, and the
// policy of the page (require-trusted-types-for) makes the browser refuse everything that would parse them as markup.

/** An element: `attributes` are set as they are, `children` are elements, texts or nothing. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, String(value));
  }
  append(made, children);
  return made;
}

function append(parent, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

const WORDS = { ok: "ok", warning: "warning", failure: "failure", unknown: "not known" };
const SIGNS = { ok: "✓", warning: "!", failure: "✕", unknown: "?" };

/** The state in words, with a sign and a colour. */
export function badge(state, words = WORDS[state]) {
  const known = state in WORDS ? state : "unknown";
  return element("span", { class: `badge ${known}` }, element("span", { "aria-hidden": "true" }, SIGNS[known]), ` ${words}`);
}

/** The part of a URL for a name that may contain anything. */
export function spaceLink(name) {
  return `#/space/${encodeURIComponent(name)}`;
}

/** A finding with its code, and its cause and cure if something is wrong. */
export function finding(found, { heading = null } = {}) {
  const wrong = found.state !== "ok" && found.code;
  const hint = wrong && (found.cause || found.action);
  return element(
    "div",
    { class: `finding ${found.state}` },
    element(
      "p",
      {},
      badge(found.state, found.state === "unknown" && found.code ? "not readable with your rights" : undefined),
      heading && element("strong", {}, ` ${heading}`),
      found.about && element("span", { class: "about" }, ` ${found.about}`),
      found.code && element("span", { class: "code" }, ` ${found.code}`),
    ),
    element("p", { class: "text" }, found.text),
    hint &&
      element(
        "dl",
        {},
        found.cause && [element("dt", {}, "Cause"), element("dd", {}, found.cause)],
        found.action && [element("dt", {}, "What to do"), element("dd", {}, found.action)],
      ),
  );
}

/** Remarks on what could not be read, or nothing. */
export function remarks(list) {
  if (!list || list.length === 0) return null;
  return element(
    "section",
    { class: "remarks", "aria-label": "Remarks" },
    element("ul", {}, list.map((each) => element("li", {}, badge(each.state, "remark"), ` ${each.text}`, each.code && element("span", { class: "code" }, ` ${each.code}`)))),
  );
}

/** A count with its noun: "1 App", "2 Apps". */
export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
