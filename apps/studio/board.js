// The board of knobs: sliders that lie on strips of the bird over their range, and the windows in which knobs act.
(() => {
  const steer = window.steer;
  const { make, asked } = steer;
  const MANY = 12; // knobs from which on a field to find one is shown

  /** The field and button that every knob has: the amount in digits, and back to 0. */
  steer.amountField = (knob, turn) => {
    const field = make("input", {
      type: "number", min: knob.least, max: knob.most, step: knob.step, value: knob.amount, class: "amount",
      "aria-label": `${knob.title}, amount`, title: `amount${knob.unit && ` in ${knob.unit}`}, ${knob.least} to ${knob.most}`,
      oninput: () => field.value !== "" && Number.isFinite(field.valueAsNumber) && turn(steer.clamp(field.valueAsNumber, knob.least, knob.most), field),
      onchange: () => { field.value = knob.amount; },
    });
    const back = make("button", {
      type: "button", class: "back", "aria-label": `reset ${knob.title}`, title: "back to 0", onclick: () => {
        back.closest(".knob").querySelector("[type=range], [role=slider]").focus({ preventScroll: true }); // the button goes
        turn(0);
      },
    }, "↺");
    return { field, back };
  };

  /** Where on the way from coarse to fine a knob acts: two thumbs on one line. */
  const windowEditor = (knob, pump) => {
    const says = make("p", { class: "hint" });
    const part = make("i");
    const thumbs = [0, 1].map((end) => make("input", {
      type: "range", min: 0, max: 1, step: knob.grain, value: knob.window[end],
      "aria-label": `${knob.title} acts ${end ? "up to" : "from"}`, oninput: () => move(end),
    }));
    const show = (wanted = knob.window) => {
      knob.window = wanted;
      const [start, end] = wanted, whole = start === 0 && end === 1;
      says.textContent = whole ? "acts all the way, coarse to fine" : `acts from ${start.toFixed(2)} to ${end.toFixed(2)}`;
      root.classList.toggle("whole", whole);
      part.style.left = `${100 * start}%`;
      part.style.width = `${100 * (end - start)}%`;
      thumbs.forEach((thumb, place) => { thumb.value = knob.window[place]; });
    };
    const move = (end) => {
      const [start, stop] = thumbs.map((thumb) => thumb.valueAsNumber);
      knob.window = end ? [Math.min(start, stop - knob.grain), stop] : [start, Math.max(stop, start + knob.grain)];
      knob.window = knob.window.map((value) => Number(steer.clamp(value, 0, 1).toFixed(4)));
      if (knob.window[1] - knob.window[0] < knob.grain / 2) knob.window = end ? [0, knob.grain] : [1 - knob.grain, 1];
      show();
      pump.window(knob.name, ...knob.window);
    };
    const root = make("div", { class: "window" }, says, make("div", { class: "window-track" }, part, ...thumbs));
    show();
    return { root, show };
  };

  /** Give a knob's part its window, where it has one. */
  steer.withWindow = (part, knob, pump) => {
    if (!knob.window) return part;
    const editor = windowEditor(knob, pump);
    part.root.append(editor.root);
    return { ...part, act: editor.show };
  };

  /** A knob along a line. */
  const slider = (knob, pump) => {
    const share = (amount) => `${(100 * (amount - knob.least)) / (knob.most - knob.least)}%`;
    const image = make("img", { class: "strip", alt: "", hidden: true });
    const range = make("input", {
      type: "range", min: knob.least, max: knob.most, step: knob.step, value: knob.amount, "aria-label": knob.title,
      oninput: () => turn(range.valueAsNumber, range),
    });
    const turn = (amount, by) => {
      show(amount, by);
      pump.turn(knob.name, amount);
    };
    const { field, back } = steer.amountField(knob, turn);
    const track = make("div", { class: "track" }, image,
      make("i", { class: "beyond", style: `left:0;width:${share(knob.low)}`, title: "beyond here pictures stop being plausible" }),
      make("i", { class: "beyond", style: `left:${share(knob.high)};right:0`, title: "beyond here pictures stop being plausible" }),
      make("i", { class: "zero", style: `left:${share(0)}` }), range);
    const root = make("section", { class: "knob slider", "data-knob": knob.name },
      make("header", {}, make("h3", {}, knob.title), make("p", { class: "hint" }, knob.help), back, field), track);
    const show = (amount, by) => {
      knob.amount = amount;
      if (by !== range) range.value = amount;
      if (by !== field) field.value = amount;
      root.classList.toggle("turned", amount !== 0);
      root.classList.toggle("far", amount < knob.low || amount > knob.high);
      track.style.setProperty("--at", share(amount));
      range.setAttribute("aria-valuetext", asked(amount, knob.unit) + (root.matches(".far") ? ", beyond what stays plausible" : ""));
    };
    show(knob.amount);
    const draw = ({ address, text }) => Object.assign(image, { src: address, alt: text, hidden: false });
    return steer.withWindow(steer.withColour({ root, show, turn, draw }, knob, pump), knob, pump);
  };

  steer.board = ({ element, props, server, watch, rest }) => {
    const pump = steer.startPump(server, rest);
    element.classList.add("board");
    const find = make("input", { type: "search", class: "find", placeholder: "Find a knob", "aria-label": "find a knob" });
    const strips = make("input", { type: "checkbox", checked: true });
    const windows = make("input", { type: "checkbox", onchange: () => element.classList.toggle("windows", windows.checked) });
    const list = make("div", { class: "knobs" });
    element.append(make("div", { class: "board-bar" }, find,
      make("label", { title: "draw the bird along every knob" }, strips, "Strips"),
      make("label", { title: "choose where on the way from coarse to fine each knob acts" }, windows, "Windows")), list);
    const inSight = new IntersectionObserver((entries) => {
      let more = false;
      for (const { target, isIntersecting } of entries) {
        more ||= isIntersecting && !target.inSight;
        target.inSight = isIntersecting;
      }
      if (more) pump.again();
    });
    let parts = new Map(), known = new Map(), pad = null, revision = null, built = null;

    /** Set every knob as it is described. */
    const set = (described) => {
      pump.moves.amounts = {}, pump.moves.windows = {};
      const kind = JSON.stringify(described.knobs.map(({ amount, window, ...rest }) => [rest, !!window]));
      if (kind !== built) build(described);
      built = kind;
      for (const { name, amount, window } of described.knobs) {
        parts.get(name).show(amount);
        parts.get(name).act?.(window);
      }
    };
    const build = (described) => {
      inSight.disconnect();
      parts = new Map(), known = new Map();
      const groups = new Map();
      for (const knob of described.knobs) {
        const part = knob.round ? steer.dial(knob, pump) : slider(knob, pump);
        parts.set(knob.name, part);
        inSight.observe(part.root);
        if (!groups.has(knob.group)) groups.set(knob.group, { dials: make("div", { class: "dials" }), sliders: [] });
        const group = groups.get(knob.group);
        knob.round ? group.dials.append(part.root) : group.sliders.push(part.root);
      }
      pad = described.knobs.length > 1 ? steer.pad(described.knobs, parts, pump) : null;
      const places = [...groups].map(([title, { dials, sliders }], place) => {
        const inside = [...(dials.children.length ? [dials] : []), ...(place === 0 && pad ? [pad.root] : []), ...sliders];
        if (!title) return make("div", { class: "group" }, ...inside);
        const turned = described.knobs.some((knob) => knob.group === title && (knob.amount || !knob.shipped));
        return make("details", { class: "group", open: place === 0 || turned }, // a board that is all folded hides its knobs
          make("summary", {}, `${inside.length} ${title}`), ...inside);
      });
      const nothing = make("p", { class: "empty" }, "This generator comes with no knobs. Find some: ", make("code", {}, `steer find pca ${described.generator} --out knobs.safetensors`));
      list.replaceChildren(...(described.knobs.length ? places : [nothing]));
      find.parentElement.hidden = described.knobs.length === 0;
      find.hidden = described.knobs.length < MANY;
      filter();
    };
    const filter = () => {
      const words = find.value.trim().toLowerCase();
      for (const group of list.children) {
        if (words && group.tagName === "DETAILS") group.open = true;
        for (const { root } of parts.values()) root.hidden = !!words && !root.textContent.toLowerCase().includes(words);
      }
    };
    find.addEventListener("input", filter);
    strips.addEventListener("change", () => {
      known.clear();
      element.classList.toggle("bare", !strips.checked);
      if (strips.checked) pump.again();
    });

    pump.jobs = () => [
      ...(pad?.job ? [pad.job] : []),
      ...(strips.checked ? [...parts].filter(([, { root }]) => root.inSight && root.offsetParent) : []).map(([name, { draw }]) => ({
        verb: "strip",
        more: () => ({ knob: name, known: known.get(name) }),
        draw: (answer) => {
          if (answer.address) draw(answer);
          known.set(name, answer.known);
        },
      })),
    ];
    const follow = () => {
      const described = props.value;
      if (!described?.key) return;
      pump.begin(described);
      if (described.revision !== revision) set(described);
      revision = described.revision;
      pump.touch();
    };
    pump.on("moved", () => parts.forEach(({ moved }) => moved?.()));
    pump.on("judged", ({ before }) => parts.forEach(({ face }) => face?.(before ?? {})));
    pump.on("picture", () => pad?.show());
    watch("value", follow);
    follow();
  };
})();
