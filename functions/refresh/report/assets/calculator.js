// The calculator answers as the lookup API does, from the page's own figures.

const MAX_NUMBER = 2n ** 63n - 1n;

// Returns the number to look up in the family's ranges, from a customer's field; or why the field has none.
function numberOf(family, text) {
  const { kind, label } = family;
  if (kind === "number") {
    const digits = text.replace(/\.0+$/, "");
    if (!/^(0|[1-9]\d*)$/.test(digits) || BigInt(digits) > MAX_NUMBER) return { why: `${label}: must be a whole number` };
    return { number: BigInt(digits) };
  }
  if (Number.isNaN(midnight(text))) return { why: `${label}: must be a day` };
  if (text > new Date().toISOString().slice(0, 10)) return { why: `${label}: must not be in the future` };
  return { number: BigInt((midnight(figures.as_of) - midnight(text)) / DAY) };
}

function answer(country, family, text) {
  const { segment_name: name, unit, rules, label } = family;
  const { number, why } = numberOf(family, text);
  if (why) return { why };
  const customer = family.kind === "number" ? `${whole.format(number)} ${unit}` : `${label} ${whole.format(number)} days before the as-of day`;
  const rule = rules.find(([, , low, high]) => low <= number && number <= high);
  if (!rule) return { customer, why: `no segment: ${number < rules[0][2] ? `the first begins at ${whole.format(rules[0][2])} ${unit}` : "no range holds that"}` };
  const segment = country.segments.find((found) => found.segment_name === name && found.min_range === rule[2]);
  return segment ? { customer, segment } : { customer, why: `no voucher was used in ${rangeText(rule[2], rule[3], unit)}` };
}

function calculator() {
  const title = "Ask for one customer";
  const countries = countrySelect("customer-country");
  const fields = new Map(figures.families.map((family) => [family.field, family]));
  const inputs = [...fields].map(([name, { kind, label }]) => {
    const input = element("input", { id: `customer-${name}`, name, autocomplete: "off", ...(kind === "number" ? { inputmode: "numeric", maxlength: "19" } : { type: "date", max: new Date().toISOString().slice(0, 10) }) });
    return { name, input, label: element("label", { for: input.id }, `${label[0].toUpperCase()}${label.slice(1)}`) };
  });
  const answers = element("div", { "aria-live": "polite" });
  const ask = () => {
    const country = figures.countries.find((found) => found.country_code === countries.value);
    const rows = [...figures.families].map((family) => {
      const { input, label } = inputs.find(({ name }) => name === family.field);
      if (!input.value) return row([family.title, `fill in: ${label.textContent.toLowerCase()}`], ["name", "text"]);
      const { customer, segment, why } = answer(country, family, input.value.trim());
      return segment
        ? row([family.title, customer, segmentLabel(segment), ...answerCells(segment)], ["name", "text", "text nowrap", "", "", "text sure", "text lead", "text nowrap"])
        : row([family.title, customer || why, customer ? why : ""], ["name", "text", "text"]);
    });
    for (const made of rows) made.lastChild.colSpan = 10 - made.cells.length + 1;
    answers.replaceChildren(table(title, ["Segment family", "Customer", "Segment", ...answerHeadings()], rows, "answers", ["Customer", "Segment", ...ANSWER_TEXTS]));
  };
  const group = element("div", { class: "form", role: "group", "aria-label": title }, element("div", {}, element("label", { for: countries.id }, "Customer's country"), countries), ...inputs.map(({ input, label }) => element("div", {}, label, input)));
  group.addEventListener("input", ask);
  if (figures.countries.length) ask();
  const left = figures.countries_left_out ? ` Not for the ${plural(figures.countries_left_out, "country", "countries")} that this page leaves out.` : "";
  return card(title, paragraph(`By the rules of the lookup API, from the figures in this page.${left}`, "soft small"), group, answers);
}

const countrySelect = (id) => element("select", { id }, ...figures.countries.map((country) => element("option", { value: country.country_code }, visible(country.country_code))));
