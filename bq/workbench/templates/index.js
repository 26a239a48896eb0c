// The table of runs: shows the lines that hold every word of the filter, and sorts by the column whose head is pressed.
// `index.html#forecast deployed` begins with that filter. Served by `make dashboard`, the page loads itself again when
// another one lies there; opened as a file it asks for nothing.
const runs = document.querySelector("table.runs");
if (runs) {
  const body = runs.tBodies[0], box = document.querySelector("input[type=search]"), count = document.querySelector("#shown");
  const key = (row, place) => row.cells[place].dataset.key ?? row.cells[place].textContent.trim();
  const filter = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of body.rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    count.textContent = `${[...body.rows].filter((row) => !row.hidden).length} of ${body.rows.length} runs`;
  };
  const sort = (head) => {
    const down = head.getAttribute("aria-sort") !== "descending", place = head.cellIndex;
    for (const other of runs.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const order = (a, b) => key(a, place).localeCompare(key(b, place), "en");
    const number = (text) => (text === "" ? -Infinity : Number(text));
    const compare = "numeric" in head.dataset ? (a, b) => number(key(a, place)) - number(key(b, place)) : order;
    const sorted = [...body.rows].sort(compare);
    body.append(...(down ? sorted.reverse() : sorted));
  };
  for (const head of runs.tHead.rows[0].cells) head.querySelector("button").addEventListener("click", () => sort(head));
  box.addEventListener("input", filter);
  box.addEventListener("input", () => history.replaceState(null, "", `#${encodeURIComponent(box.value)}`));
  box.parentElement.hidden = false;
  const asked = decodeURIComponent(location.hash.slice(1));
  box.value = document.getElementById(asked) ? "" : asked;
  filter();
}
// Who looks at the page long after it was written sees that runs did not come: no job has told it.
for (const line of document.querySelectorAll("[data-last]")) {
  const days = Math.floor((Date.now() - Date.parse(line.dataset.last)) / 864e5), every = Number(line.dataset.every);
  if (days > every) {
    line.textContent = `last run ${days} ${days === 1 ? "day" : "days"} ago, expected ${every === 1 ? "daily" : `every ${every} days`}`;
    line.hidden = false;
  }
}
if (location.protocol.startsWith("http")) {
  const own = document.querySelector("meta[name=digest]").content;
  setInterval(async () => {
    const answer = await fetch("digest.json", { cache: "no-store" }).catch(() => null);
    if (answer?.ok && (await answer.json()).digest !== own) location.reload();
  }, 5000);
}
