/* digits: draw a digit, and watch the layers of a net answer. Its weights are in digits-weights.js, which is loaded first. */
"use strict";

(() => {
  const SIZE = 140, PEN = 11, MOVE = 7; // of the paper, in its pixels
  const SVG = "http://www.w3.org/2000/svg";

  // Digits to be drawn by a button: strokes of points, in tenths of the paper.
  const SAMPLES = [
    "5 2 3.6 2.7 3 5 3.6 7.3 5 8 6.4 7.3 7 5 6.4 2.7 5 2",
    "5.4 2 4.9 5 4.5 8",
    "3.2 3.4 4 2.2 5.6 2 6.6 3 6.2 4.6 4.6 6.4 3 8 5 7.8 7.2 8",
    "3.3 2.4 5 2 6.4 2.8 6 4.2 4.6 4.8 6.2 5.2 6.8 6.6 5.6 7.8 3.2 7.6",
    "3.4 2 3 5 5 5.2 7 5|6.6 2.2 6.3 5 6 8",
    "6.8 2 3.8 2.1 3.5 4.8 5.2 4.4 6.6 5.4 6.4 7.2 5 8 3.2 7.6",
    "6 2 4.4 3.4 3.4 5.6 3.8 7.4 5.2 8 6.5 7 6 5.5 4.6 5.4 3.6 6.4",
    "3 2.2 5 2.2 7 2 6 4.6 4.8 8",
    "6.6 3 5.2 2 3.7 2.8 4.2 4.2 6 5.6 6.5 7 5.2 8 3.8 7.2 4.2 5.6 6 4.2 6.6 3",
    "6.5 3.2 5 2 3.6 3 4 4.6 5.4 4.8 6.5 3.4 6.4 5 6 8",
  ].map((digit) => digit.split("|").map((stroke) => stroke.split(" ").map(Number)));

  /** The layers' weights as numbers: [{ weight: inputs × neurons, bias }]. */
  const layers = window.digitsWeights.map(({ scale, bias, weight }) => {
    const small = Int8Array.from(atob(weight), (c) => c.charCodeAt(0));
    return { weight: Float64Array.from(small, (w, i) => w * scale[i % scale.length]), bias };
  });

  const linear = (inputs, { weight, bias }) =>
    bias.map((b, j) => inputs.reduce((sum, x, i) => (x ? sum + x * weight[i * bias.length + j] : sum), b));
  const sigmoid = (z) => 1 / (1 + Math.exp(-z));

  /** What the hidden neurons and the outputs make of 784 pixels from 0 to 1. */
  function read(pixels) {
    const hidden = linear(pixels, layers[0]).map(sigmoid), logits = linear(hidden, layers[1]);
    const top = Math.max(...logits), parts = logits.map((z) => Math.exp(z - top)), total = parts.reduce((a, b) => a + b);
    return { hidden, logits, probabilities: parts.map((p) => p / total) };
  }

  /** Which of `length` numbers go into each of `count` means, side by side. */
  const shares = (length, count) => Array.from({ length: count }, (_, i) => {
    const scale = length / count;
    return Array.from({ length }, (_, j) => j).filter((j) => j + 0.5 > i * scale && j + 0.5 <= (i + 1) * scale);
  });

  /** Ink (0 to 1, a square of some side) as MNIST has it: fitted to 20×20, its centre of mass in the middle of 28×28. */
  function centred(ink, side) {
    let [top, bottom, left, right] = [side, -1, side, -1];
    ink.forEach((value, i) => {
      if (!value) return;
      const row = Math.floor(i / side), column = i % side;
      [top, bottom, left, right] = [Math.min(top, row), Math.max(bottom, row), Math.min(left, column), Math.max(right, column)];
    });
    if (bottom < 0) return null;
    const tall = bottom - top + 1, wide = right - left + 1, scale = 20 / Math.max(tall, wide);
    const height = Math.max(1, Math.round(tall * scale)), width = Math.max(1, Math.round(wide * scale));
    const rows = shares(tall, height), columns = shares(wide, width);
    const small = rows.map((ys) => columns.map((xs) => {
      let sum = 0;
      for (const y of ys) for (const x of xs) sum += ink[(top + y) * side + left + x];
      return sum / (ys.length * xs.length || 1);
    }));
    const darkest = Math.max(...small.flat());
    let mass = 0, across = 0, down = 0;
    small.forEach((row, y) => row.forEach((value, x) => { mass += value; down += value * (y + 0.5); across += value * (x + 0.5); }));
    const place = (centre, length) => Math.min(28 - length, Math.max(0, Math.round(14.5 - centre)));
    const y0 = place(down / mass, height), x0 = place(across / mass, width), page = new Array(784).fill(0);
    small.forEach((row, y) => row.forEach((value, x) => { page[(y0 + y) * 28 + x0 + x] = Math.round((255 * value) / darkest) / 255; }));
    return page;
  }

  for (const box of document.querySelectorAll("[data-widget=digits]")) {
    box.innerHTML = `
      <style>
        .digits { display: flex; flex-wrap: wrap; gap: 1rem 1.5rem; align-items: flex-start; }
        .digits .inside { display: flex; flex-direction: column; flex-wrap: wrap; gap: 0.7rem 1rem; }
        @media (max-width: 600px) { .digits .inside { flex-direction: row; } }
        .digits h4 { margin: 0 0 0.3rem; font-size: 0.9em; font-weight: 600; }
        .digits canvas, .digits svg { display: block; border: 1px solid var(--line); background: #fff; }
        .digits .paper { width: 15rem; max-width: 100%; aspect-ratio: 1; cursor: crosshair; }
        .digits .sees { width: 7rem; image-rendering: pixelated; }
        .digits .hidden { width: 7rem; }
        .digits table { border-collapse: collapse; margin: 0; width: auto; display: table; font-variant-numeric: tabular-nums; }
        .digits :is(td, th) { padding: 0 0.4rem 0 0; border: 0; line-height: 1.35; background: none; }
        .digits .bar { display: block; height: 0.7em; width: 6rem; }
        .digits .bar i { display: block; height: 100%; background: var(--blue); }
        .digits tr.said { font-weight: 700; }
        .digits tr.said i { background: var(--orange); }
      </style>
      <div class="digits">
        <div><h4>draw here</h4>
          <canvas class="paper" width="${SIZE}" height="${SIZE}" tabindex="0" role="application"
            aria-label="Paper to draw on. Arrow keys move the pen, space puts it down or lifts it, Delete clears the paper."></canvas></div>
        <div class="inside">
          <div><h4>what the net sees</h4><canvas class="sees" width="28" height="28" role="img" aria-label="28 by 28 pixels"></canvas></div>
          <div><h4>hidden neurons</h4><svg class="hidden" viewBox="0 0 10 10" role="img"></svg></div>
        </div>
        <div><h4>outputs</h4><table><tbody>${SAMPLES.map((_, d) =>
          `<tr><th scope="row">${d}</th><td><span class="bar"><i></i></span></td><td></td></tr>`).join("")}</tbody></table></div>
      </div>
      <div class="row" style="margin-top: 0.8rem">
        <button name="clear" type="button">Clear</button>
        <label>draw a <select name="sample"><option value="">…</option>${SAMPLES.map((_, d) => `<option>${d}</option>`).join("")}</select></label>
      </div>
      <p class="status" role="status" style="margin: 0.6rem 0 0"></p>`;
    const find = (selector) => box.querySelector(selector);
    const paper = find(".paper"), ink = paper.getContext("2d", { willReadFrequently: true });
    const sees = find(".sees").getContext("2d"), hidden = find(".hidden"), status = find(".status");
    let pen = [SIZE / 2, SIZE / 4], down = false, strokes = [], sample = false;

    const cells = Array.from({ length: layers[0].bias.length }, (_, i) => {
      const cell = document.createElementNS(SVG, "rect");
      for (const [key, value] of Object.entries({ x: i % 10, y: Math.floor(i / 10), width: 1, height: 1 })) cell.setAttribute(key, value);
      return hidden.appendChild(cell);
    });

    /** Draw all strokes, and the pen where it is moved by keys. */
    function paint() {
      ink.clearRect(0, 0, SIZE, SIZE);
      Object.assign(ink, { lineWidth: PEN, lineCap: "round", lineJoin: "round", strokeStyle: "#000" });
      for (const stroke of strokes) {
        ink.beginPath();
        ink.moveTo(...stroke[0]);
        for (const point of stroke.slice(1)) ink.lineTo(...point);
        if (stroke.length === 1) ink.lineTo(stroke[0][0] + 0.01, stroke[0][1]);
        ink.stroke();
      }
      const pixels = ink.getImageData(0, 0, SIZE, SIZE).data;
      const page = centred(Float64Array.from({ length: SIZE * SIZE }, (_, i) => pixels[4 * i + 3] / 255), SIZE);
      if (document.activeElement === paper && paper.matches(":focus-visible")) {
        Object.assign(ink, { lineWidth: 1.5, strokeStyle: down ? "#d55e00" : "#0072b2" });
        ink.beginPath();
        ink.arc(...pen, PEN / 2, 0, 2 * Math.PI);
        ink.stroke();
      }
      answer(page);
    }

    /** Show what the layers say. */
    function answer(page) {
      const said = page && read(page), image = sees.createImageData(28, 28);
      image.data.forEach((_, i) => { image.data[i] = i % 4 === 3 ? 255 : 255 - Math.round(255 * (page?.[i >> 2] ?? 0)); });
      sees.putImageData(image, 0, 0);
      cells.forEach((cell, i) => {
        const grey = 255 - Math.round(255 * (said?.hidden[i] ?? 0));
        cell.setAttribute("fill", `rgb(${grey},${grey},${grey})`);
      });
      hidden.setAttribute("aria-label", said
        ? `${said.hidden.filter((a) => a > 0.5).length} of ${cells.length} hidden neurons are more on than off`
        : "the hidden neurons wait");
      const best = said ? said.probabilities.indexOf(Math.max(...said.probabilities)) : -1;
      box.querySelectorAll("tbody tr").forEach((row, d) => {
        const p = said?.probabilities[d] ?? 0;
        row.className = d === best ? "said" : "";
        row.querySelector("i").style.width = `${100 * p}%`;
        row.lastElementChild.textContent = said ? `${(100 * p).toFixed(0)} %` : "";
      });
      const text = said ? `Read as a ${best}, with ${(100 * said.probabilities[best]).toFixed(0)} %.` : "Draw a digit, large or small, anywhere on the paper.";
      if (status.textContent !== text) status.textContent = text;
    }

    function show(digit) {
      [down, sample] = [false, digit !== ""];
      strokes = !sample ? [] : SAMPLES[digit].map((stroke) =>
        Array.from({ length: stroke.length / 2 }, (_, i) => [(stroke[2 * i] * SIZE) / 10, (stroke[2 * i + 1] * SIZE) / 10]));
      find("select").value = digit;
      paint();
    }

    /** Begin a stroke; a sample makes way for it. */
    function begin(place) {
      if (sample) show("");
      strokes.push([place]);
    }

    const point = (event) => {
      const frame = paper.getBoundingClientRect();
      return [((event.clientX - frame.left) / frame.width) * SIZE, ((event.clientY - frame.top) / frame.height) * SIZE];
    };
    paper.style.touchAction = "none"; // a finger draws; it scrolls the page elsewhere
    paper.onpointerdown = (event) => {
      paper.setPointerCapture(event.pointerId);
      begin(point(event));
      paint();
    };
    paper.onpointermove = (event) => {
      if (!paper.hasPointerCapture(event.pointerId)) return;
      strokes.at(-1).push(point(event));
      paint();
    };
    paper.onkeydown = (event) => {
      const way = { ArrowLeft: [-MOVE, 0], ArrowRight: [MOVE, 0], ArrowUp: [0, -MOVE], ArrowDown: [0, MOVE] }[event.key];
      if (way) {
        pen = pen.map((x, i) => Math.min(SIZE - PEN, Math.max(PEN, x + way[i])));
        if (down) strokes.at(-1).push(pen);
      } else if (event.key === " ") {
        const lifted = !down;
        if (lifted) begin(pen);
        down = lifted;
      } else if (event.key === "Delete" || event.key === "Backspace") {
        show("");
      } else return;
      event.preventDefault();
      paint();
    };
    paper.onfocus = paper.onblur = paint;
    find("[name=clear]").onclick = () => show("");
    find("select").onchange = (event) => show(event.target.value);
    box.digits = { read, centred }; // for tests
    show("3");
  }
})();
