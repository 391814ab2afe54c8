// The pad: a sketch or layout drawn in the page, at the very size at which the generator sees it, so that what stands on
// the pad is what is followed, and comes back with the recipe pixel by pixel. While the hand draws the newest state is
// sent, one at a time.
(() => {
  const steer = window.steer;
  const { make } = steer;
  const BREATH = 40, AGAIN = 1000; // milliseconds between two states that are sent, and after the server was out of reach
  const STROKES = 60; // that can be undone
  const PAPER = "#ffffff";

  /** Draw a line through points, (x, y) in pixels: smooth, or in whole pixels so that no two colours mix. */
  const stroke = (context, points, { colour, width, line }) => {
    context.strokeStyle = context.fillStyle = colour;
    if (line) {
      Object.assign(context, { lineWidth: width, lineCap: "round", lineJoin: "round" });
      context.beginPath();
      context.moveTo(points[0][0] - 0.01, points[0][1]); // a line of no length would leave no mark
      for (const point of points) context.lineTo(...point);
      context.stroke();
      return;
    }
    const dab = (x, y) => {
      context.fillRect(Math.floor(x), Math.floor(y), 1, 1); // the thinnest brush leaves a mark too
      for (let row = Math.ceil(y - width / 2 - 0.5); row + 0.5 <= y + width / 2; row += 1) {
        const half = Math.sqrt(Math.max(0, width * width / 4 - (row + 0.5 - y) ** 2));
        const left = Math.ceil(x - half - 0.5), right = Math.floor(x + half - 0.5);
        if (right >= left) context.fillRect(left, row, right - left + 1, 1);
      }
    };
    let [x, y] = points[0];
    dab(x, y);
    for (const [toX, toY] of points) {
      const steps = Math.ceil(2 * Math.hypot(toX - x, toY - y));
      for (let step = 1; step <= steps; step += 1) dab(x + ((toX - x) * step) / steps, y + ((toY - y) * step) / steps);
      [x, y] = [toX, toY];
    }
  };

  steer.drawing = ({ element, props, watch }) => {
    element.classList.add("drawing");
    element.hidden = true;
    const kinds = make("div", { class: "chips", role: "radiogroup", "aria-label": "kind of drawing" });
    const hint = make("p", { class: "hint" });
    const nib = make("i", { class: "nib", hidden: true });
    const sheet = make("div", { class: "sheet" });
    const brushes = make("div", { class: "chips brushes", role: "radiogroup", "aria-label": "brush" });
    const width = make("input", { type: "range", min: 1, step: 0.5, "aria-label": "width of the brush, in pixels of the picture", oninput: () => { brush.width = width.valueAsNumber; showWidth(); } });
    const undo = make("button", { type: "button", onclick: () => back() }, "Undo stroke");
    const clear = make("button", { type: "button", onclick: () => wipe() }, "Clear");
    const photo = make("button", { type: "button", title: "any picture, brought to this size", onclick: () => document.querySelector("#choose input[type=file]")?.click() }, "Use a picture");
    const strength = make("input", { type: "range", min: 0, step: 0.05, value: 1, "aria-label": "strength of the drawing: 0 not at all, 1 as it is", oninput: () => { showStrength(); send(); } });
    const pixels = make("output"), amount = make("output");
    const strengthRow = make("label", { class: "line" }, "Strength", strength, amount);
    element.append(make("header", {}, make("h2", {}, "Draw"), kinds), hint, sheet, brushes, make("label", { class: "line" }, "Width", width, pixels),
      make("div", { class: "tools" }, undo, clear, photo), strengthRow);

    let told = null, built = null, sheets = new Map(), pad = null, brush = null, points = null, place = null;
    let known = null, changed = false, sending = false; // what the server follows, by its name; whether the pad is ahead

    const showWidth = () => {
      pixels.value = `${brush.width} px`;
      showNib();
    };
    const showStrength = () => { amount.value = strength.valueAsNumber.toFixed(2); };
    const showNib = () => {
      nib.hidden = !place;
      if (!place) return;
      const { canvas } = pad;
      nib.style.left = `${(100 * place[0]) / canvas.width}%`;
      nib.style.top = `${(100 * place[1]) / canvas.height}%`;
      nib.style.width = `${(100 * Math.max(1, brush.width)) / canvas.width}%`;
      nib.classList.toggle("down", !!points);
    };
    const empty = ({ canvas, context }) => {
      const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
      return data.every((value) => value === 255);
    };
    const showUndo = () => {
      undo.disabled = pad.past.length === 0;
      clear.disabled = empty(pad);
      strengthRow.hidden = told.strength === null || clear.disabled;
    };

    /** Send what stands on the pad, until the server has the newest of it. */
    const send = () => {
      changed = true;
      if (sending) return;
      sending = true;
      steer.whenPumping(async (pump) => {
        while (changed) {
          changed = false;
          const drawing = empty(pad) ? null : pad.canvas.toDataURL("image/png");
          const answer = await pump.ask("draw", { kind: pad.kind.name, drawing, strength: strength.valueAsNumber });
          if (answer === undefined) {
            changed = true;
            await steer.pause(AGAIN);
          } else if (answer) {
            known = answer.drawn;
            pump.touch();
            await steer.pause(BREATH);
          }
        }
        sending = false;
      });
    };

    const keep = () => {
      pad.past.push(pad.context.getImageData(0, 0, pad.canvas.width, pad.canvas.height));
      pad.past.splice(0, pad.past.length - STROKES);
    };
    const begin = (point) => {
      keep();
      points = [];
      extend(point);
    };
    const extend = (...more) => {
      points.push(...more);
      place = points.at(-1);
      pad.context.putImageData(pad.past.at(-1), 0, 0);
      stroke(pad.context, points, brush);
      showUndo();
      showNib();
      send();
    };
    const end = () => {
      points = null;
      showNib();
    };
    const back = () => {
      end();
      pad.context.putImageData(pad.past.pop(), 0, 0);
      showUndo();
      send();
    };
    const blank = ({ canvas, context }) => {
      context.fillStyle = PAPER;
      context.fillRect(0, 0, canvas.width, canvas.height);
    };
    const wipe = () => {
      end();
      keep();
      blank(pad);
      showUndo();
      send();
      pad.canvas.focus();
    };

    const at = (event) => {
      const box = pad.canvas.getBoundingClientRect();
      return [((event.clientX - box.left) / box.width) * pad.canvas.width, ((event.clientY - box.top) / box.height) * pad.canvas.height];
    };
    const listen = (canvas) => {
      canvas.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        canvas.setPointerCapture(event.pointerId);
        canvas.focus({ preventScroll: true });
        begin(at(event));
        event.preventDefault();
      });
      canvas.addEventListener("pointermove", (event) => {
        place = at(event);
        if (!canvas.hasPointerCapture(event.pointerId) || !points) return showNib();
        const passed = event.getCoalescedEvents?.() ?? [];
        extend(...(passed.length ? passed : [event]).map(at));
      });
      const leave = () => {
        place = points = null;
        showNib();
      };
      for (const over of ["pointerup", "pointercancel"]) canvas.addEventListener(over, end);
      canvas.addEventListener("pointerleave", () => points || leave());
      canvas.addEventListener("blur", leave);
      canvas.addEventListener("keydown", (event) => {
        const far = event.shiftKey ? 5 : 1;
        const by = { ArrowRight: [far, 0], ArrowLeft: [-far, 0], ArrowDown: [0, far], ArrowUp: [0, -far] }[event.key];
        const presses = event.key === " " || event.key === "Enter";
        if (!by && !presses) return;
        event.preventDefault();
        place ??= [canvas.width / 2, canvas.height / 2];
        if (by) place = [steer.clamp(place[0] + by[0], 0, canvas.width), steer.clamp(place[1] + by[1], 0, canvas.height)];
        if (presses) points ? end() : begin(place);
        else points ? extend(place) : showNib();
      });
    };

    /** A group of which one is chosen. */
    const choices = (group, name, entries, choose) => group.replaceChildren(...entries.map(({ title, mark, chosen, value }) => make("label", {},
      make("input", { type: "radio", name, checked: chosen, onchange: () => choose(value) }), ...(mark ? [mark] : []), make("span", {}, title))));

    const take = (chosen) => {
      brush = chosen;
      width.value = brush.width;
      showWidth();
    };
    /** Lay one kind's sheet on the pad. */
    const lay = (name) => {
      pad = sheets.get(name);
      steer.drawnKind = name;
      points = place = null;
      sheet.replaceChildren(pad.canvas, nib);
      sheet.classList.toggle("smooth", pad.kind.line);
      hint.textContent = `Draw ${pad.kind.help}.`;
      kinds.querySelectorAll("input").forEach((input) => { input.checked = input.value === name; });
      choices(brushes, "drawing-brush", pad.brushes.map((each) => ({ title: each.name, mark: each.mark, chosen: each === pad.brushes[0], value: each })), take);
      take(pad.brushes[0]);
      showUndo();
    };
    const swatch = (colour) => make("i", { class: "swatch", style: `background:${colour}` });
    const brushesOf = ({ brushes: named, line, width, rubber }) => {
      const brush = (name, colour, width, mark = swatch(colour)) => ({ name, colour, width, line, mark });
      const made = named.map(({ name, colour }) => brush(name, colour, width));
      if (!named.length) { // nobody says what colours there are, so any will do
        const any = brush("any colour", "#000000", width, make("input", { type: "color", value: "#000000", "aria-label": "colour of the brush", oninput: (event) => { any.colour = event.target.value; } }));
        made.push(any);
      }
      return [...made, brush("rubber", PAPER, rubber)];
    };
    const build = () => {
      element.hidden = told.kinds.length === 0;
      sheets = new Map(told.kinds.map((kind) => {
        const canvas = make("canvas", {
          width: told.width, height: told.height, tabindex: 0, role: "application", "aria-roledescription": "drawing pad",
          "aria-label": `${kind.title}; arrow keys move the brush, Space sets it down or lifts it`,
        });
        const made = { kind, canvas, context: canvas.getContext("2d", { willReadFrequently: true }), past: [], brushes: brushesOf(kind) };
        blank(made);
        listen(canvas);
        return [kind.name, made];
      }));
      if (element.hidden) return;
      sheet.style.aspectRatio = `${told.width} / ${told.height}`;
      width.max = told.width / 4;
      strength.max = told.strongest;
      choices(kinds, "drawing-kind", told.kinds.map(({ title, name }) => ({ title, value: name })), (name) => { lay(name); send(); });
      kinds.querySelectorAll("input").forEach((input, place) => { input.value = told.kinds[place].name; });
      kinds.hidden = told.kinds.length < 2;
      lay(told.kinds[0].name);
    };

    /** Put what the server follows onto the pad, such as the drawing of a picture that was dropped. */
    const load = async () => {
      known = told.drawn;
      const { kind, address } = told;
      if (kind) lay(kind);
      pad.past = [];
      points = null;
      if (address) {
        const image = new Image();
        image.src = address;
        await image.decode();
        if (changed || known !== told.drawn) return; // the hand was quicker
        pad.context.drawImage(image, 0, 0, pad.canvas.width, pad.canvas.height);
      } else blank(pad);
      strength.value = told.strength ?? 1;
      showStrength();
      showUndo();
    };
    const follow = () => {
      told = props.value;
      if (!told?.kinds) return;
      const kind = JSON.stringify([told.generator, told.width, told.height, told.kinds]);
      if (kind !== built) {
        known = "";
        strength.value = 1;
        showStrength();
        build();
      }
      built = kind;
      if (told.kinds.length && told.drawn !== known && !changed && !sending && !points) load();
    };
    watch("value", follow);
    follow();
  };
})();
