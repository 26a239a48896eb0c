// Draws each figure from its JSON. On a narrow screen a finger scrolls the page instead of zooming the figure.
// On a wide one the lines of a title, broken for a phone, are as long as there is room.
const wrapped = (text, most) => text.split(" ").reduce((lines, word) => {
  const longer = [...lines.slice(-1), word].join(" ");
  return longer.length <= most && lines.length ? [...lines.slice(0, -1), longer] : [...lines, word];
}, []);
const widen = (layout, width) => {
  const { title, note, line } = layout.meta, before = layout.title.text.split("<br>");
  const notes = note ? wrapped(note, width / 7) : [], style = before.at(-1).match(/^<span[^>]*>/);
  const lines = [...wrapped(title, width / 8), ...notes.map((text) => style + text + "</span>")];
  layout.title = { ...layout.title, text: lines.join("<br>") };
  layout.margin = { ...layout.margin, t: layout.margin.t - line * (before.length - lines.length) };
};
// plotly.js lies in the page compressed, so that what can be read without it is there first.
const unpacked = (async () => {
  const packed = Uint8Array.from(atob(document.querySelector('script[type="text/plain"]').textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  (0, eval)(await new Response(stream).text());
})();
for (const holder of document.querySelectorAll("[data-figure]")) {
  const draw = async () => {
    await unpacked;
    const figure = JSON.parse(document.getElementById("figure-" + holder.dataset.figure).textContent);
    const layout = { ...figure.layout, autosize: true };
    delete layout.width;
    const narrow = holder.clientWidth < 600;
    if (narrow) layout.dragmode = false;
    else if (layout.meta?.line) widen(layout, holder.clientWidth - 120);  // the buttons have the rest
    const buttons = [["toImage", "zoom2d", "pan2d", "resetScale2d"]];
    const config = { responsive: true, displaylogo: false, displayModeBar: narrow ? false : "hover", modeBarButtons: buttons };
    await Plotly.newPlot(holder, figure.data, layout, config);
  };
  draw().catch((error) => { holder.textContent = "This figure could not be drawn: " + error.message; });
}
