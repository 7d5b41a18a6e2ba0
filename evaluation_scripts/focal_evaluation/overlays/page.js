"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const slider = document.getElementById("layer");
  const shade = document.getElementById("shade");
  const layers = data.states.length;
  const tokens = data.states[0].length;
  const colour = (rgb) => `rgb(${rgb.join(",")})`;
  const isKept = (layer, token) => data.looks[parseInt(data.states[layer][token], 36)].counts;
  const keptBehind = data.states.map((_, layer) => {
    let kept = 0;
    for (let token = 0; token < tokens; token += 1) kept += isKept(layer, token);
    return kept;
  });
  // Many pictures are drawn smaller, so that a screen holds them; a cell never gets narrower than 8 pixels.
  const sides = [[1, 640], [2, 480], [4, 384], [9, 288], [16, 224]];
  const side = (sides.find(([most]) => data.pictures.length <= most) || [0, 160])[1];
  let group = null;

  const panels = data.pictures.map((picture, number) => {
    const own = [];
    let least = Infinity, right = picture.width, bottom = picture.height;
    for (let token = 0; token < tokens; token += 1) {
      const [of, x0, y0, x1, y1] = data.cells.slice(5 * token, 5 * token + 5);
      if (of !== number) continue;
      own.push([token, x0, y0, x1, y1]);
      least = Math.min(least, x1 - x0, y1 - y0);
      right = Math.max(right, x1);
      bottom = Math.max(bottom, y1);
    }
    const scale = Math.max(side / Math.max(picture.width, picture.height), own.length ? 8 / least : 1);
    const at = (value) => Math.floor(value * scale + 0.5);
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(at(picture.width), at(right));
    canvas.height = Math.max(at(picture.height), at(bottom));
    canvas.setAttribute("role", "img");
    canvas.dataset.picture = number;
    const caption = document.createElement("figcaption");
    const figure = document.createElement("figure");
    figure.append(caption, canvas);
    document.getElementById("panels").append(figure);
    const image = new Image();
    const cells = own.map(([token, ...box]) => [token, ...box.map(at)]);
    const panel = { picture, canvas, caption, image, cells, width: at(picture.width), height: at(picture.height) };
    image.onload = () => draw(panel);
    image.src = "data:image/png;base64," + picture.png;
    return panel;
  });

  function drawMark(context, kind, x, y, width, height) {
    const thin = Math.max(1, Math.round(Math.min(width, height) / 14));
    const line = (from, to) => {
      context.beginPath();
      context.moveTo(x + width * 0.28, y + height * from);
      context.lineTo(x + width * 0.72, y + height * to);
      context.lineWidth = thin;
      context.stroke();
    };
    if (kind === "dot") context.fillRect(x + width * 0.36, y + height * 0.36, width * 0.28, height * 0.28);
    if (Math.min(width, height) < 11 && kind !== "dot") return;
    if (kind === "slash" || kind === "cross") line(0.72, 0.28);
    if (kind === "cross") line(0.28, 0.72);
  }

  function draw(panel) {
    if (!panel.image.complete) return;
    const layer = Number(slider.value);
    const context = panel.canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, panel.canvas.width, panel.canvas.height);
    context.drawImage(panel.image, 0, 0, panel.width, panel.height);
    let kept = 0;
    for (const [token, x0, y0, x1, y1] of panel.cells) {
      const look = data.looks[parseInt(data.states[layer][token], 36)];
      const width = x1 - x0, height = y1 - y0;
      kept += look.counts;
      if (look.wash) {
        context.fillStyle = `rgba(0,0,0,${look.wash})`;
        context.fillRect(x0, y0, width, height);
      }
      if (data.shares.length && shade.checked && look.wash < 0.5) {
        const share = parseInt(data.shares[layer][token], 36) / 35;
        context.fillStyle = `rgba(${data.shade.join(",")},${0.7 * share})`;
        context.fillRect(x0, y0, width, height);
      }
      const thick = look.counts && Math.min(width, height) >= 14 ? 2 : 1;
      context.fillStyle = context.strokeStyle = colour(look.edge);
      context.fillRect(x0, y0, width, thick);
      context.fillRect(x0, y1 - thick, width, thick);
      context.fillRect(x0, y0, thick, height);
      context.fillRect(x1 - thick, y0, thick, height);
      drawMark(context, look.mark, x0, y0, width, height);
    }
    if (group) {
      context.strokeStyle = "#d00080";
      context.lineWidth = 3;
      for (const [token, x0, y0, x1, y1] of panel.cells) {
        if (group.has(token)) context.strokeRect(x0 + 1.5, y0 + 1.5, x1 - x0 - 3, y1 - y0 - 3);
      }
    }
    panel.caption.textContent = `${panel.picture.label}: ${kept} of ${panel.cells.length}`;
    panel.canvas.setAttribute("aria-label", `${panel.caption.textContent} tokens kept`);
  }

  const bars = keptBehind.map((kept, layer) => {
    const bar = document.createElement("button");
    bar.type = "button";
    bar.style.height = `${(100 * kept) / tokens}%`;
    bar.title = `layer ${layer}: ${kept} of ${tokens}`;
    bar.setAttribute("aria-label", bar.title);
    bar.addEventListener("click", () => go(layer));
    document.getElementById("bars").append(bar);
    return bar;
  });

  function show() {
    const layer = Number(slider.value);
    const counts = new Array(data.looks.length).fill(0);
    for (const digit of data.states[layer]) counts[parseInt(digit, 36)] += 1;
    document.getElementById("layer-value").textContent = layer;
    document.getElementById("kept").textContent = `${keptBehind[layer]} of ${tokens} visual tokens`;
    for (const place of document.querySelectorAll(".count")) {
      place.textContent = counts[Number(place.dataset.place)];
    }
    bars.forEach((bar, index) => bar.setAttribute("aria-current", index === layer));
    panels.forEach(draw);
  }

  function go(layer) {
    slider.value = Math.min(layers - 1, Math.max(0, layer));
    group = null;
    show();
    history.replaceState(null, "", `#layer=${slider.value}`);
  }

  function fromAddress() {
    const found = /layer=(\d+)/.exec(location.hash);
    if (found) slider.value = Math.min(layers - 1, Number(found[1]));
    show();
  }

  function pointAt(panel, event) {
    const box = panel.canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) * panel.canvas.width) / box.width;
    const y = ((event.clientY - box.top) * panel.canvas.height) / box.height;
    const cell = panel.cells.find(([, x0, y0, x1, y1]) => x >= x0 && x < x1 && y >= y0 && y < y1);
    const layer = Number(slider.value);
    if (!cell) return;
    const token = cell[0];
    const pairs = data.represented_by.of_layer.length ? data.represented_by.tables[data.represented_by.of_layer[layer]] : [];
    let head = token;
    for (let place = 0; place < pairs.length; place += 2) if (pairs[place] === token) head = pairs[place + 1];
    const members = [head];
    for (let place = 0; place < pairs.length; place += 2) if (pairs[place + 1] === head) members.push(pairs[place]);
    const look = data.looks[parseInt(data.states[layer][token], 36)];
    let text = `Visual token ${token}: ${look.label}`;
    if (head !== token) text += `; token ${head} stands for it and ${members.length - 2} others`;
    else if (members.length > 1) text += `; stands for ${members.length - 1} others`;
    if (data.shares.length) text += `; about ${Math.round((parseInt(data.shares[layer][token], 36) * 100) / 35)} % of its vectors merged`;
    document.getElementById("about").textContent = `${text}.`;
    group = members.length > 1 ? new Set(members) : null;
    panels.forEach(draw);
  }

  for (const panel of panels) {
    panel.canvas.addEventListener("mousemove", (event) => pointAt(panel, event));
    panel.canvas.addEventListener("mouseleave", () => { group = null; panels.forEach(draw); });
  }
  slider.addEventListener("input", () => go(Number(slider.value)));
  document.getElementById("back").addEventListener("click", () => go(Number(slider.value) - 1));
  document.getElementById("forward").addEventListener("click", () => go(Number(slider.value) + 1));
  if (shade) shade.addEventListener("change", show);
  let timer = null;
  const play = document.getElementById("play");
  play.addEventListener("click", () => {
    if (timer) clearInterval(timer);
    timer = timer ? null : setInterval(() => go((Number(slider.value) + 1) % layers), 700);
    play.textContent = timer ? "stop" : "play";
    play.setAttribute("aria-pressed", Boolean(timer));
  });
  window.addEventListener("hashchange", fromAddress);
  fromAddress();
})();
