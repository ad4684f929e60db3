/* sigmoid: a sigmoid neuron with one input, next to the perceptron of the same weight and bias. */
"use strict";

(() => {
  const WIDTH = 360, HEIGHT = 190, REACH = 5, MARGIN = 24; // the picture, and how far inputs go

  for (const box of document.querySelectorAll("[data-widget=sigmoid]")) {
    const slider = (name, most, value) =>
      `<label>${name} <input name="${name}" aria-label="${name}" type="range" min="${-most}" max="${most}" step="0.1" value="${value}"> <span class="value"></span></label>`;
    box.innerHTML = `
      <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" width="460" role="img"></svg>
      <div class="row">${slider("weight", 20, 2)}${slider("bias", 20, -1)}${slider("input", REACH, 1)}</div>
      <p class="status" role="status" style="margin: 0.6rem 0 0; min-height: 4.5em"></p>`;
    const svg = box.querySelector("svg"), status = box.querySelector(".status");
    const control = (name) => box.querySelector(`[name=${name}]`);
    const value = (name) => Number(control(name).value);
    const number = (x, digits) => x.toFixed(digits).replace(/^-(?=0(\.0*)?$)/, "").replace("-", "−");
    const sigmoid = (z) => 1 / (1 + Math.exp(-z));
    const across = (x) => (WIDTH * (x + REACH)) / (2 * REACH);
    const up = (y) => HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * y;

    const line = (points, attributes) =>
      `<polyline points="${points.map(([x, y]) => `${across(x).toFixed(1)},${up(y).toFixed(1)}`).join(" ")}" fill="none" ${attributes}/>`;

    function draw() {
      const w = value("weight"), b = value("bias"), x = value("input"), z = w * x + b, out = sigmoid(z);
      const xs = Array.from({ length: 401 }, (_, i) => REACH * (i / 200 - 1));
      const ticks = [-4, -2, 0, 2, 4].map((n) =>
        `<text x="${across(n)}" y="${HEIGHT - 6}" text-anchor="middle" font-size="12">${number(n, 0)}</text>`);
      svg.innerHTML = `
        ${line([[-REACH, 0], [REACH, 0]], 'stroke="var(--line)"')}
        ${line([[-REACH, 1], [REACH, 1]], 'stroke="var(--line)"')}
        <text x="2" y="${up(1) - 4}" font-size="12">output 1</text><text x="2" y="${up(0) - 4}" font-size="12">0</text>
        ${ticks.join("")}
        ${line(xs.map((x) => [x, Number(w * x + b > 0)]), 'stroke="var(--muted)" stroke-width="1.5" stroke-dasharray="2 4"')}
        ${line(xs.map((x) => [x, sigmoid(w * x + b)]), 'stroke="var(--blue)" stroke-width="2.5"')}
        ${line([[x, 0], [x, out]], 'stroke="var(--orange)"')}
        <circle cx="${across(x)}" cy="${up(out)}" r="5" fill="var(--orange)"/>`;
      for (const input of box.querySelectorAll("input")) {
        const text = number(Number(input.value), 1);
        input.nextElementSibling.textContent = text;
        input.setAttribute("aria-valuetext", text);
      }
      status.textContent =
        `The sum is ${number(z, 2)}. The sigmoid neuron says ${number(out, 4)}, the perceptron ${Number(z > 0)}. ` +
        `Were the weight larger by 0.1, they would say ${number(sigmoid(z + 0.1 * x), 4)} and ${Number(z + 0.1 * x > 0)}.`;
      svg.setAttribute("aria-label", `The neuron's output for inputs from −5 to 5. ${status.textContent}`);
    }

    function put(event) { // the input where the mouse is
      const frame = svg.getBoundingClientRect();
      control("input").value = REACH * ((2 * (event.clientX - frame.left)) / frame.width - 1);
      draw();
    }

    box.oninput = draw;
    svg.onpointerdown = put;
    svg.onpointermove = (event) => event.buttons && put(event);
    draw();
  }
})();
