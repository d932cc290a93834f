// The parts about all countries: the head, what changed, the most used amounts side by side.

const isFirst = figures.as_of_before === null;
const changed = figures.changes.filter((change) => change.before.length && change.after.length);
const undecided = SEGMENTS.filter(({ segment }) => !segment.doubt.decided);

function head() {
  const latest = figures.runs[0];
  const { rows_read: read, rows_counted: counted, values_defaulted: defaulted, objects_without_unknown: unrecorded } = figures.ledger;
  const tile = (name, value, more, kind = "") => element("div", { class: "tile" }, element("dt", {}, name), element("dd", { class: kind }, value), element("dd", {}, more));
  const countries = figures.countries.length + figures.countries_left_out;
  const noAmount = defaulted.voucher_amount || 0;
  document.title = `Voucher report, ${dayOf(figures.as_of)}`;
  document.getElementById("top").append(
    element("h1", {}, "Voucher report"),
    paragraph(`As of ${dayOf(figures.as_of)}. Published ${momentOf(figures.published_at)} by refresh ${whole.format(figures.refresh_id)}. Days are whole days in UTC; times are in ${Intl.DateTimeFormat().resolvedOptions().timeZone}.`, "soft"),
    element("dl", { class: "tiles" },
      tile("Vouchers counted", whole.format(sum(figures.countries.map(rowsOf))), `in ${plural(countries, "published country", "published countries")}`),
      tile("Most used changed", isFirst ? "first publication" : whole.format(changed.length), isFirst ? "nothing was published before" : `of ${plural(SEGMENTS.length, "segment", "segments")}, since the publication as of ${dayOf(figures.as_of_before)}`, isFirst ? "words" : ""),
      tile("Undecided", whole.format(undecided.length), `of ${plural(SEGMENTS.length, "segment", "segments")}${undecided.length ? ": the lead may be chance" : ""}`),
      tile("Amount unknown", shareText(noAmount, counted), unrecorded ? `or more: not known for ${plural(unrecorded, "object", "objects")}` : `${whole.format(noAmount)} of ${whole.format(counted)} rows`),
      tile("Rows rejected", whole.format(sum(figures.rejected.map((found) => found.rows))), `of ${whole.format(read)} read`),
      tile("Latest run", latest ? latest.outcome : "none", latest ? momentOf(latest.started_at) : "", latest && latest.outcome === "failed" ? "bad" : "")),
    element("nav", { "aria-label": "Parts of the report" },
      ...[["#campaign", "Campaign"], ["#calculator", "Calculator"], ["#data", "Data"], ["#runs", "Runs"]].map(([link, text]) => element("a", { href: link }, text))));
}

const linkTo = (name) => `#${new URLSearchParams({ country: name })}`;
const keyOf = (segment) => JSON.stringify([segment.segment_name, segment.min_range]);

// A row for each country, a column for each segment: only useful for several countries.
function overview() {
  if (figures.countries.length < 2) return null;
  const rules = new Map(SEGMENTS.map(({ segment }) => [keyOf(segment), segment]));
  const families = [...FAMILIES.keys()];
  const columns = [...rules.values()].sort((a, b) => families.indexOf(a.segment_name) - families.indexOf(b.segment_name) || a.min_range - b.min_range);
  const rows = figures.countries.map((country) => {
    const found = new Map(country.segments.map((segment) => [keyOf(segment), segment]));
    const name = cell(element("a", { href: linkTo(country.country_code) }, visible(country.country_code)), visible(country.country_code));
    return row([name, ...columns.map((column) => {
      const segment = found.get(keyOf(column));
      return segment ? mostUsed(segment.most_used, plainAmount) : "–";
    })]);
  });
  return card("The most used amount, country by country", paragraph(`? marks a first place that is undecided, – a segment without vouchers.${ZERO === "0" ? "" : ` 0: ${ZERO.slice(3, -1)}.`}`, "soft small"),
    table("The most used amount of each segment, by country", ["Country", ...columns.map((one) => labelText(one.segment_name, one.segment_type))], rows));
}

