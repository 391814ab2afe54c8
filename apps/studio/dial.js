// Dials for knobs round a circle. A hue's dial is the wheel of colours, a heading's the bird as seen from above, and its
// hand points at what is asked for, once the judge has read where the bird began; any other dial begins at the top. Where
// the viewer stands is written below the bird's dial.
(() => {
  const steer = window.steer;
  const { make, asked } = steer;
  const FRAMES = 8; // pictures round a dial; as many as the server draws

  const CLOSER = 1.3; // how much of each picture's edge is cut off; as in the stylesheet

  const turn = (angle) => ((((angle + 180) % 360) + 360) % 360) - 180; // to -180 up to 180
  const FACES = {
    // Degrees clockwise from the top, for a value of 0 and for each degree more.
    hue: { start: 0, way: 1 },
    heading: { start: 180, way: -1, stands: "viewer" }, // 0 faces the viewer, at the bottom; 90 the picture's right
    plain: { start: 0, way: 1 },
  };

  steer.dial = (knob, pump) => {
    const face = FACES[knob.face];
    let zero = 0; // where on the face the amount 0 lies, clockwise from the top
    const wheel = make("div", {
      class: `wheel ${knob.face}`, role: "slider", tabindex: 0, "aria-label": knob.title, "aria-valuemin": knob.least,
      "aria-valuemax": knob.most, "aria-describedby": `help-${knob.name}`,
    });
    const frames = Array.from({ length: FRAMES }, (_, place) => {
      const across = (100 * (CLOSER * place + (CLOSER - 1) / 2)) / (CLOSER * FRAMES - 1);
      return make("i", { class: "frame", style: `--angle:${(360 / FRAMES) * place};background-position:${across}% 50%` });
    });
    const hand = make("i", { class: "hand" });
    wheel.append(make("i", { class: "face" }), ...frames, make("i", { class: "origin" }), hand);
    if (face.stands) wheel.append(make("span", { class: "stands" }, face.stands));
    const set = (amount, by) => {
      show(amount, by);
      pump.turn(knob.name, amount);
    };
    const { field, back } = steer.amountField(knob, set);
    const root = make("section", { class: "knob round", "data-knob": knob.name },
      make("h3", {}, knob.title), wheel, make("div", { class: "row" }, field, back),
      make("p", { class: "hint", id: `help-${knob.name}` }, knob.help));

    const point = (event) => {
      const box = wheel.getBoundingClientRect();
      const x = event.clientX - box.left - box.width / 2, y = event.clientY - box.top - box.height / 2;
      if (Math.hypot(x, y) < 4) return;
      const clockwise = (180 / Math.PI) * Math.atan2(x, -y);
      set(steer.clamp(Math.round(turn(face.way * (clockwise - zero))), knob.least, knob.most));
    };
    wheel.addEventListener("pointerdown", (event) => {
      wheel.setPointerCapture(event.pointerId);
      wheel.focus();
      point(event);
      event.preventDefault();
    });
    wheel.addEventListener("pointermove", (event) => wheel.hasPointerCapture(event.pointerId) && point(event));
    wheel.addEventListener("keydown", (event) => {
      const { step } = knob;
      const by = { ArrowRight: step, ArrowUp: step, ArrowLeft: -step, ArrowDown: -step, PageUp: 15 * step, PageDown: -15 * step }[event.key];
      const to = { Home: knob.least, End: knob.most }[event.key] ?? (by && turnWithin(knob.amount + by));
      if (to === undefined) return;
      event.preventDefault();
      set(to);
    });
    const turnWithin = (amount) => (knob.most - knob.least >= 360 ? (amount > knob.most || amount < knob.least ? turn(amount) : amount) : steer.clamp(amount, knob.least, knob.most));

    const show = (amount, by) => {
      knob.amount = amount;
      if (by !== field) field.value = amount;
      root.classList.toggle("turned", amount !== 0);
      wheel.setAttribute("aria-valuenow", amount);
      wheel.setAttribute("aria-valuetext", asked(amount, knob.unit));
      wheel.style.setProperty("--hand", zero + face.way * amount);
    };
    show(knob.amount);
    const part = {
      root,
      show,
      turn: set,
      draw: ({ address, text }) => {
        wheel.style.setProperty("--strip", `url("${address}")`);
        wheel.title = text;
        wheel.classList.add("drawn");
      },
      /** Turn the face so that the hand points at what is asked for. */
      face: (before) => {
        const began = before[knob.attribute];
        zero = began === undefined ? 0 : face.start + face.way * began;
        wheel.style.setProperty("--zero", zero);
        wheel.style.setProperty("--way", face.way);
        show(knob.amount, field);
      },
    };
    return steer.withWindow(steer.withColour(part, knob, pump), knob, pump);
  };
})();
