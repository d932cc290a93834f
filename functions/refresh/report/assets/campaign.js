// A country's campaign: which amount is used most in each segment, how sure that is, since when, and the counts.

const star = (found) => (found.decided ? "★ " : "☆ ");

const ANSWER_TEXTS = ["How sure", "Lead", "Since"];

function answerHeadings(family) {
  const ofNumber = family && family.kind === "number" ? [`${family.values} unknown`] : [];
  return ["Most used", "Its share", "How sure", "Lead", "Since", "Amount unknown", ...ofNumber, "Vouchers"];
}

function answerCells(segment, family) {
  const { most_used: found, unknown } = segment;
  const { vouchers } = found;
  const unknownShare = (part) => (unknown ? share(unknown[part], unknown.vouchers) : "not known yet");
  const most = mostUsed(found);
  const { z, decided } = segment.doubt;
  return [
    cell(element("b", {}, most.show), most.value), share(found.count, vouchers),
    cell(element("span", { class: decided ? "" : "undecided" }, sureText(segment)), `${decided ? "decided" : "undecided"}, z ${z}`),
    leadText(segment), cell(sinceText(segment.since), segment.since ? segment.since.as_of + (segment.since.is_exact ? "" : " or before") : ""),
    unknownShare("amounts"), ...(family && family.kind === "number" ? [unknownShare("numbers")] : []), count(vouchers),
  ];
}

function campaignOf(country, name) {
  const family = FAMILIES.get(name);
  const segments = country.segments.filter((segment) => segment.segment_name === name);
  if (!segments.length) return null;
  const lacking = family.objects_lacking ? paragraph(`Without ${plural(family.objects_lacking, "refused object", "refused objects")} not counted by this family's dimension.`, "bad small") : null;
  const unrecorded = segments.some((segment) => !segment.unknown) ? paragraph("Some objects were counted before unknown values were counted apart. The next daily run counts them again.", "soft small") : null;
  const rows = segments.map((segment) => row([segmentLabel(segment), ...answerCells(segment, family)], ["nowrap", "", "", "text sure", "text lead", "text nowrap"]));
  return card(family.title, lacking,
    table(`${family.title}: the most used amount, ${country.country_code}`, ["Segment", ...answerHeadings(family)], rows, "answers", ANSWER_TEXTS), unrecorded,
    heatMap(country, family, segments));
}

function segmentLabel(segment) {
  const text = segmentText(segment);
  const plain = segment.max_range >= OPEN_END ? `${segment.min_range}+` : `${segment.min_range}-${segment.max_range}`;
  const label = plain === segment.segment_type ? "" : element("span", { class: "soft small label" }, `labelled ${segment.segment_type}`);
  return cell(element("span", {}, text, label), text);
}

function heatMap(country, family, segments) {
  const others = country.other_amounts > 0;
  const highest = Math.max(...segments.flatMap((segment) => segment.counts.map((one) => one / segment.most_used.vouchers)));
  const rows = segments.map((segment) => {
    const { amounts, decided, vouchers } = segment.most_used;
    const made = row([segmentLabel(segment), ...segment.counts.slice(0, others ? undefined : -1).map((one, number) => {
      const won = amounts.includes(country.amounts[number]);
      const standing = won ? hidden(decided ? " most used" : " most used, undecided") : "";
      return cell(element("span", {}, element("b", {}, won ? star(segment.most_used) : "", whole.format(one)), element("span", {}, shareText(one, vouchers)), standing), one);
    }), count(vouchers)], ["nowrap"]);
    segment.counts.slice(0, others ? undefined : -1).forEach((one, number) => {
      const won = amounts.includes(country.amounts[number]);
      made.cells[number + 1].className = won ? (decided ? "cell won" : "cell won unsure") : "cell";
      made.cells[number + 1].style.setProperty("--share", highest ? one / vouchers / highest : 0);
    });
    return made;
  });
  const headings = country.amounts.map((text) => cell(element("span", {}, swatch(colourOf(text)), amountText(text)), text));
  return table(`${family.title}: how often each amount was used, ${country.country_code}`,
    ["Segment", ...headings, ...(others ? [plural(country.other_amounts, "other amount", "other amounts")] : []), "All"], rows, "heat");
}

// ---- over time ----

function trends(country) {
  const title = "The most used amount over time";
  if (figures.days.length < 2) return card(title, paragraph("A trend begins with the second as-of day that is published.", "soft"));
  const highest = Math.max(...country.trends.flatMap(({ stretches }) => stretches.flatMap(([, , , shares]) => shares)));
  const labels = country.trends.map((trend) => labelText(trend.segment_name, trend.segment_type));
  const parts = country.trends.flatMap(({ stretches }, number) => {
    const [first, , , shares] = stretches.at(-1);
    const now = first + shares.length === figures.days.length ? permilleText(shares.at(-1)) : "–";
    return [element("span", { class: "small" }, labels[number]), strip(stretches, highest), element("span", { class: "nowrap small number" }, now)];
  });
  const axis = element("div", { class: "axis small soft" }, ...[figures.days[0], figures.days.at(-1)].map((text) => element("span", {}, dayOf(text))));
  const rows = country.trends.flatMap(({ stretches }, number) => stretches.map(([first, amounts, decided, shares]) =>
    row([labels[number], dayCell(figures.days[first]), cell(amountsText(amounts, amounts.length), amounts.join(" ")), cell(permilleText(shares[0]), shares[0] / 1000), sureOf(decided)], ["nowrap", "text nowrap"])));
  const text = `${plural(figures.days.length, "as-of day", "as-of days")}. The height is the most used amount's share of the segment; the share of the last day stands beside it. Pale, with ?: the first place is undecided.`;
  return card(title, paragraph(text, "soft small"), element("div", { class: "trend" }, ...parts, element("span"), axis, element("span")),
    legend(country.trends.flatMap(({ stretches }) => stretches.map(([, amounts]) => amounts[0]))),
    numbersBehind(table(`When the most used amount changed, ${country.country_code}`, ["Segment", "From", "Most used", "Its share", "How sure"], rows, "", ["From"])));
}

const sureOf = (decided) => (decided === null ? "not recorded" : decided ? "decided" : "undecided");
const permilleText = (permille) => shareText(permille || 0.5, 1000);

function strip(stretches, highest) {
  const width = 100 / figures.days.length;
  const made = drawn("svg", { class: "strip", "aria-hidden": "true" }, drawn("rect", { class: "ground", width: "100%", height: "100%" }));
  for (const [first, amounts, decided, shares] of stretches) {
    shares.forEach((permille, number) => {
      const height = (60 * permille) / highest;
      made.append(drawn("rect", { x: `${(first + number) * width}%`, width: `${width}%`, y: `${100 - height}%`, height: `${height}%`, class: `${colourOf(amounts[0])}${decided === false ? " pale" : ""}` },
        drawn("title", {}, `${dayOf(figures.days[first + number])}: ${amountsText(amounts, amounts.length)}, ${permilleText(permille)}, ${sureOf(decided)}`)));
    });
  }
  for (const [first, amounts, decided, shares] of stretches) {
    const text = amountsText(amounts, amounts.length, plainAmount) + (decided === false ? " ?" : "");
    // Only where there is room, on a phone too; the colours and the table show the rest.
    const room = (shares.length * width) / text.length;
    if (room > 1.6) made.append(drawn("text", { class: room < 5 ? "wide-only" : "", x: `${first * width + 0.6}%`, y: "1.1em" }, text));
  }
  return made;
}
