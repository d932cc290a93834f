// A country's data: how its values spread, how its segments will change, totals to check by.

const isDays = (dimension) => DIMENSIONS.get(dimension).kind === "days_since";

function binText(dimension, found, number) {
  const [low, high] = [found.edges[number], found.edges[number + 1] - 1];
  const text = (value) => (isDays(dimension) ? dayOfNumber(value) : whole.format(value));
  if (number === found.counts.length - 1 && found.open_end) return `${text(low)} ${isDays(dimension) ? "and later" : "and more"}`;
  if (!number && found.open_start) return `until ${text(high)}`;
  return low === high ? text(low) : `${text(low)}–${text(high)}`;
}

// In percent of the chart: room for labels and titles around the bars.
const PLOT = { left: 13, right: 100, top: 15, bottom: 79 };

function bars(country, dimension, found, title) {
  const heights = found.counts.map(sum);
  const highest = Math.max(...heights, 1);
  const unit = 10 ** Math.floor(Math.log10(highest));
  const tick = [unit / 2, unit, unit * 2].find((size) => highest / size <= 5 && size >= 1) || unit * 5;
  const top = tick * Math.ceil(highest / tick);
  const y = (rows) => PLOT.bottom - ((PLOT.bottom - PLOT.top) * rows) / top;
  const width = (PLOT.right - PLOT.left) / heights.length;
  const chart = drawn("svg", { class: "chart", role: "img", "aria-label": `${title}. The numbers are in the table below.` },
    drawn("text", { x: "0%", y: "5%" }, "Vouchers"), drawn("text", { x: `${(PLOT.left + PLOT.right) / 2}%`, y: "98%", "text-anchor": "middle" }, DIMENSIONS.get(dimension).values));
  for (let rows = 0; rows <= top; rows += tick) {
    chart.append(drawn("line", { class: "grid", x1: `${PLOT.left}%`, x2: `${PLOT.right}%`, y1: `${y(rows)}%`, y2: `${y(rows)}%` }),
      drawn("text", { x: `${PLOT.left - 1}%`, y: `${y(rows) + 1.5}%`, "text-anchor": "end" }, compact.format(rows)));
  }
  found.counts.forEach((counts, number) => {
    let below = 0;
    counts.forEach((rows, position) => {
      if (!rows) return;
      const text = country.colours[position];
      chart.append(drawn("rect", { class: text ? colourOf(text) : REST, x: `${PLOT.left + (number + 0.08) * width}%`, width: `${0.84 * width}%`, y: `${y(below + rows)}%`, height: `${y(below) - y(below + rows)}%` },
        drawn("title", {}, `${binText(dimension, found, number)}, ${text ? amountText(text) : "others"}: ${whole.format(rows)}`)));
      below += rows;
    });
  });
  chart.append(...binLabels(dimension, found, width), ...borders(dimension, found, width));
  return chart;
}

function binLabels(dimension, found, width) {
  const bins = found.counts.length;
  const every = Math.ceil(bins / 5);
  const numbers = [...Array(bins).keys()].filter((number) => number % every === 0 && number < 0.9 * bins);
  const text = (number) => (isDays(dimension) ? dayOfNumber(found.edges[number]) : compact.format(found.edges[number]));
  // On a phone there is room for every second label.
  return numbers.map((number) => drawn("text", { class: number % (2 * every) ? "wide-only" : "", x: `${PLOT.left + number * width}%`, y: "87%", "text-anchor": "middle" }, text(number)));
}