// An amount whose first place is undecided does not look like one that is decided.
function mostUsed({ amounts, tied, decided }, write = amountText) {
  const text = amountsText(amounts, tied, write);
  return cell(decided ? text : element("span", { class: "undecided" }, `${text}\u00a0?`, hidden(" undecided")), amounts.join(" ") + (decided ? "" : " undecided"));
}

// ---- what the last publication changed ----

const CAUSES = {
  first_publication: () => "first publication",
  countries: () => "the published countries changed",
  rules: () => "the rules changed",
  as_of: () => `the as-of day moved from ${dayOf(figures.as_of_before)} to ${dayOf(figures.as_of)}`,
  data: () => "the data changed",
};
const causesText = (causes) => causes.map((cause) => CAUSES[cause]()).join(", ");
const MAX_CHANGES = 60;
const MAX_NAMED = 8;

function changes() {
  const title = "What the last publication changed, and why";
  if (isFirst) return card(title, paragraph("First publication: nothing was published before, so there is nothing to compare with.", "soft"));
  const before = `Since the previous publication, which was as of ${dayOf(figures.as_of_before)}.`;
  if (!figures.changes.length) return card(title, paragraph(`${before} Every segment kept its most used amount.`, "soft"));
  // If a day, a rule or a country filled or emptied segments, no amount overtook another: they share a sentence.
  const alone = figures.changes.filter((change) => changed.includes(change) || change.causes.includes("data"));
  const shown = alone.slice(0, MAX_CHANGES).map(change);
  const together = new Map();
  for (const one of figures.changes) {
    const key = JSON.stringify([one.causes, one.before.length > 0]);
    if (!alone.includes(one)) together.set(key, [...(together.get(key) || []), one]);
  }
  const more = alone.length - shown.length;
  return card(title, paragraph(before, "soft"), shown.length ? element("ul", { class: "changes" }, ...shown) : paragraph("Every segment that had vouchers before, and has some now, kept its most used amount.", "soft"),
    more > 0 ? paragraph(`And ${whole.format(more)} more.`, "soft") : null, ...[...together.values()].map(movedTogether));
}

function change(one) {
  const amounts = (texts, none) => (texts.length ? amountsText(texts, texts.length) : none);
  const objects = one.objects.map((object) => element("li", { class: "key" }, `${plural(object.vouchers, "voucher", "vouchers")} by `, element("code", {}, visible(object.key)), ` (ETag ${visible(object.etag || "none")})`));
  return element("li", {}, element("b", {}, visible(one.country_code)), ` ${labelText(one.segment_name, one.segment_type)}: ${amounts(one.before, "no voucher")} → `, element("b", {}, amounts(one.after, "no voucher")),
    element("div", { class: "soft small" }, causesText(one.causes), objects.length ? element("ul", {}, ...objects) : ""));
}

function movedTogether(moved) {
  const [{ causes, before }] = moved;
  const names = moved.slice(0, MAX_NAMED).map((one) => `${visible(one.country_code)} ${labelText(one.segment_name, one.segment_type)}`);
  const more = moved.length > MAX_NAMED ? ` and ${whole.format(moved.length - MAX_NAMED)} more` : "";
  const cause = causesText(causes);
  const [one, many] = causes.includes("countries")
    ? (before.length ? ["segment is not published any more", "segments are not published any more"] : ["segment is new", "segments are new"])
    : (before.length ? ["segment holds no voucher any more", "segments hold no voucher any more"] : ["segment holds vouchers and held none before", "segments hold vouchers and held none before"]);
  return paragraph(`${cause[0].toUpperCase()}${cause.slice(1)}: ${plural(moved.length, one, many)} (${names.join(", ")}${more}).`);
}
