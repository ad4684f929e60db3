/* descent: a ball on a curve or on a surface, and what its learning rate and momentum make of it. */
"use strict";

(() => {
  // Of each landscape: where the ball begins, the slope, the height, and how far the picture reaches in each direction.
  const LANDSCAPES = {
    curve: {
      title: "a curve with two valleys",
      start: [2.1],
      reach: [[-2.4, 2.4]],
      slope: ([w]) => [w ** 3 - 2 * w + 0.3],
      height: ([w]) => w ** 4 / 4 - w ** 2 + 0.3 * w + 1.5,
    },
    surface: {
      title: "a long narrow valley",
      start: [-6, 1],
      reach: [[-7, 3], [-1.6, 1.6]],
      slope: ([along, across]) => [along, 12 * across],
      height: ([along, across]) => (along ** 2 + 12 * across ** 2) / 2,
    },
  };
  const WIDTH = 560, HEIGHT = 260, TOP = 4, MOST = 100;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

  for (const box of document.querySelectorAll("[data-widget=descent]")) {
    box.innerHTML = `
      <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" style="display: block; width: 100%; height: auto" role="img" aria-label="A ball in a landscape"></svg>
      <div class="row">
        <label>landscape <select name="landscape">${Object.entries(LANDSCAPES)
          .map(([key, { title }]) => `<option value="${key}">${title}</option>`).join("")}</select></label>
        <label>learning rate <input name="rate" aria-label="learning rate" type="range" min="0" max="100" value="15"> <span class="value"></span></label>
        <label>momentum <input name="momentum" aria-label="momentum" type="range" min="0" max="0.95" step="0.05" value="0"> <span class="value"></span></label>
        <label>start <input name="start0" aria-label="start" type="range" step="0.05"> <span class="value"></span></label>
        <label>start across <input name="start1" aria-label="start across" type="range" step="0.05"> <span class="value"></span></label>
      </div>
      <div class="row" style="margin-top: 0.6rem">
        <button name="step" type="button">Step</button>
        <button name="run" type="button">Run</button>
        <button name="back" type="button">Back to the start</button>
      </div>
      <p class="status" role="status" style="margin: 0.6rem 0 0; min-height: 3em"></p>`;
    const control = (name) => box.querySelector(`[name=${name}]`);
    const svg = box.querySelector("svg"), status = box.querySelector(".status");
    let land, path, velocity, timer;

    const number = (x) => (Math.abs(x) < 0.005 ? 0 : x).toFixed(2).replace("-", "−");
    const rate = () => 0.01 * 100 ** (control("rate").value / 100); // 0.01 to 1, even steps of its logarithm
    const inside = (point) => land.reach.every(([from, to], i) => point[i] >= from && point[i] <= to);

    /** Where a point is in the picture. */
    function at(point) {
      const [[left, right], [low, high] = [0, TOP]] = land.reach;
      const up = land.reach.length === 2 ? point[1] : land.height(point);
      return [(WIDTH * (point[0] - left)) / (right - left), HEIGHT - 12 - ((HEIGHT - 24) * (up - low)) / (high - low)];
    }

    const shape = (name, attributes) =>
      `<${name} ${Object.entries(attributes).map(([key, value]) => `${key}="${value}"`).join(" ")}/>`;
    const line = (points, attributes) =>
      shape("polyline", { points: points.map((p) => at(p).map((n) => n.toFixed(1)).join(",")).join(" "), fill: "none", ...attributes });

    /** The landscape: the curve itself, or lines of equal height. */
    function ground() {
      const steps = Array.from({ length: 121 }, (_, i) => i / 120);
      if (land.reach.length === 1) {
        const [from, to] = land.reach[0];
        return line(steps.map((t) => [from + t * (to - from)]), { stroke: "var(--muted)", "stroke-width": 2 });
      }
      return [0.5, 1.2, 2, 3, 4, 5, 6].map((r) => line(
        steps.map((t) => [r * Math.cos(2 * Math.PI * t), (r * Math.sin(2 * Math.PI * t)) / Math.sqrt(12)]),
        { stroke: "var(--line)", "stroke-width": 1.5 })).join("");
    }

    function draw() {
      const seen = path.filter(inside), ball = path.at(-1), [slope] = land.slope(ball);
      let picture = ground() + line(seen, { stroke: "var(--orange)", "stroke-width": 1 });
      for (const point of seen) {
        const [cx, cy] = at(point);
        picture += shape("circle", { cx, cy, r: 3, fill: "var(--orange)" });
      }
      if (inside(ball)) {
        const [cx, cy] = at(ball);
        if (land.reach.length === 1) { // the slope, as a bar that touches the curve
          const tilt = Math.atan2((slope * (HEIGHT - 24)) / TOP, WIDTH / 4.8), dx = 32 * Math.cos(tilt), dy = 32 * Math.sin(tilt);
          picture += shape("line", { x1: cx - dx, y1: cy + dy, x2: cx + dx, y2: cy - dy, stroke: "var(--blue)", "stroke-width": 2 });
        }
        picture += shape("circle", { cx, cy, r: 8, fill: "var(--blue)" });
      }
      svg.innerHTML = picture;
      const steps = path.length - 1;
      const where = ball.map(number).join(" and "), slopes = land.slope(ball).map(number).join(" and ");
      const so = steps ? `After ${steps} ${steps > 1 ? "steps" : "step"} the ball is` : "The ball starts";
      status.textContent = inside(ball)
        ? `${so} at ${where}, at height ${number(land.height(ball))}; the slope is ${slopes}${resting() ? ": at rest" : ""}.`
        : `The ball flew off in step ${steps}.`;
      svg.setAttribute("aria-label", `${land.title}. ${status.textContent}`);
    }

    const resting = () => [...land.slope(path.at(-1)), ...velocity].every((x) => Math.abs(x) < 0.005);
    const done = () => !inside(path.at(-1)) || resting() || path.length > MOST;

    /** One step of gradient descent, as `optim.SGD` takes it. */
    function step() {
      const ball = path.at(-1), slope = land.slope(ball);
      velocity = velocity.map((v, i) => control("momentum").value * v + slope[i]);
      path.push(ball.map((w, i) => w - rate() * velocity[i]));
    }

    function stop() {
      clearInterval(timer);
      timer = undefined;
      control("run").textContent = "Run";
      status.setAttribute("aria-live", "polite");
    }

    function run() {
      if (timer) return stop();
      if (done()) restart();
      if (still) {
        while (!done()) step();
        return draw();
      }
      control("run").textContent = "Stop";
      status.setAttribute("aria-live", "off"); // to be read when it is over, not at each step
      timer = setInterval(() => {
        step();
        if (done()) stop();
        draw();
      }, 200);
    }

    function restart() {
      stop();
      path = [land.start.map((_, i) => Number(control(`start${i}`).value))];
      velocity = land.start.map(() => 0);
      draw();
    }

    /** Say next to each slider what it is at. */
    function label() {
      for (const input of box.querySelectorAll("input")) {
        const value = input.name === "rate" ? rate() : Number(input.value);
        input.nextElementSibling.textContent = number(value);
        input.setAttribute("aria-valuetext", number(value));
      }
    }

    function enter() {
      land = LANDSCAPES[control("landscape").value];
      for (const i of [0, 1]) {
        const input = control(`start${i}`), [from, to] = land.reach[i] ?? [0, 1];
        input.parentElement.style.display = i < land.reach.length ? "" : "none";
        Object.assign(input, { min: from, max: to, value: land.start[i] ?? 0 });
      }
      label();
      restart();
    }

    control("landscape").onchange = enter;
    control("rate").oninput = control("momentum").oninput = label;
    control("start0").oninput = control("start1").oninput = () => { label(); restart(); };
    control("step").onclick = () => { stop(); if (inside(path.at(-1))) step(); draw(); };
    control("run").onclick = run;
    control("back").onclick = restart;
    svg.onpointerdown = (event) => { // put the ball there
      const frame = svg.getBoundingClientRect(), part = [(event.clientX - frame.left) / frame.width, 1 - (event.clientY - frame.top) / frame.height];
      land.reach.forEach(([from, to], i) => { control(`start${i}`).value = from + part[i] * (to - from); });
      label();
      restart();
    };
    enter();
  }
})();
