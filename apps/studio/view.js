// The picture: plain, beside what it was before any turn, or as the map of what differs.
(() => {
  const steer = window.steer;
  const { make } = steer;
  const SMALL = 160; // pixels; smaller pictures are enlarged much, and their pixels' corners rounded
  const SPEED_EVERY = 250; // milliseconds between two changes of the number, which is read by people

  /** Write a text where it is another one: even the same text anew has the page laid out again. */
  const say = (element, text) => { if (element.textContent !== text) element.textContent = text; };

  /** Done when an image was loaded, or cannot be; when its address changes meanwhile, then with the newer one. */
  const settled = (image) => new Promise((done) => {
    const over = new AbortController();
    for (const event of ["load", "error"]) image.addEventListener(event, () => (over.abort(), done()), { signal: over.signal });
  });

  /** Give an image new content; done when the next frame shows it. `decode` would have that wait for a frame of its own. */
  const draw = async (image, address, text) => {
    image.alt = text;
    if (image.src === address) return;
    image.src = address;
    await settled(image);
  };

  steer.view = ({ element }) => {
    const sheet = make("div", { class: "birds" });
    const curtain = make("input", {
      type: "range", min: 0, max: 100, value: 50, class: "curtain", "aria-label": "how much of the picture before is shown",
      oninput: () => sheet.style.setProperty("--cut", `${curtain.value}%`),
    });
    const legend = make("p", { class: "legend" });
    const says = make("span"), speed = make("span", { class: "speed" });
    const trouble = make("p", { class: "trouble", role: "alert" });
    element.append(sheet, curtain, legend, make("p", { class: "status" }, says, speed), trouble);
    const frames = []; // when the last were shown
    let saidSpeedAt = 0;

    const bird = () => make("span", { class: "bird" },
      make("img", { class: "now", decoding: "sync" }), make("img", { class: "other", decoding: "sync", alt: "" }));

    const cut = (event) => {
      const cell = event.target.closest(".bird");
      if (!cell || sheet.dataset.view !== "before" || (event.type === "pointermove" && !event.buttons)) return;
      const box = cell.getBoundingClientRect();
      curtain.value = steer.clamp((100 * (event.clientX - box.left)) / box.width, 0, 100);
      sheet.style.setProperty("--cut", `${curtain.value}%`);
      event.preventDefault();
    };
    sheet.addEventListener("pointerdown", cut);
    sheet.addEventListener("pointermove", cut);
    sheet.addEventListener("dragstart", (event) => sheet.dataset.view === "before" && event.preventDefault());

    const show = async ({ birds, texts, height, before, heat, changed, says: what, milliseconds }) => {
      while (sheet.children.length < birds.length) sheet.append(bird());
      while (sheet.children.length > birds.length) sheet.lastChild.remove();
      sheet.className = `birds birds-${birds.length}${height <= SMALL ? " small" : ""}`;
      sheet.dataset.view = before ? "before" : heat ? "difference" : "plain";
      await Promise.all(birds.map(async (address, place) => {
        const [now, other] = sheet.children[place].children;
        const behind = (before ?? heat)?.[place];
        await draw(now, address, texts[place]);
        if (behind) await draw(other, behind, "");
      }));
      curtain.hidden = !before;
      legend.hidden = !before && !heat;
      if (before) legend.textContent = "Left of the line: before any turn. Drag the line, or use the slider below it.";
      if (heat) legend.textContent = `Bright is changed, black is not: ${(100 * changed).toFixed(0)} % of the pixels changed. What lights up outside what you meant to turn is leakage.`;
      const now = performance.now();
      frames.push(now);
      while (frames[0] < now - 1000) frames.shift();
      say(says, what);
      const fast = frames.length > 2;
      if (fast && now - saidSpeedAt < SPEED_EVERY) return;
      saidSpeedAt = now;
      say(speed, fast ? `${frames.length} frames a second` : `${Math.max(1, milliseconds)} ms a frame`);
    };
    steer.whenPumping((pump) => {
      pump.on("picture", show);
      pump.on("trouble", (text) => say(trouble, text));
    });
  };

  /** The readings of the judge, and the locks at them. */
  steer.readings = ({ element, lock }) => {
    const locks = {}; // what the hand locked or let go, until the judge has seen it
    const press = () => {
      for (const button of element.querySelectorAll("[data-lock]")) {
        const { name, pressed } = { name: button.dataset.lock, pressed: button.getAttribute("aria-pressed") };
        if (locks[name] === pressed) delete locks[name];
        else if (locks[name]) button.setAttribute("aria-pressed", locks[name]);
      }
    };
    element.addEventListener("click", (event) => {
      const button = event.target.closest("[data-lock]");
      if (!button) return;
      const locked = button.getAttribute("aria-pressed") !== "true";
      locks[button.dataset.lock] = String(locked);
      press();
      lock({ name: button.dataset.lock, locked });
    });
    steer.whenPumping((pump) => pump.on("judged", ({ readings }) => {
      if (!readings) return;
      const held = document.activeElement?.closest?.("[data-lock]")?.dataset.lock; // the focus outlives its button
      element.innerHTML = readings;
      press();
      if (held) element.querySelector(`[data-lock="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
    }));
  };

  /** The history: small pictures to go back to. */
  steer.history = ({ element, props, watch, select }) => {
    const list = make("ol", { class: "steps", "aria-label": "history" });
    element.append(list);
    const scroll = () => {
      const { offsetLeft = 0, offsetWidth = 0 } = list.children[props.value?.place] ?? {};
      list.scrollLeft = offsetLeft + offsetWidth / 2 - list.clientWidth / 2;
    };
    new ResizeObserver(scroll).observe(list); // as the window narrows, or the tab comes into sight
    const show = () => {
      const { steps = [], place = 0 } = props.value ?? {};
      list.replaceChildren(...steps.map(({ address, text }, index) => make("li", {},
        make("button", {
          type: "button", title: text, "aria-label": `go to step ${index + 1}: ${text}`,
          "aria-current": index === place ? "step" : undefined, onclick: () => select({ place: index }),
        }, address ? make("img", { src: address, alt: "" }) : "·"))));
      scroll();
    };
    watch("value", show);
    show();
  };
})();
