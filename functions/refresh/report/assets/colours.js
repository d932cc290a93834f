// An amount has one colour on the whole page; amounts of a country have different colours while there are enough.

const PALETTE = 8;
const REST = "f8"; // of the amounts without a colour, and of those that are counted together

const COLOURS = (() => {
  const beside = new Map(); // the amounts that an amount shares a country with
  for (const country of figures.countries) {
    for (const text of country.colours) beside.set(text, new Set([...(beside.get(text) || []), ...country.colours]));
  }
  const colours = new Map();
  for (const [text, others] of beside) {
    const taken = new Set([...others].map((other) => colours.get(other)));
    const free = [...Array(PALETTE).keys()].map((number) => `f${number}`).find((colour) => !taken.has(colour));
    if (free) colours.set(text, free);
  }
  return colours;
})();

const colourOf = (text) => COLOURS.get(text) || REST;
const swatch = (colour) => drawn("svg", { class: "swatch", "aria-hidden": "true" }, drawn("rect", { width: "100%", height: "100%", rx: "3", class: colour }));

// The colours of the amounts that were drawn, and one for all others.
function legend(texts, ...more) {
  const named = [...new Set(texts)].filter((text) => COLOURS.has(text));
  const items = named.map((text) => element("li", {}, swatch(colourOf(text)), amountText(text)));
  if (texts.some((text) => !COLOURS.has(text))) items.push(element("li", {}, swatch(REST), "others"));
  return element("ul", { class: "legend" }, ...items, ...more.map((one) => element("li", {}, ...one)));
}
