/* perceptron: two inputs, two weights, a bias, and the gate it is to be. */
"use strict";

(() => {
  const SIDE = 240, LOW = -0.5, HIGH = 1.5; // the picture, and the inputs from its left to its right
  const INPUTS = [[0, 0], [0, 1], [1, 0], [1, 1]];
  const GATES = { AND: [0, 0, 0, 1], OR: [0, 1, 1, 1], NAND: [1, 1, 1, 0], NOR: [1, 0, 0, 0], XOR: [0, 1, 1, 0] };

  for (const box of document.querySelectorAll("[data-widget=perceptron]")) {
    const slider = (label, most, value) =>
      `<label>${label} <input aria-label="${label}" type="range" min="${-most}" max="${most}" step="0.5" value="${value}"> <span class="value"></span></label>`;
    box.innerHTML = `
      <div class="row" style="margin-bottom: 0.75rem">
        <label>It is to be <select>${Object.keys(GATES).map((gate) => `<option>${gate}</option>`).join("")}</select></label>
        ${slider("first weight", 4, 1)}${slider("second weight", 4, 1)}${slider("bias", 6, -0.5)}
      </div>
      <div class="row">
        <svg viewBox="0 0 ${SIDE} ${SIDE}" width="${SIDE}" role="img" style="touch-action: auto"></svg>
        <table style="width: auto; margin: 0">
          <thead><tr><th scope="col">inputs</th><th scope="col">sum</th><th scope="col">output</th></tr></thead>
          <tbody>${INPUTS.map(([a, b]) => `<tr><th scope="row">${a} ${b}</th><td></td><td></td></tr>`).join("")}</tbody>
        </table>
      </div>
      <p class="status" role="status" style="margin: 0.6rem 0 0"></p>`;
    const svg = box.querySelector("svg"), select = box.querySelector("select"), sliders = [...box.querySelectorAll("input")];
    const rows = [...box.querySelectorAll("tbody tr")], status = box.querySelector(".status");
    const number = (x) => x.toFixed(1).replace("-", "−");
    const at = ([x, y]) => [(SIDE * (x - LOW)) / (HIGH - LOW), (SIDE * (HIGH - y)) / (HIGH - LOW)];

    /** The part of the picture where it fires: the square's corners there, and where the line meets its edges. */
    function side(sum) {
      const corners = [[LOW, LOW], [HIGH, LOW], [HIGH, HIGH], [LOW, HIGH]], found = [];
      corners.forEach((from, i) => {
        const to = corners[(i + 1) % 4], [s, t] = [sum(from), sum(to)];
        if (s > 0) found.push(from);
        if (s > 0 !== t > 0) found.push(from.map((x, k) => x + (s / (s - t)) * (to[k] - x)));
      });
      return found.map(at).join(" ");
    }

    function draw() {
      const [v, w, bias] = sliders.map((slider) => Number(slider.value));
      const sum = ([a, b]) => v * a + w * b + bias;
      const wanted = GATES[select.value], outputs = INPUTS.map((input) => Number(sum(input) > 0));
      const right = outputs.filter((output, i) => output === wanted[i]).length;
      const points = INPUTS.map((input, i) => {
        const [x, y] = at(input);
        return `<circle cx="${x}" cy="${y}" r="9" fill="${wanted[i] ? "var(--ink)" : "var(--card)"}" stroke="var(--ink)" stroke-width="1.5"/>
          <text x="${x + (input[0] ? -14 : 14)}" y="${y + 5}" font-size="14" text-anchor="${input[0] ? "end" : "start"}">${outputs[i] === wanted[i] ? "" : "wrong"}</text>`;
      });
      svg.innerHTML = `<polygon points="${side(sum)}" fill="var(--blue)" opacity="0.3"/>
        <rect width="${SIDE}" height="${SIDE}" fill="none" stroke="var(--line)" stroke-width="2"/>${points.join("")}`;
      rows.forEach((row, i) => {
        row.cells[1].textContent = number(sum(INPUTS[i]));
        row.cells[2].textContent = `${outputs[i]}, ${outputs[i] === wanted[i] ? "right" : "wrong"}`;
      });
      for (const slider of sliders) {
        const text = number(Number(slider.value));
        slider.nextElementSibling.textContent = text;
        slider.setAttribute("aria-valuetext", text);
      }
      const name = Object.keys(GATES).find((gate) => GATES[gate].join() === outputs.join());
      status.textContent = `${right} of 4 are right${right === 4 ? `: this is ${name}.` : name ? `. This is ${name}.` : "."}`;
      svg.setAttribute("aria-label", `The four inputs at the corners of a square. Those where ${select.value} is 1 are filled; ` +
        `the shaded side is where the perceptron fires. ${status.textContent}`);
    }

    box.oninput = draw;
    draw();
  }
})();
