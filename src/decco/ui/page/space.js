// One Space: for each endpoint of its Apps the way to it, with the part at which it is broken.

import { badge, element, finding, remarks } from "./dom.js";

export function space(found, title) {
  const own = found.findings.filter((each) => each.state !== "ok");
  const bad = own.filter((each) => !each.about.startsWith("app "));
  return [
    element("p", { class: "back" }, element("a", { href: "#/", id: "back" }, "All Spaces")),
    element("h1", { tabindex: "-1" }, title),
    found.fqdn && element("p", { class: "about" }, found.fqdn, found.project ? `, project ${found.project}` : ", no project"),
    remarks(found.remarks),
    bad.map((each) => finding(each)),
    facts(found.findings, "space", `All that is known of Space ${found.name}`),
    found.apps_hidden && finding(found.apps_hidden),
    !found.apps_hidden && found.apps.length === 0 && element("p", {}, "It has no App."),
    found.apps.map((app) => appSection(app)),
  ]
    .flat()
    .filter(Boolean);
}

function appSection(app) {
  // What the chains show already is not repeated; what lacks a permission is in them, or in the details.
  const shown = new Set(app.chains.flatMap((chain) => chain.links.flatMap((link) => link.findings.map((each) => each.code))));
  const others = app.findings.filter((each) => isShown(each) && !shown.has(each.code));
  const id = `app-${app.name}`;
  return element(
    "section",
    { class: "app", "aria-labelledby": id },
    element("h2", { id }, `App ${app.name} `, badge(app.state)),
    app.chains.length === 0 && element("p", { class: "about" }, "It has no endpoint."),
    app.chains.map((chain) => chainOf(app, chain)),
    others.map((each) => finding(each)),
    facts(app.findings, id, `All that is known of App ${app.name}`),
  );
}

function chainOf(app, chain) {
  const id = `chain-${app.name}-${chain.endpoint}`;
  const broken = chain.links.find((link) => link.part === chain.broken);
  const wrong = chain.links.flatMap((link) => link.findings.filter(isShown).map((each) => ({ link, each })));
  const hidden = chain.links.some((link) => link.state === "unknown");
  const state = wrong.length > 0 ? "warning" : hidden ? "unknown" : "ok";
  const words = { warning: "warning", unknown: "no fault in what you may read", ok: "no fault found" };
  const heading = ({ link, each }) => (link === broken && each.state === "failure" ? `Broken at: ${link.part}` : link.part);
  return element(
    "section",
    { class: "endpoint", "aria-labelledby": id },
    element("h3", { id }, `Endpoint ${chain.endpoint} `, broken ? badge("failure", `broken at: ${broken.part}`) : badge(state, words[state])),
    element("p", { class: "where" }, chain.where),
    element("ol", { class: "chain" }, chain.links.map((link) => linkOf(link, link === broken))),
    wrong.map((one) => finding({ ...one.each, about: "" }, { heading: heading(one) })),
  );
}

function isShown(found) {
  return found.state === "failure" || found.state === "warning";
}

function linkOf(link, isBroken) {
  const good = link.findings.find((each) => each.state === "ok");
  const words = { unknown: link.findings.length > 0 ? "not readable with your rights" : "nothing is known" };
  return element(
    "li",
    { class: `link ${link.state}${isBroken ? " broken" : ""}` },
    element("p", { class: "part" }, link.part),
    element("p", {}, badge(link.state, words[link.state]), isBroken && element("strong", {}, " broken here")),
    good && link.state === "ok" && element("p", { class: "text", title: good.text }, good.text),
  );
}

function facts(findings, id, title) {
  if (findings.length === 0) return null;
  return element(
    "details",
    { id: `facts-${id}` },
    element("summary", { id: `summary-${id}` }, title),
    element("ul", { class: "facts" }, findings.map((each) => element("li", {}, finding(each)))),
  );
}
