// Two knobs at once: a pad over a map of the bird, one knob across and the other up.
(() => {
  const steer = window.steer;
  const { make, asked } = steer;

  steer.pad = (knobs, parts, pump) => {
    const choose = (label, chosen) => make("select", { "aria-label": label, onchange: () => changed() },
      ...knobs.map((knob, place) => make("option", { value: knob.name, selected: place === chosen }, knob.title)));
    const straight = knobs.map((knob, place) => (knob.round ? -1 : place)).filter((place) => place >= 0);
    const across = choose("knob across", straight[0] ?? 0), up = choose("knob up", straight[1] ?? 1);
    const handle = make("button", { type: "button", class: "handle" });
    const image = make("img", { alt: "", hidden: true });
    const plane = make("div", { class: "plane" }, image, handle);
    const root = make("details", { class: "pad", ontoggle: () => root.open && changed() },
      make("summary", {}, "two knobs at once"),
      make("p", { class: "hint" }, "Drag, or use the arrow keys: one knob across, the other up."),
      make("div", { class: "axes" }, make("label", {}, "across ", across), make("label", {}, "up ", up)), plane);
    let known = null;

    const axis = (select) => knobs.find((knob) => knob.name === select.value);
    const share = (knob) => (knob.amount - knob.least) / (knob.most - knob.least);
    const snap = (knob, place) => {
      const amount = knob.least + steer.clamp(place, 0, 1) * (knob.most - knob.least);
      return Number((Math.round(amount / knob.step) * knob.step).toFixed(6));
    };
    const show = () => {
      const [x, y] = [axis(across), axis(up)];
      handle.style.left = `${100 * share(x)}%`;
      handle.style.top = `${100 * (1 - share(y))}%`;
      handle.setAttribute("aria-label", `${x.title} ${asked(x.amount, x.unit)}, ${y.title} ${asked(y.amount, y.unit)}; arrow keys move it`);
    };
    const set = (knob, amount) => {
      parts.get(knob.name).show(steer.clamp(amount, knob.least, knob.most));
      pump.turn(knob.name, knob.amount);
    };
    const changed = () => {
      known = null;
      image.hidden = true;
      show();
      pump.again();
    };
    const point = (event) => {
      const box = plane.getBoundingClientRect(), [x, y] = [axis(across), axis(up)];
      set(x, snap(x, (event.clientX - box.left) / box.width));
      set(y, snap(y, 1 - (event.clientY - box.top) / box.height));
      show();
    };
    plane.addEventListener("pointerdown", (event) => {
      plane.setPointerCapture(event.pointerId);
      handle.focus();
      point(event);
      event.preventDefault();
    });
    plane.addEventListener("pointermove", (event) => plane.hasPointerCapture(event.pointerId) && point(event));
    handle.addEventListener("keydown", (event) => {
      const [x, y] = [axis(across), axis(up)], many = event.shiftKey ? 10 : 1;
      const move = { ArrowRight: [x, many], ArrowLeft: [x, -many], ArrowUp: [y, many], ArrowDown: [y, -many] }[event.key];
      if (!move) return;
      event.preventDefault();
      set(move[0], move[0].amount + move[1] * move[0].step);
      show();
    });
    return {
      root,
      show,
      get job() {
        if (!root.open || across.value === up.value) return null;
        return {
          verb: "chart",
          more: () => ({ across: across.value, up: up.value, known }),
          draw: (answer) => {
            known = answer.known;
            if (!answer.address) return;
            image.src = answer.address;
            image.alt = `the bird over ${axis(across).title}, across, and ${axis(up).title}, up`;
            image.hidden = false;
          },
        };
      },
    };
  };
})();
