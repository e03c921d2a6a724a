// Which page is shown, and when it is drawn again: at a change of the address, and at a change of the cluster.

import { data, follow, takeToken } from "./api.js";
import { certificates } from "./certificates.js";
import { element } from "./dom.js";
import { graph } from "./graph.js";
import { overview } from "./overview.js";
import { space } from "./space.js";

const main = document.getElementById("main");
const live = document.getElementById("live");
const notice = document.getElementById("notice");

let shown = { path: "", text: "" };
let latest = 0;

/** The page of the address: its name, the path of its data, its title, and what draws it. */
function page() {
  const address = location.hash.replace(/^#\/?/, "");
  if (address === "graph") return { name: "graph", path: "api/graph", title: "Who may talk to whom", draw: graph };
  if (address === "certificates") return { name: "certificates", path: "api/certificates", title: "Certificates", draw: certificates };
  if (address.startsWith("space/")) {
    const name = decoded(address.slice("space/".length));
    return { name: "space", path: `api/space?name=${encodeURIComponent(name)}`, title: `Space ${name}`, draw: space };
  }
  return { name: "overview", path: "api/overview", title: "Spaces", draw: overview };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Requests the data of the present page and draws it. `moved`: the reader has come here by a link. */
async function show(moved) {
  const request = (latest += 1);
  const wanted = page();
  let text;
  try {
    text = await data(wanted.path);
  } catch (error) {
    if (request === latest) failed(wanted, error, moved);
    return;
  }
  if (request !== latest) return; // a later request has overtaken this one
  main.setAttribute("aria-busy", "false");
  say("");
  if (shown.path === wanted.path && shown.text === text) return;
  const nodes = wanted.draw(JSON.parse(text), wanted.title);
  replace(nodes, wanted, shown.path === wanted.path);
  shown = { path: wanted.path, text };
  if (moved) arrive();
}

/** Puts the nodes in place; on the same page open details and the focus stay where they are. */
function replace(nodes, wanted, same) {
  const open = same ? new Set([...main.querySelectorAll("details[open][id]")].map((each) => each.id)) : new Set();
  const focused = same && main.contains(document.activeElement) ? document.activeElement.id : "";
  const scrolled = same ? [...main.querySelectorAll(".scroll[id]")].map((each) => [each.id, each.scrollLeft]) : [];
  main.replaceChildren(...nodes);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  for (const [id, left] of scrolled) document.getElementById(id)?.scrollTo({ left });
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  document.title = `${wanted.title} - decco`;
  for (const link of document.querySelectorAll("nav a")) {
    const current = link.dataset.page === wanted.name || (wanted.name === "space" && link.dataset.page === "overview");
    if (current) link.setAttribute("aria-current", wanted.name === "space" ? "true" : "page");
    else link.removeAttribute("aria-current");
  }
}

/** After a link: a screen reader reads the heading, and the page begins at its top. */
function arrive() {
  window.scrollTo(0, 0);
  main.querySelector("h1")?.focus({ preventScroll: true });
}

function failed(wanted, error, moved) {
  main.setAttribute("aria-busy", "false");
  if (shown.path === wanted.path && error.status !== 401 && error.status !== 404) {
    say(`What is shown may be old: ${error.message}`);
    return;
  }
  const heading = error.status === 401 ? "This page needs its token" : wanted.title;
  replace([element("h1", { tabindex: "-1" }, heading), element("p", {}, error.message)], { ...wanted, title: heading }, false);
  shown = { path: "", text: "" };
  if (moved) arrive();
}

/** An alert, spoken once; "" removes it. */
function say(text) {
  if (notice.textContent === text) return;
  notice.textContent = text;
  notice.hidden = text === "";
}

/** The state of the connection. It is spoken, so it changes only when it has another meaning. */
function connection(words, kind) {
  if (live.textContent === words) return;
  live.textContent = words;
  live.className = kind;
}

follow(
  (state) => {
    if (state.trouble) connection(`not live: the API server cannot be reached: ${state.trouble}`, "failure");
    else connection("live", "ok");
    document.getElementById("version").textContent = `decco ${state.version}`;
    show(false);
  },
  (status) => {
    if (status === 401) connection("not connected", "failure");
    else connection("not live: decco ui does not answer", "failure");
    if (status === 401 && shown.path === "") show(false);
  },
);

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names the page
  main.focus();
});

takeToken();
addEventListener("hashchange", () => {
  if (/^#token=/.test(location.hash)) {
    takeToken();
    location.reload();
  } else {
    show(true);
  }
});
show(false);
