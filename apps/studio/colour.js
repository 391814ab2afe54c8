// Colours to dial to: a picker that turns its knob until the picture shows that hue, and says what was reached.
(() => {
  const steer = window.steer;
  const { make } = steer;
  const PAUSE = 180; // milliseconds that a hand stays on a colour before it is looked for

  /** Write a hue, in degrees, as the picker wants its colour. */
  const ofHue = (hue) => {
    const channel = (shift) => {
      const place = (shift + hue / 30) % 12;
      return Math.round(255 * (0.52 - 0.38 * Math.max(-1, Math.min(place - 3, 9 - place, 1))));
    };
    return `#${[0, 8, 4].map((shift) => channel(shift).toString(16).padStart(2, "0")).join("")}`;
  };

  /** Give a knob's part a colour to dial to, where it turns one. */
  steer.withColour = (part, knob, pump) => {
    if (!knob.aims) return part;
    let wanted = null, asking = false, chosen = false, turning = false;
    const says = make("p", { class: "hint reached", role: "status" });
    const field = make("input", {
      type: "color", value: ofHue(0), "aria-label": `colour to dial ${knob.title} to`,
      title: "turns this knob until the picture shows this hue; how pale or dark the colour is makes no difference",
      oninput: () => aim(field.value),
    });
    const say = (text) => { if (says.textContent !== text) says.textContent = text; };

    const aim = async (colour) => {
      wanted = colour;
      chosen = true;
      if (asking) return; // the newest is looked for as soon as the one before was found
      asking = true;
      while (wanted) {
        const asked = wanted;
        await steer.pause(PAUSE);
        if (wanted !== asked) continue;
        wanted = null;
        say("Looking for it…");
        const answer = await pump.ask("aim", { knob: knob.name, colour: asked });
        if (wanted) continue;
        say(answer?.says ?? "Not dialled, for something else was turned meanwhile.");
        if (!answer || answer.amount === undefined) continue;
        turning = true;
        part.turn(answer.amount);
        turning = false;
      }
      asking = false;
    };

    part.root.append(make("label", { class: "aim" }, field, "show this hue"), says);
    return {
      ...part,
      /** Say nothing of a picture that is no more, whatever else was turned, thrown or locked. */
      moved: () => { if (!turning) say(""); },
      /** Begin with the colour that the picture has. */
      face: (before) => {
        part.face?.(before);
        if (!chosen && before[knob.attribute] !== undefined) field.value = ofHue(before[knob.attribute]);
      },
    };
  };
})();
