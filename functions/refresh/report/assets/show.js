// The whole page: a country is drawn when it is chosen, and all countries for printing.

const part = (id, title, texts, ...children) => element("section", { class: "part", id }, element("h2", {}, title), ...texts.map((text) => paragraph(text, "soft")), ...children);

const campaignParts = (country) => [
  ...(country.segments.length ? [] : [card(visible(country.country_code), paragraph("No voucher of this country is in a segment.", "soft"))]),
  ...[...FAMILIES.keys()].map((name) => campaignOf(country, name)).filter(Boolean), trends(country)];

const dataParts = (country) => [
  element("div", { class: "two" }, ...[...DIMENSIONS.keys()].map((dimension) => distribution(country, dimension))),
  ...Object.keys(country.outlook).map((name) => outlook(country, name)), totals(country)];

const CAMPAIGN = [
  "Which voucher amount was used most in each segment of customers, how sure that is, and since which as-of day. ★ and a frame mark the most used amount. ☆, a broken frame and ? mark a first place that is undecided: its lead may be chance, because z is below 1.96 or the two leading amounts have fewer than 30 vouchers.",
  "Counts show which amount was used most; if the files also hold unused vouchers, which was sent most. They cannot tell which amount works: an amount that was sent to nearly everybody is used most whatever its effect, and some customers would have come back without a voucher. To find out takes a record of every voucher sent, used or not, and a random group of customers who were sent none.",
  `Amounts are in the data's own currency, which the records do not name; it may differ by country.${ZERO === "0" ? "" : ` The amount 0 stands for vouchers without a recorded amount${ZERO.includes("or 0") ? ", and for amounts that are 0" : ""}.`}`,
];

function show() {
  head();
  const campaign = element("div");
  const data = element("div");
  const select = countrySelect("country");
  const choice = element("div", { class: "choice" }, element("label", { for: "country" }, "Country"), select);
  const first = figures.countries[0];
  let shown = first;

  function showCountry(country) {
    shown = country;
    select.value = country.country_code;
    campaign.replaceChildren(...campaignParts(country));
    data.replaceChildren(...dataParts(country));
  }

  let isPaper = false;
  function forPaper(is) {
    if (is === isPaper) return;
    isPaper = is;
    if (is) showAll();
    else showCountry(shown);
  }

  function showAll() {
    const named = (parts) => figures.countries.flatMap((country) => [element("h3", { class: "country" }, visible(country.country_code)), ...parts(country)]);
    campaign.replaceChildren(...named(campaignParts));
    data.replaceChildren(...named(dataParts));
  }

  document.getElementById("content").append(
    part("campaign", "Campaign", CAMPAIGN, changes(), overview(), choice, campaign),
    part("calculator", "Calculator", ["What the lookup API answers for a customer."], calculator()),
    part("data", "Data", ["What the numbers are made from."], data, element("div", { class: "two" }, rowsByCountry(), quality())),
    part("runs", "Runs", ["How the refreshes went."], runs(), refusedObjects(), ignoredObjects()));

  const showAsked = () => {
    const asked = new URLSearchParams(location.hash.slice(1)).get("country");
    if (asked || !campaign.hasChildNodes()) showCountry(figures.countries.find((country) => country.country_code === asked) || first);
    if (asked) choice.scrollIntoView();
  };
  if (!first) return;
  select.addEventListener("change", () => { location.hash = linkTo(select.value); });
  addEventListener("hashchange", showAsked);
  // Some browsers fire only one of the two kinds of events.
  addEventListener("beforeprint", () => forPaper(true));
  addEventListener("afterprint", () => forPaper(false));
  matchMedia("print").addEventListener("change", ({ matches }) => forPaper(matches));
  showAsked();
}

show();
