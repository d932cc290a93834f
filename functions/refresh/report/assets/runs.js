// The data of all countries, and the runs.

function rowsByCountry() {
  const title = "Rows by country";
  const published = figures.countries.map((country) => [country.country_code, rowsOf(country), true]);
  const all = [...published, ...figures.others.map((other) => [other.country_code, other.rows, false])].sort((a, b) => b[1] - a[1]);
  const highest = Math.max(1, ...all.map(([, rows]) => rows));
  const rows = all.map(([name, number, isPublished]) => row([
    cell(element("span", {}, visible(name), bar(number, highest, isPublished ? "f0" : REST)), visible(name)),
    count(number), share(number, figures.ledger.rows_counted), isPublished ? "yes" : "no"]));
  const more = figures.others.length ? figures.others[0].countries - figures.others.length : 0;
  const left = [more > 0 ? `${plural(more, "more country is", "more countries are")} counted and not published.` : "", figures.countries_left_out ? `${plural(figures.countries_left_out, "more is", "more are")} published.` : ""].join(" ").trim();
  return card(title, table(title, ["Country", "Rows counted", "Share", "Published"], rows), left ? paragraph(left, "soft small") : null);
}

function quality() {
  const { ledger, rejected } = figures;
  const fact = (name, value, more = "") => row([name, value, more], ["", "", "text soft small"]);
  const rejectedRows = sum(rejected.map((found) => found.rows));
  const byCountry = sum(figures.countries.map(rowsOf)) + (figures.others.length ? figures.others[0].rows_in_all : 0);
  const agrees = (is) => element("span", { class: is ? "good" : "bad" }, is ? "adds up" : "does not add up");
  const unrecorded = ledger.objects_without_unknown ? `${plural(ledger.objects_without_unknown, "object was", "objects were")} counted before this was recorded` : "";
  return card("Rows and values",
    table("Rows read, counted and rejected, and unknown values", ["What", "Number", "Note"], [
      fact("Objects counted", count(ledger.objects), sizeText(ledger.size)),
      fact("Rows read", count(ledger.rows_read), agrees(ledger.rows_read === ledger.rows_counted + rejectedRows)),
      fact("Rows counted", count(ledger.rows_counted), figures.countries_left_out ? "" : agrees(byCountry === ledger.rows_counted)),
      fact("Rows rejected", count(rejectedRows), shareText(rejectedRows, ledger.rows_read)),
      ...Object.entries(ledger.values_defaulted).map(([name, rows]) => fact(`${name} unknown, counted as 0`, count(rows), unrecorded || shareText(rows, ledger.rows_counted))),
    ], "", ["Note"]),
    rejected.length
      ? table("Rows rejected by reason", ["Reason", "Rows", "Of those read"], rejected.map((found) => row([element("code", {}, found.reason), count(found.rows), share(found.rows, ledger.rows_read)])))
      : paragraph("No row is rejected.", "soft small"));
}

function runs() {
  const longest = Math.max(1, ...figures.runs.map((run) => run.took_ms || 0));
  const listed = (pairs) => pairs.filter(([number]) => number).map(([number, what]) => `${whole.format(number)} ${what}`).join(", ") || "–";
  const rows = figures.runs.flatMap((run) => {
    const rejected = sum(Object.values(run.rows_rejected));
    const took = run.took_ms === null ? "–" : cell(element("span", {}, tookText(run.took_ms), bar(run.took_ms, longest)), run.took_ms);
    const losses = Object.entries(run.losses).map(([key, lost]) => `${visible(key)} ${whole.format(lost)}`).join(", ");
    const outcome = element("span", { class: run.outcome === "failed" ? "bad" : run.outcome === "published" ? "good" : "soft" }, run.outcome);
    const found = row([
      count(run.refresh_id), momentCell(run.started_at), run.trigger.replaceAll("_", " "), dayCell(run.as_of), took,
      listed([[run.objects_counted, "counted"], [run.objects_skipped, "unchanged"], [run.objects_removed, "removed"], [run.objects_refused, "refused"], [run.objects_refused_before, "refused before"], [run.objects_deferred, "deferred"], [run.objects_ignored, "ignored"]]),
      listed([[run.rows_counted, "counted"], [rejected, "rejected"], [run.rows_lost, `not counted any more${losses && ` (${losses})`}`]]),
      cell(outcome, [run.outcome, ...run.errors].join("\n")),
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
  const rows = figures.refused.map((object) => row([element("code", {}, visible(object.key)), momentCell(object.since), visible(object.error)], ["name key", "text", "text"]));
  const more = figures.ledger.objects_refused - figures.refused.length;
  return card(title, table(title, ["Object", "Refused since", "Latest reason"], rows, "", ["Refused since", "Latest reason"]), more > 0 ? paragraph(`And ${whole.format(more)} more.`, "soft small") : null);
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
