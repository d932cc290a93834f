"use strict";
// Shows the figures that the page holds. Values become text nodes and attributes of our own choosing, never markup.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);

  // In the reader's language: the browser's.
  const whole = new Intl.NumberFormat();
  const percent = new Intl.NumberFormat(undefined, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const points = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const hundredths = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const seconds = new Intl.NumberFormat(undefined, { style: "unit", unit: "second", maximumFractionDigits: 1 });
  const milliseconds = new Intl.NumberFormat(undefined, { style: "unit", unit: "millisecond" });
  const tookText = (took) => (took < 1000 ? milliseconds.format(took) : seconds.format(took / 1000));
  const kilobytes = new Intl.NumberFormat(undefined, { style: "unit", unit: "kilobyte", maximumFractionDigits: 0 });
  const megabytes = new Intl.NumberFormat(undefined, { style: "unit", unit: "megabyte", maximumFractionDigits: 1 });
  const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });
  const shortDay = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "2-digit", timeZone: "UTC" });
  const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const amountText = (text) => whole.format(BigInt(text)); // beyond 2^53 too
  const amountsText = (texts, tied) => texts.map(amountText).join(", ") + (tied > texts.length ? ` and ${whole.format(tied - texts.length)} more` : "");
  const shareText = (part, all) => (all ? percent.format(part / all) : "–");
  const dayOf = (text) => day.format(new Date(`${text}T00:00:00Z`));
  const dayOfNumber = (number, format) => format.format(new Date(number * 86_400_000));
  // What has no shape of its own, or turns text around, shows as its number: "\u202eurep" shall not look like "peru".
  const visible = (text) => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (found) => `\\u{${found.codePointAt(0).toString(16)}}`);
  const sum = (numbers) => numbers.reduce((all, number) => all + number, 0);

  const FAMILIES = new Map(figures.families.map((family) => [family.segment_name, family]));
  // Of several families with the same dimension, one shows how its values are spread.
  const DIMENSIONS = new Map(figures.families.map((family) => [family.dimension, family]));
  const OPEN_END = 99_999_999;
  const rangeText = (low, high, unit) => `${whole.format(low)}${high >= OPEN_END ? "+" : `–${whole.format(high)}`} ${unit}`;
  const segmentText = (segment) => rangeText(segment.min_range, segment.max_range, FAMILIES.get(segment.segment_name).unit);
  // By its label, for what is older than the rules of today.
  const labelText = (family, label) => {
    const known = FAMILIES.get(family);
    if (!known) return `${family} ${label}`; // of a family that is there no more
    const rule = known.rules.find(([, type]) => type === label);
    return rule ? rangeText(rule[2], rule[3], known.unit) : `${label} ${known.unit}`;
  };

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

  // A table that is wider than a phone scrolls by itself, with the keyboard too. Columns of text stand to the left.
  function table(title, headings, rows, kind = "", texts = []) {
    const head = element("tr", {}, ...headings.map((heading) => element("th", { scope: "col", class: texts.includes(heading) ? "text" : "" }, heading)));
    return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title },
      element("table", { class: kind }, element("caption", { class: "hidden" }, title), element("thead", {}, head), element("tbody", {}, ...rows)));
  }

  // The first cell names the row.
  function row(cells, kinds = []) {
    return element("tr", {}, ...cells.map((cell, number) =>
      number ? element("td", kinds[number] ? { class: kinds[number] } : {}, cell) : element("th", { scope: "row", class: kinds[0] || "name" }, cell)));
  }

  const numbersBehind = (content) => element("details", {}, element("summary", {}, "Show the numbers"), content);

  // ---- all countries ----

  function head() {
    const latest = figures.runs[0];
    const vouchers = sum(figures.countries.map(rowsOf));
    const tile = (name, value, more, kind = "") => element("div", { class: "tile" }, element("dt", {}, name), element("dd", { class: kind }, value), element("dd", {}, more));
    const counted = figures.countries.length + figures.countries_left_out;
    document.title = `Voucher report, ${dayOf(figures.as_of)}`;
    document.getElementById("top").append(
      element("h1", {}, "Voucher report"),
      element("p", { class: "soft" }, `As of ${dayOf(figures.as_of)}. Published ${moment.format(new Date(figures.published_at))} by refresh ${whole.format(figures.refresh_id)}.`),
      element("dl", { class: "tiles" },
        tile("Vouchers counted", whole.format(vouchers), counted === 1 ? "in 1 published country" : `in ${whole.format(counted)} published countries`),
        tile("Most used changed", whole.format(figures.changes.length), "since the publication before"),
        tile("Rows rejected", whole.format(sum(figures.rejected.map((found) => found.rows))), `of ${whole.format(figures.ledger.rows_read)} read`),
        tile("Latest run", latest ? latest.outcome : "none", latest ? moment.format(new Date(latest.started_at)) : "", latest && latest.outcome === "failed" ? "bad" : "")),
      element("nav", { "aria-label": "Parts of the report" },
        ...[["#campaign", "Campaign"], ["#data", "Data"], ["#runs", "Runs"]].map(([link, text]) => element("a", { href: link }, text))));
  }

  // Countries beside segments: only of use where there are several.
  function overview() {
    if (figures.countries.length < 2) return null;
    const rules = new Map();
    for (const country of figures.countries) for (const segment of country.segments) rules.set(keyOf(segment), segment);
    const families = [...FAMILIES.keys()];
    const columns = [...rules.values()].sort((a, b) => families.indexOf(a.segment_name) - families.indexOf(b.segment_name) || a.min_range - b.min_range);
    const rows = figures.countries.map((country) => {
      const found = new Map(country.segments.map((segment) => [keyOf(segment), segment]));
      return row([element("a", { href: linkTo(country.country_code) }, visible(country.country_code)), ...columns.map((column) => {
        const segment = found.get(keyOf(column));
        return segment ? mostUsed(segment.most_used) : "–";
      })]);
    });
    return card("The most used amount, country by country",
      table("The most used amount of each segment, by country", ["Country", ...columns.map(segmentText)], rows));
  }

  // An amount whose first place is undecided does not look like one that is.
  const mostUsed = (found) => {
    const text = amountsText(found.amounts, found.tied);
    return found.decided ? text : element("span", { class: "undecided" }, `${text} ?`, hidden("undecided"));
  };
  const star = (found) => (found.decided ? "★ " : "☆ ");

  // Refused objects may lack the dimension of a family: the others have all rows.
  const rowsOf = (country) => Math.max(0, ...country.totals.map((found) => found.rows));
  const linkTo = (name) => `#${new URLSearchParams({ country: name })}`;
  const keyOf = (segment) => JSON.stringify([segment.segment_name, segment.min_range]);

  function changes() {
    const title = "What the last publication changed";
    if (!figures.changes.length) return card(title, paragraph("Every segment kept its most used amount.", "soft"));
    if (figures.changes.every((change) => change.causes.includes("first_publication"))) return card(title, paragraph("First publication: nothing was published before.", "soft"));
    const amounts = (texts) => (texts.length ? amountsText(texts, texts.length) : "none");
    const shown = figures.changes.slice(0, 60).map((change) => element("li", {},
      element("b", {}, visible(change.country_code)), ` ${labelText(change.segment_name, change.segment_type)}: ${amounts(change.before)} → `, element("b", {}, amounts(change.after)), why(change)));
    const more = figures.changes.length - shown.length;
    return card(title, element("ul", { class: "changes" }, ...shown), more > 0 ? paragraph(`And ${whole.format(more)} more.`, "soft") : null);
  }

  const CAUSES = { first_publication: "first publication", countries: "the published countries changed", rules: "the rules changed", as_of: "the as-of day moved", data: "data came or went" };
  function why(change) {
    const objects = change.objects.map((object) => element("li", { class: "key" }, `${whole.format(object.vouchers)} vouchers by `, element("code", {}, visible(object.key)), ` (ETag ${visible(object.etag || "none")})`));
    return element("div", { class: "soft small" }, change.causes.map((cause) => CAUSES[cause]).join(", "), objects.length ? element("ul", {}, ...objects) : "");
  }

  // ---- a country's campaign ----

  function heatMap(country, family) {
    const segments = country.segments.filter((segment) => segment.segment_name === family);
    if (!segments.length) return null;
    const others = country.other_amounts > 0;
    const shares = segments.flatMap((segment) => segment.counts.map((count) => count / segment.most_used.vouchers));
    const highest = Math.max(...shares);
    const rows = segments.map((segment) => {
      const vouchers = segment.most_used.vouchers;
      const cells = segment.counts.slice(0, others ? undefined : -1).map((count, number) => {
        const won = segment.most_used.amounts.includes(country.amounts[number]);
        const kind = won ? (segment.most_used.decided ? "cell won" : "cell won unsure") : "cell";
        const cell = element("td", { class: kind },
          element("b", {}, won ? star(segment.most_used) : "", whole.format(count)), element("span", {}, shareText(count, vouchers)), won ? hidden("most used") : null);
        cell.style.setProperty("--share", highest ? count / vouchers / highest : 0);
        return cell;
      });
      const label = element("th", { scope: "row", class: "nowrap" }, segmentText(segment));
      const plain = segment.max_range >= OPEN_END ? `${segment.min_range}+` : `${segment.min_range}-${segment.max_range}`;
      if (plain !== segment.segment_type) label.append(element("br"), element("span", { class: "soft small" }, `labelled ${segment.segment_type}`));
      return element("tr", {}, label, element("td", {}, element("b", {}, mostUsed(segment.most_used))), lead(segment), ...cells, element("td", {}, whole.format(vouchers)));
    });
    const headings = ["Segment", "Most used", "Lead", ...country.amounts.map(amountText), ...(others ? [`${whole.format(country.other_amounts)} other amounts`] : []), "All"];
    const { title, objects_lacking: lacking } = FAMILIES.get(family);
    const note = lacking ? paragraph(`Without ${whole.format(lacking)} refused objects, which lack what this is counted by.`, "bad small") : null;
    return card(title, note, table(`${title}: how often each amount was used, ${country.country_code}`, headings, rows, "heat"));
  }

  function lead(segment) {
    const { tied } = segment.most_used;
    const { lead, lead_share: share, z, decided } = segment.doubt;
    const sure = [element("br"), element("span", { class: "soft small" }, `${decided ? "decided" : "undecided"}, z ${hundredths.format(z)}`)];
    if (tied > 1) return element("td", { class: "soft" }, `${whole.format(tied)} are tied`, ...sure);
    if (!segment.runner_up) return element("td", { class: "soft" }, "no other amount", ...sure);
    const second = segment.runner_up;
    return element("td", { class: "nowrap" }, `+${points.format(100 * share)} points`, element("br"),
      element("span", { class: "soft small" }, `${whole.format(lead)} over ${amountsText(second.amounts, second.tied)}`), ...sure);
  }

  const OTHERS = 6;
  const colourAt = (country, position) => (position < country.colours.length ? position : OTHERS);
  const colourName = (country, colour) => (colour < country.colours.length ? amountText(country.colours[colour]) : "others");
  const colourOf = (country, text) => { const found = country.colours.indexOf(text); return found < 0 ? OTHERS : found; };

  function trends(country) {
    const title = "The most used amount over time";
    if (figures.days.length < 2) return card(title, paragraph("A trend begins with the second as-of day that is published.", "soft"));
    const width = 100 / figures.days.length;
    const highest = Math.max(...country.trends.flatMap((trend) => trend.points.map(([, , permille]) => permille)));
    const colours = new Set();
    const parts = [];
    const rows = [];
    for (const trend of country.trends) {
      const label = labelText(trend.segment_name, trend.segment_type);
      const strip = drawn("svg", { class: "strip", "aria-hidden": "true" }, drawn("rect", { class: "ground", width: "100%", height: "100%" }));
      const stretches = []; // of days with the same most used amount
      for (const [number, amounts, permille] of trend.points) {
        const text = amountsText(amounts, amounts.length);
        const share = shareText(permille, 1000);
        const colour = colourOf(country, amounts[0]);
        const height = (60 * permille) / highest;
        colours.add(colour);
        strip.append(drawn("rect", { x: `${number * width}%`, width: `${width}%`, y: `${100 - height}%`, height: `${height}%`, class: `f${colour}` },
          drawn("title", {}, `${dayOf(figures.days[number])}: ${text}, ${share}`)));
        if (!stretches.length || stretches.at(-1).text !== text) {
          stretches.push({ text, from: number, days: 0 });
          rows.push(row([label, dayOf(figures.days[number]), text, share], ["nowrap", "nowrap"]));
        }
        stretches.at(-1).days = number + 1 - stretches.at(-1).from;
      }
      for (const { text, from, days } of stretches) {
        // Where there is room, on a phone too; the colours and the table tell the rest.
        if (days * width < 12) continue;
        strip.append(drawn("text", { class: days * width < 33 ? "wide-only" : "", x: `${from * width + 0.6}%`, y: "1.1em" }, text));
      }
      const [last, , permille] = trend.points.at(-1);
      const now = last === figures.days.length - 1 ? shareText(permille, 1000) : "–";
      parts.push(element("span", { class: "nowrap small" }, label), strip, element("span", { class: "nowrap small number" }, now));
    }
    const span = `${dayOf(figures.days[0])} to ${dayOf(figures.days.at(-1))}, ${whole.format(figures.days.length)} as-of days. The height is the most used amount's share of the segment; beside it, the last one.`;
    return card(title, paragraph(span, "soft small"), element("div", { class: "trend" }, ...parts), legend(country, colours),
      numbersBehind(table(`When the most used amount changed, ${country.country_code}`, ["Segment", "From", "Most used", "Its share"], rows)));
  }

  // ---- a country's data ----

  function binText(dimension, found, number, format) {
    const isDay = DIMENSIONS.get(dimension).kind === "days_since";
    const [low, high] = [found.edges[number], found.edges[number + 1] - 1];
    const text = (value) => (isDay ? dayOfNumber(value, format) : whole.format(value));
    if (number === found.counts.length - 1 && found.open_end) return `${text(low)} ${isDay ? "and later" : "and more"}`;
    if (!number && found.open_start) return `until ${text(high)}`;
    return low === high ? text(low) : `${text(low)}–${text(high)}`;
  }

  function bars(country, dimension, found, title) {
    const heights = found.counts.map(sum);
    const highest = Math.max(...heights, 1);
    const unit = 10 ** Math.floor(Math.log10(highest));
    const tick = [unit / 2, unit, unit * 2, unit * 5].find((size) => highest / size <= 4.5 && size >= 1) || unit * 5;
    const [top, bottom] = [4, 84];
    const y = (rows) => bottom - ((bottom - top) * rows) / highest;
    const [left, right] = [8, 100];
    const width = (right - left) / heights.length;
    const chart = drawn("svg", { class: "chart", role: "img", "aria-label": `${title}. The numbers are in the table below.` });
    for (let rows = 0; rows <= highest; rows += tick) {
      chart.append(drawn("line", { x1: `${left}%`, x2: `${right}%`, y1: `${y(rows)}%`, y2: `${y(rows)}%` }),
        drawn("text", { x: `${left - 1}%`, y: `${y(rows) + 1.5}%`, "text-anchor": "end" }, compact.format(rows)));
    }
    found.counts.forEach((counts, number) => {
      let below = 0;
      counts.forEach((count, position) => {
        if (!count) return;
        const colour = colourAt(country, position);
        const of = colourName(country, colour);
        chart.append(drawn("rect", { class: `f${colour}`, x: `${left + (number + 0.08) * width}%`, width: `${0.84 * width}%`, y: `${y(below + count)}%`, height: `${y(below) - y(below + count)}%` },
          drawn("title", {}, `${binText(dimension, found, number, day)}, ${of}: ${whole.format(count)}`)));
        below += count;
      });
    });
    const every = Math.ceil(heights.length / 6);
    for (let number = 0; number < heights.length; number += every) {
      const value = found.edges[number];
      // On a phone there is room for every other.
      const kind = number % (2 * every) ? "wide-only" : "";
      chart.append(drawn("text", { class: kind, x: `${left + number * width}%`, y: "95%" }, DIMENSIONS.get(dimension).kind === "days_since" ? dayOfNumber(value, shortDay) : compact.format(value)));
    }
    return chart;
  }

  const compact = new Intl.NumberFormat(undefined, { notation: "compact" });

  function legend(country, colours) {
    return element("ul", { class: "legend" }, ...[...colours].sort().map((colour) =>
      element("li", {}, drawn("svg", { "aria-hidden": "true" }, drawn("rect", { width: "100%", height: "100%", rx: "3", class: `f${colour}` })), colourName(country, colour))));
  }

  function distribution(country, dimension) {
    const { kind, values: title } = DIMENSIONS.get(dimension);
    const found = country.distributions[dimension];
    if (!found) return card(title, paragraph("No row is counted.", "soft"));
    const rows = found.counts.map((counts, number) => row([binText(dimension, found, number, day), ...counts.map((count) => whole.format(count)), whole.format(sum(counts))], ["nowrap"]));
    const headings = [title, ...country.colours.map(amountText), "Others", "All"];
    const colours = new Set(found.counts.flatMap((counts) => counts.flatMap((count, position) => (count ? [colourAt(country, position)] : []))));
    const note = kind === "number" ? paragraph("One number a bar first, then wider and wider ranges.", "soft small") : null;
    return card(title, note, bars(country, dimension, found, `${title}, ${country.country_code}`), legend(country, colours), numbersBehind(table(`${title}, ${country.country_code}`, headings, rows)));
  }

  function outlook(country, family) {
    const { rules, title: by } = FAMILIES.get(family);
    const title = `${by}, if nobody orders`;
    const days = country.outlook[family];
    const headings = ["Days", ...days.map(({ days }) => (days ? `in ${whole.format(days)} days` : dayOf(figures.as_of)))];
    const highest = Math.max(1, ...days.flatMap((found) => found.segments.map((segment) => (segment ? segment.vouchers : 0))));
    const cell = (rows, text) => {
      const made = element("td", { class: "cell" }, element("b", {}, whole.format(rows)), element("span", {}, text));
      made.style.setProperty("--share", Math.min(1, rows / highest));
      return made;
    };
    const name = (text) => element("th", { scope: "row", class: "nowrap" }, text);
    const rows = rules.map(([, , low, high], number) => element("tr", {}, name(rangeText(low, high, "days")), ...days.map((found) => {
      const segment = found.segments[number];
      return segment ? cell(segment.vouchers, `${star(segment)}${amountsText(segment.amounts, segment.tied)}`) : cell(0, "–");
    })));
    rows.push(element("tr", {}, name("in no segment"), ...days.map((found) => cell(found.in_no_segment, "–"))));
    return card(title, paragraph("Vouchers by segment now and later, and the amount that would be most used (★, undecided ☆).", "soft small"), table(`${title}, ${country.country_code}`, headings, rows, "heat"));
  }

  function totals(country) {
    const title = "Totals to check by";
    const rows = country.totals.map((found) => row([FAMILIES.get(found.segment_name).title, ...[found.rows, found.in_segments, found.rows - found.in_segments, found.values, found.amounts, found.pairs].map((number) => whole.format(number))]));
    return card(title, table(`${title}, ${country.country_code}`, ["Segment family", "Rows counted", "In a segment", "In none", "Distinct values", "Distinct amounts", "Distinct pairs"], rows),
      paragraph("An object counts once, however often its event came. Rows that are there twice count twice, but change none of the distinct numbers.", "soft small"));
  }

  // ---- the data of all countries ----

  function rowsByCountry() {
    const title = "Rows by country";
    const published = figures.countries.map((country) => [country.country_code, rowsOf(country), true]);
    const others = figures.others.map((other) => [other.country_code, other.rows, false]);
    const all = [...published, ...others].sort((a, b) => b[1] - a[1]);
    const highest = Math.max(1, ...all.map(([, rows]) => rows));
    const rows = all.map(([name, count, isPublished]) => row([
      element("span", {}, visible(name), drawn("svg", { class: "bar", "aria-hidden": "true" }, drawn("rect", { width: `${(100 * count) / highest}%`, height: "100%", rx: "3", class: isPublished ? "f0" : "f6" }))),
      whole.format(count), shareText(count, figures.ledger.rows_counted), isPublished ? "yes" : "no"]));
    const more = figures.others.length ? figures.others[0].countries - figures.others.length : 0;
    const left = [more > 0 ? `${whole.format(more)} more countries are counted and not published.` : "", figures.countries_left_out ? `${whole.format(figures.countries_left_out)} more are published.` : ""].join(" ").trim();
    return card(title, table(title, ["Country", "Rows counted", "Share", "Published"], rows), left ? paragraph(left, "soft small") : null);
  }

  function quality() {
    const { ledger, rejected } = figures;
    const fact = (name, value, more = "") => row([name, value, more], ["", "", "text soft small"]);
    const rejectedRows = sum(rejected.map((found) => found.rows));
    const byCountry = sum(figures.countries.map(rowsOf)) + (figures.others.length ? figures.others[0].rows_in_all : 0);
    const agrees = (is) => element("span", { class: is ? "good" : "bad" }, is ? "adds up" : "does not add up");
    const unknown = ledger.objects_not_told ? `${whole.format(ledger.objects_not_told)} objects were counted before this was recorded` : "";
    return card("Rows and values",
      table("Rows read, counted and rejected, and values defaulted", ["What", "Number", "Note"], [
        fact("Objects counted", whole.format(ledger.objects), ledger.size < 1e6 ? kilobytes.format(ledger.size / 1e3) : megabytes.format(ledger.size / 1e6)),
        fact("Rows read", whole.format(ledger.rows_read), agrees(ledger.rows_read === ledger.rows_counted + rejectedRows)),
        fact("Rows counted", whole.format(ledger.rows_counted), figures.countries_left_out ? "" : agrees(byCountry === ledger.rows_counted)),
        fact("Rows rejected", whole.format(rejectedRows), shareText(rejectedRows, ledger.rows_read)),
        ...Object.entries(ledger.values_defaulted).map(([name, rows]) =>
          fact(`${name} missing, counted as 0`, whole.format(rows), unknown || shareText(rows, ledger.rows_counted))),
      ], "", ["Note"]),
      rejected.length
        ? table("Rows rejected by reason", ["Reason", "Rows", "Of those read"], rejected.map((found) => row([element("code", {}, found.reason), whole.format(found.rows), shareText(found.rows, ledger.rows_read)])))
        : paragraph("No row is rejected.", "soft small"));
  }

  // ---- the runs ----

  function runs() {
    const longest = Math.max(1, ...figures.runs.map((run) => run.took_ms || 0));
    const listed = (pairs) => pairs.filter(([number]) => number).map(([number, what]) => `${whole.format(number)} ${what}`).join(", ") || "–";
    const rows = figures.runs.flatMap((run) => {
      const rejected = sum(Object.values(run.rows_rejected));
      const took = run.took_ms === null ? "–" : element("span", {}, tookText(run.took_ms),
        drawn("svg", { class: "bar", "aria-hidden": "true" }, drawn("rect", { width: `${(100 * run.took_ms) / longest}%`, height: "100%", rx: "3", class: "f0" })));
      const found = row([
        whole.format(run.refresh_id), moment.format(new Date(run.started_at)), run.trigger.replaceAll("_", " "), dayOf(run.as_of), took,
        listed([[run.objects_counted, "counted"], [run.objects_skipped, "unchanged"], [run.objects_removed, "removed"], [run.objects_refused, "refused"], [run.objects_refused_before, "refused before"], [run.objects_deferred, "deferred"], [run.objects_ignored, "ignored"]]),
        listed([[run.rows_counted, "counted"], [rejected, "rejected"], [run.rows_lost, "lost to overwrites and deletes"]]),
        element("span", { class: run.outcome === "failed" ? "bad" : run.outcome === "published" ? "good" : "soft" }, run.outcome),
      ], ["nowrap", "text nowrap", "text nowrap", "text nowrap", "nowrap", "text", "text", "text"]);
      return run.errors.length ? [found, element("tr", { class: "why" }, element("td", { colspan: "8" }, run.errors.map(visible).join("\n")))] : [found];
    });
    const made = card("The latest runs", table("The latest runs", ["Run", "Started", "Trigger", "As of", "Took", "Objects", "Rows", "Outcome"], rows, "runs", ["Started", "Trigger", "As of", "Objects", "Rows", "Outcome"]));
    made.classList.add("runs-card");
    return made;
  }

  function refusedObjects() {
    const title = "Objects that cannot be counted";
    if (!figures.refused.length) return card(title, paragraph("None.", "soft"));
    const rows = figures.refused.map((object) => row([element("code", {}, visible(object.key)), moment.format(new Date(object.changed_at)), visible(object.error)], ["name key", "text", "text"]));
    const more = figures.ledger.objects_refused - figures.refused.length;
    return card(title, table(title, ["Object", "Since", "Reason"], rows, "", ["Since", "Reason"]), more > 0 ? paragraph(`And ${whole.format(more)} more.`, "soft small") : null);
  }

  // Runs that looked at the whole bucket; others know of their own object only.
  const WHOLE = ["daily", "manual", "unfinished", "backlog"];

  function ignoredObjects() {
    const title = "Objects that are ignored";
    const looked = figures.runs.find((run) => WHOLE.includes(run.trigger) && run.outcome === "published");
    if (!looked || !looked.objects_ignored) return card(title, paragraph(looked ? "None." : "No run has looked at the whole bucket yet.", "soft"));
    const more = looked.objects_ignored - looked.ignored.length;
    return card(title, paragraph(`Run ${whole.format(looked.refresh_id)} found them under the prefix; they are not part of the dataset.`, "soft"),
      element("ul", {}, ...looked.ignored.map((key) => element("li", { class: "key" }, element("code", {}, visible(key))))), more > 0 ? paragraph(`And ${whole.format(more)} more.`, "soft small") : null);
  }

  // ---- the whole ----

  const part = (id, title, text, ...children) => element("section", { class: "part", id }, element("div", { class: "head" }, element("h2", {}, title)), paragraph(text, "soft"), ...children);

  function show() {
    head();
    const campaign = element("div");
    const data = element("div");
    const select = element("select", { id: "country" }, ...figures.countries.map((country) => element("option", { value: country.country_code }, visible(country.country_code))));

    function showCountry(name) {
      const country = figures.countries.find((found) => found.country_code === name) || figures.countries[0];
      select.value = country.country_code;
      chosen.textContent = visible(country.country_code);
      campaign.replaceChildren(...[...FAMILIES.keys()].map((family) => heatMap(country, family)).filter(Boolean), trends(country));
      if (!country.segments.length) campaign.prepend(card(visible(country.country_code), paragraph("No voucher of this country lies in a segment.", "soft")));
      data.replaceChildren(
        element("div", { class: "two" }, ...[...DIMENSIONS.keys()].map((dimension) => distribution(country, dimension))),
        ...Object.keys(country.outlook).map((family) => outlook(country, family)), totals(country));
    }

    select.addEventListener("change", () => { location.hash = linkTo(select.value); });
    const chosen = element("span", { class: "print-only" });
    const choice = element("div", { class: "choice" }, element("label", { for: "country" }, "Country"), select, chosen);
    const first = figures.countries[0];
    const parts = [
      part("campaign", "Campaign", "How often each voucher amount was used in each segment. ★ marks the most used; the lead is over the runner-up, in points of the segment's share. ☆, a broken frame and ? mark a first place that is undecided: z is below 1.96, or the two leading amounts have fewer than 30 vouchers. Counts tell what was used, not what works.", changes(), overview(), campaign),
      part("data", "Data", "What the numbers are made from.", data, element("div", { class: "two" }, rowsByCountry(), quality())),
      part("runs", "Runs", "How the refreshes went.", runs(), refusedObjects(), ignoredObjects()),
    ];
    campaign.before(choice);
    document.getElementById("content").append(...parts);
    const showAsked = () => {
      const asked = new URLSearchParams(location.hash.slice(1)).get("country");
      if (first && (asked || !campaign.hasChildNodes())) showCountry(asked || first.country_code);
      if (asked) choice.scrollIntoView();
    };
    addEventListener("hashchange", showAsked);
    showAsked();
  }

  show();
})();
