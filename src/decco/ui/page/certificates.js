// All certificates that the reader may see, the first to expire first.

import { badge, count, element, remarks, spaceLink } from "./dom.js";

const HEADS = ["Expires", "Secret", "Names", "State"];

export function certificates(found, title) {
  const list = found.certificates;
  return [
    element("h1", { tabindex: "-1" }, title),
    element("p", { class: "summary" }, `${count(list.length, "certificate")}, by expiry`),
    remarks(found.remarks),
    element("p", { class: "about" }, "What decco has copied into the namespaces of Spaces, or has had issued there. A Secret that an App brings itself is shown with its Space."),
    list.length > 0 &&
      // With roles, because the narrow layout changes how rows are displayed.
      element(
        "table",
        { role: "table" },
        element("caption", { class: "hidden" }, title),
        element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, HEADS.map((head) => element("th", { role: "columnheader", scope: "col" }, head)))),
        element("tbody", { role: "rowgroup" }, list.map(row)),
      ),
  ].filter(Boolean);
}

function row(one) {
  const where = `${one.namespace}/${one.name}`;
  const wrong = one.state !== "ok";
  return element(
    "tr",
    { role: "row", class: one.state },
    element("td", { role: "cell" }, label("Expires"), one.until ? [one.until.slice(0, 10), element("span", { class: "about" }, ` ${days(one.days)}`)] : "not known"),
    element("td", { role: "cell" }, label("Secret"), element("a", { href: spaceLink(one.namespace), id: `cert-${where}` }, where)),
    element("td", { role: "cell" }, label("Names"), one.names.join(", ") || "none"),
    element("td", { role: "cell" }, label("State"), badge(one.state), wrong && element("p", { class: "text" }, element("span", { class: "code" }, `${one.finding.code ?? ""} `), one.finding.text), wrong && one.finding.action && element("p", { class: "about" }, one.finding.action)),
  );
}

function days(number) {
  return number < 0 ? `${count(-number, "day")} ago` : `in ${count(number, "day")}`;
}

/** The head of the column, for the narrow layout. */
function label(text) {
  return element("span", { class: "label", "aria-hidden": "true" }, text);
}
