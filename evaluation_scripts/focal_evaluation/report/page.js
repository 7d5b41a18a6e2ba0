"use strict";
(function () {
  const options = { displaylogo: false, responsive: true };
  const read = (id) => JSON.parse(document.getElementById(id).textContent);

  for (const place of document.querySelectorAll("[data-chart]")) {
    const chart = read(place.dataset.chart);
    Plotly.newPlot(place, chart.data, chart.layout, options);
  }

  // Sorting keeps equal rows in their order; words sort as words, numbers by value, gaps always last.
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
        const sign = direction === "ascending" ? 1 : -1;
        heads.forEach((other) => other.setAttribute("aria-sort", other === head ? direction : "none"));
        const body = table.tBodies[0];
        const value = (row) => row.cells[column].dataset.value;
        const isNumber = head.dataset.kind === "number";
        const rows = [...body.rows].sort((one, two) => {
          const [a, b] = [value(one), value(two)];
          if (a === "" || b === "") return (a === "") - (b === "");
          return sign * (isNumber ? a - b : a < b ? -1 : a > b ? 1 : 0);
        });
        body.append(...rows);
      });
    });
  }

  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of document.getElementById(filter.dataset.table).tBodies[0].rows) {
      const text = [...row.cells].slice(0, 3).map((cell) => cell.dataset.value).join(" ").toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });

  if (!document.getElementById("map-data")) return;
  const maps = read("map-data");
  const workload = document.getElementById("map-workload");
  const method = document.getElementById("map-method");
  const block = document.getElementById("map-block");
  const option = (value, text) => Object.assign(document.createElement("option"), { value, textContent: text });
  const workloads = [...new Map(maps.entries.map((one) => [one.workload, one.workload_label]))];
  workload.append(...workloads.map(([value, text]) => option(value, text)));

  function fillMethods() {
    const chosen = method.value;
    const found = maps.entries.filter((one) => one.workload === workload.value);
    method.replaceChildren(...found.map((one) => option(one.method, one.method_label)));
    if (found.some((one) => one.method === chosen)) method.value = chosen;
  }
  const current = () => maps.entries.find((one) => one.workload === workload.value && one.method === method.value);

  function heat(id, title, table, map, scale) {
    const data = [{
      type: "heatmap", x: map.blocks, y: map.layers, z: table, zmin: 0, zmax: 100, colorscale: scale,
      colorbar: { title: { text: "%" }, thickness: 12 },
      hovertemplate: "block %{x}, %{y}<br>%{z:.1f} %<extra></extra>",
    }];
    const layout = {
      title: { text: title, font: { size: 13 } }, margin: { l: 90, r: 10, t: 36, b: 46 }, height: 380,
      xaxis: { title: { text: "Decoder block" }, type: "category" }, yaxis: { autorange: "reversed", type: "category" },
    };
    Plotly.react(id, data, layout, options);
  }

  function drawBlock() {
    const map = current();
    const column = Number(block.value);
    document.getElementById("map-block-value").textContent = map.blocks[column];
    const data = Object.entries(map.causes).map(([cause, table]) => ({
      type: "bar", name: cause.replaceAll("_", " "), x: map.layers, y: table.map((row) => row[column]),
      marker: { color: maps.colours[cause] }, hovertemplate: "%{x}<br>%{y:.2f} %<extra>%{fullData.name}</extra>",
    }));
    const layout = {
      barmode: "stack", height: 380, margin: { l: 60, r: 10, t: 10, b: 60 },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
      xaxis: { title: { text: "Layer of block " + map.blocks[column] }, type: "category" },
      yaxis: { title: { text: "Share of the layer's cycles [%]" }, range: [0, 100] },
    };
    Plotly.react("map-causes", data, layout, options);
  }

  function drawMaps() {
    const map = current();
    block.max = map.blocks.length - 1;
    if (Number(block.value) > Number(block.max)) block.value = block.max;
    heat("map-sparsity", "MACs saved [%]", map.sparsity, map, "Cividis");
    heat("map-stalls", "Stalls, share of cycles [%]", map.stalls, map, "Cividis");
    drawBlock();
  }

  workload.addEventListener("change", () => { fillMethods(); drawMaps(); });
  method.addEventListener("change", drawMaps);
  block.addEventListener("input", drawBlock);
  fillMethods();
  if (maps.first) method.value = maps.first;
  drawMaps();
})();
