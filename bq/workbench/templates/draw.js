// Draws each figure from its JSON. On a narrow screen a finger scrolls the page instead of zooming the figure.
for (const holder of document.querySelectorAll("[data-figure]")) {
  const draw = async () => {
    const figure = JSON.parse(document.getElementById("figure-" + holder.dataset.figure).textContent);
    const layout = { ...figure.layout, autosize: true };
    delete layout.width;
    const narrow = holder.clientWidth < 600;
    if (narrow) layout.dragmode = false;
    const buttons = [["toImage", "zoom2d", "pan2d", "resetScale2d"]];
    const config = { responsive: true, displaylogo: false, displayModeBar: narrow ? false : "hover", modeBarButtons: buttons };
    await Plotly.newPlot(holder, figure.data, layout, config);
  };
  draw().catch((error) => { holder.textContent = "This figure could not be drawn: " + error.message; });
}