// Where one segment ends and the next begins, with the number that it begins at where there is room.
function borders(dimension, found, width) {
  const numbers = new Set(figures.families.filter((family) => family.dimension === dimension).flatMap(({ rules }) => rules.flatMap(([, , low, high]) => (high < OPEN_END ? [low, high + 1] : [low]))));
  const today = midnight(figures.as_of) / DAY;
  const { unit } = DIMENSIONS.get(dimension);
  let labelled = -Infinity;
  return [...numbers].map((number) => [number, isDays(dimension) ? today - number + 1 : number])
    .filter(([, value]) => value > found.edges[0] && value < found.edges.at(-1)).sort((a, b) => a[1] - b[1])
    .flatMap(([number, value]) => {
      const bin = found.edges.findLastIndex((edge) => edge <= value);
      const x = PLOT.left + (bin + (value - found.edges[bin]) / (found.edges[bin + 1] - found.edges[bin])) * width;
      const line = drawn("line", { class: "border", x1: `${x}%`, x2: `${x}%`, y1: `${PLOT.top - 3}%`, y2: `${PLOT.bottom}%` }, drawn("title", {}, `${whole.format(number)} ${unit}`));
      if (x - labelled < 9 || x > 96) return [line];
      labelled = x;
      return [line, drawn("text", { x: `${x}%`, y: `${PLOT.top - 4}%`, "text-anchor": "middle" }, compact.format(number))];
    });
}

function distribution(country, dimension) {
  const { kind, values: title, unit } = DIMENSIONS.get(dimension);
  const found = country.distributions[dimension];
  if (!found) return card(title, paragraph("No row is counted.", "soft"));
  const name = `${title}, ${country.country_code}`;
  const rows = found.counts.map((counts, number) => row([binText(dimension, found, number), ...counts.map(count), count(sum(counts))], ["nowrap"]));
  const drawnTexts = [...country.colours, null].filter((_, position) => found.counts.some((counts) => counts[position])).map((text) => text ?? "");
  const hasBorders = borders(dimension, found, 1).length > 0;
  const dashes = [drawn("svg", { class: "swatch", "aria-hidden": "true" }, drawn("line", { class: "border", x1: "50%", x2: "50%", y1: "0", y2: "100%" })), `a segment begins, in ${unit}`];
  const note = kind === "number" ? paragraph("Low numbers have a bar each; higher ones share bars of wider and wider ranges.", "soft small") : null;
  return card(title, note, bars(country, dimension, found, name), legend(drawnTexts, ...(hasBorders ? [dashes] : [])), numbersBehind(table(name, [title, ...country.colours.map(amount), "Others", "All"], rows)));
}

function outlook(country, name) {
  const { rules, title: by } = FAMILIES.get(name);
  const title = `${by}, if nobody orders`;
  const days = country.outlook[name];
  const headings = ["Days", ...days.map(({ days: ahead }) => (ahead ? `in ${whole.format(ahead)} days` : dayOf(figures.as_of)))];
  const highest = Math.max(1, ...days.flatMap((found) => found.segments.map((segment) => (segment ? segment.vouchers : 0))));
  const line = (label, numbers, text) => {
    const made = row([label, ...numbers.map((rows, at) => cell(element("span", {}, element("b", {}, whole.format(rows)), element("span", {}, text(at))), rows))], ["nowrap", ...numbers.map(() => "cell")]);
    numbers.forEach((rows, at) => made.cells[at + 1].style.setProperty("--share", Math.min(1, rows / highest)));
    return made;
  };
  const rows = rules.map(([, , low, high], number) => {
    const segments = days.map((found) => found.segments[number]);
    return line(rangeText(low, high, "days"), segments.map((segment) => (segment ? segment.vouchers : 0)),
      (at) => (segments[at] ? `${star(segments[at])}${amountsText(segments[at].amounts, segments[at].tied)}` : "–"));
  });
  rows.push(line("in no segment", days.map((found) => found.in_no_segment), () => "–"));
  return card(title, paragraph("Vouchers by segment now and later, and the amount that would be most used (★, undecided ☆).", "soft small"), table(`${title}, ${country.country_code}`, headings, rows, "heat"));
}

function totals(country) {
  const title = "Totals to check by";
  const rows = country.totals.map((found) => row([FAMILIES.get(found.segment_name).title, ...[found.rows, found.in_segments, found.rows - found.in_segments, found.values, found.amounts, found.pairs].map(count)]));
  return card(title, table(`${title}, ${country.country_code}`, ["Segment family", "Rows counted", "In a segment", "In none", "Distinct values", "Distinct amounts", "Distinct pairs"], rows),
    paragraph("An object counts once, however often its event came. Duplicate rows count twice, but do not change the distinct numbers.", "soft small"));
}
