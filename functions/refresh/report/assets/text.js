// Texts of the page: numbers, days and names, in the language of the browser.

const figures = JSON.parse(document.getElementById("figures").textContent);

const whole = new Intl.NumberFormat();
const percent = new Intl.NumberFormat(undefined, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const points = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const hundredths = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const compact = new Intl.NumberFormat(undefined, { notation: "compact" });
const seconds = new Intl.NumberFormat(undefined, { style: "unit", unit: "second", maximumFractionDigits: 1 });
const milliseconds = new Intl.NumberFormat(undefined, { style: "unit", unit: "millisecond" });
const kilobytes = new Intl.NumberFormat(undefined, { style: "unit", unit: "kilobyte", maximumFractionDigits: 0 });
const megabytes = new Intl.NumberFormat(undefined, { style: "unit", unit: "megabyte", maximumFractionDigits: 1 });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });
const moment = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", timeZoneName: "short" });

const DAY = 86_400_000;
const midnight = (text) => Date.parse(`${text}T00:00:00Z`);
const dayOf = (text) => day.format(midnight(text));
const dayOfNumber = (number) => day.format(number * DAY);
const momentOf = (text) => moment.format(new Date(text));
const tookText = (took) => (took < 1000 ? milliseconds.format(took) : seconds.format(took / 1000));
const sizeText = (bytes) => (bytes < 1e6 ? kilobytes.format(bytes / 1e3) : megabytes.format(bytes / 1e6));
const plural = (number, one, many) => `${whole.format(number)} ${number === 1 ? one : many}`;
const sum = (numbers) => numbers.reduce((all, number) => all + number, 0);

// A share that would round to none or all is shown as under or over a limit.
function shareText(part, all) {
  if (!all) return "–";
  const share = part / all;
  if (share > 0 && share < 0.001) return `under ${percent.format(0.001)}`;
  return share < 1 && share > 0.999 ? `over ${percent.format(0.999)}` : percent.format(share);
}

// Invisible characters, and those that turn text around, show as their code: "\u202eurep" must not look like "peru".
const visible = (text) => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (found) => `\\u{${found.codePointAt(0).toString(16)}}`);

const SEGMENTS = figures.countries.flatMap((country) => country.segments.map((segment) => ({ country, segment })));

// 0 stands for an amount that was not recorded, or for one that is 0: the segments' unknown amounts tell which.
const ZERO = (() => {
  const zeros = SEGMENTS.map(({ country, segment }) => {
    const { unknown, most_used: { vouchers } } = segment;
    // If the segment has more vouchers than the table, those with an unknown amount are not in the table.
    return { used: segment.counts[country.amounts.indexOf("0")] || 0, unknown: unknown && (unknown.vouchers > vouchers ? 0 : unknown.amounts) };
  });
  const isRecorded = zeros.some(({ used, unknown }) => used > (unknown || 0));
  const isMissing = zeros.some(({ used, unknown }) => used && unknown !== 0);
  return !isMissing ? "0" : isRecorded ? "0 (no amount recorded, or 0)" : "0 (no amount recorded)";
})();
const plainAmount = (text) => whole.format(BigInt(text)); // beyond 2^53 too
const amountText = (text) => (text === "0" ? ZERO : plainAmount(text));
const amountsText = (texts, tied, write = amountText) => texts.map(write).join(", ") + (tied > texts.length ? ` and ${whole.format(tied - texts.length)} more` : "");

const FAMILIES = new Map(figures.families.map((family) => [family.segment_name, family]));
// Of several families with the same dimension, one shows how its values are spread.
const DIMENSIONS = new Map(figures.families.map((family) => [family.dimension, family]));
const OPEN_END = 99_999_999;
const rangeText = (low, high, unit) => `${whole.format(low)}${high >= OPEN_END ? "+" : `–${whole.format(high)}`} ${unit}`;
const segmentText = (segment) => rangeText(segment.min_range, segment.max_range, FAMILIES.get(segment.segment_name).unit);
// Its range; or its label, if it is older than today's rules.
function labelText(family, label) {
  const known = FAMILIES.get(family);
  if (!known) return `${family} ${label}`; // a family that is not published any more
  const rule = known.rules.find(([, type]) => type === label);
  // "By days since the last order": where several families count days, it takes more words to tell them apart.
  const unit = figures.families.some((other) => other !== known && other.unit === known.unit) ? known.title.replace(/^By /, "") : known.unit;
  return rule ? rangeText(rule[2], rule[3], unit) : `${label} ${unit}`;
}

// Refused objects may lack the dimension of a family: the others have all rows.
const rowsOf = (country) => Math.max(0, ...country.totals.map((found) => found.rows));

const sinceText = (since) => (since ? `${dayOf(since.as_of)}${since.is_exact ? "" : " or before"}` : "–");

function sureText({ most_used: { count }, doubt: { lead, z, decided } }) {
  const both = 2 * count - lead;
  if (decided) return `decided, z\u00a0${hundredths.format(z)}`;
  return both < 30 ? `undecided: ${plural(both, "voucher", "vouchers")}, fewer than 30` : `undecided: z\u00a0${hundredths.format(z)}, below ${hundredths.format(1.96)}`;
}

function leadText({ most_used: { tied }, runner_up: second, doubt: { lead, lead_share: share } }) {
  if (tied > 1) return `${whole.format(tied)} are tied`;
  if (!second) return "no other amount";
  const inPoints = share < 0.001 ? `under ${points.format(0.1)}` : `+${points.format(100 * share)}`;
  return `${inPoints} points, ${whole.format(lead)} more than ${amountsText(second.amounts, second.tied)}`;
}
