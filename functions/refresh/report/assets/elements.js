// The elements of the page. Values become text nodes and attributes, never markup.

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

function drawn(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const hidden = (text) => element("span", { class: "hidden" }, text);
const paragraph = (text, kind = "") => element("p", { class: kind }, text);
const card = (title, ...children) => element("section", { class: "card" }, element("h3", {}, title), ...children);
const bar = (part, all, colour = "f0") => drawn("svg", { class: "bar", "aria-hidden": "true" }, drawn("rect", { width: `${all ? (100 * part) / all : 0}%`, height: "100%", rx: "3", class: colour }));
const numbersBehind = (content) => element("details", {}, element("summary", {}, "Show the numbers"), content);

// ---- cells: what is shown, and what a download has instead ----

const cell = (show, value) => ({ show, value });
const count = (number) => cell(whole.format(number), number);
const share = (part, all) => cell(shareText(part, all), all ? Number((part / all).toFixed(6)) : "");
const amount = (text) => cell(amountText(text), text);
const dayCell = (text) => cell(dayOf(text), text);
const momentCell = (text) => cell(momentOf(text), text);

function filled(made, content) {
  const isCell = content !== null && Object.hasOwn(Object(content), "show");
  made.append(isCell ? content.show : content);
  if (isCell) made.csv = content.value;
  return made;
}

// The first cell names the row.
const row = (cells, kinds = []) => element("tr", {}, ...cells.map((content, number) =>
  filled(number ? element("td", kinds[number] ? { class: kinds[number] } : {}) : element("th", { scope: "row", class: kinds[0] || "name" }), content)));

// A table that is wider than its place scrolls on its own, with the keyboard too, and shows a hint.
const resized = new ResizeObserver((entries) => entries.forEach(({ target }) => target.parentNode.classList.toggle("wide", target.scrollWidth > target.clientWidth + 1)));

// `texts` are the headings of columns of text, which are aligned left.
function table(title, headings, rows, kind = "", texts = []) {
  const head = element("tr", {}, ...headings.map((heading) => filled(element("th", { scope: "col", class: texts.includes(heading) ? "text" : "" }), heading)));
  const made = element("table", { class: kind }, element("caption", { class: "hidden" }, title), element("thead", {}, head), element("tbody", {}, ...rows));
  const scroll = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, made);
  const button = element("button", { type: "button", class: "csv" }, "CSV", hidden(` of: ${title}`));
  button.addEventListener("click", () => download(title, csvOf(made)));
  if (kind === "answers") for (const line of made.tBodies[0].rows) [...line.cells].forEach((one, number) => { one.dataset.label = headings[number]; });
  resized.observe(scroll);
  return element("div", { class: "tabled" }, element("div", { class: "tools" }, element("span", { class: "hint" }, "scrolls sideways →"), button), scroll);
}

// ---- downloads: RFC 4180, in UTF-8 with the byte order mark that spreadsheets need ----

// A spreadsheet would run text that looks like a formula, at its start or after what may look like the end of a cell.
const harmless = (text) => text.replace(/(^|[;,\t\r\n])(\s*)(?=[=+\-@＝＋－＠])/g, "$1$2'");

function field(found) {
  const value = found.csv ?? found.textContent;
  return typeof value === "number" ? String(value) : `"${harmless(value).replaceAll('"', '""')}"`;
}

const csvOf = (made) => `\ufeff${[...made.rows].filter((line) => !line.classList.contains("why")).map((line) => [...line.cells].map(field).join(",")).join("\r\n")}\r\n`;

function download(title, text) {
  const name = `${figures.as_of} ${title}`.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 90);
  const link = element("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: `${name}.csv` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href));
}
