// Functions that look at a page for what a person could not use.

var CONTROLS = "input, button, select, textarea, summary, a[href], [role=slider], [role=tab], [tabindex='0']";

var said = (element) => element.outerHTML.slice(0, 160).replace(/data:[^"]{20,}/, "data:");

/** The controls that can be seen and used. */
function controls() {
  return [...document.querySelectorAll(CONTROLS)]
    .filter((field) => field.checkVisibility({ visibilityProperty: true }) && !field.disabled && field.type !== "file" && !window.ends?.includes(field))
    .filter((field) => field.getClientRects().length && !field.matches("details:not([open]) > :not(summary) *"));
}

/** Begin a round of the keyboard at one end of the page; `over` says whether the other was reached. */
function startRound(key) {
  window.met = new Set();
  window.last = null;
  window.ends ??= ["prepend", "append"].map((put) => {
    const end = Object.assign(document.createElement("span"), { tabIndex: 0 });
    document.body[put](end);
    return end;
  });
  ends[key === "Tab" ? 0 : 1].focus();
  met.add(document.activeElement);
}

/** Colours as red, green, blue and opacity, 0 to 255. */
var read = (() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  return (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
})();
var laid = (top, under, opacity = 1) => [0, 1, 2].map((each) => under[each] + (top[each] - under[each]) * (top[3] / 255) * opacity);

/** The colour behind an element, or null where a picture is. */
function ground(element) {
  if (!element) return [255, 255, 255];
  const { backgroundColor, backgroundImage } = getComputedStyle(element);
  const colour = read(backgroundColor);
  if (backgroundImage.includes("url(")) return null;
  if (colour[3] === 255) return colour;
  const under = ground(element.parentElement);
  return under && laid(colour, under);
}

/** The contrast of two colours, after WCAG's formula for relative luminance. */
function contrast(one, other) {
  const channel = (value) => ((value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = ([red, green, blue]) => 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
  const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
}

var RINGED = ["outlineStyle", "outlineWidth", "outlineColor", "boxShadow", "borderTopColor", "borderTopWidth"];
var MOST_AROUND = 3; // elements around a field that may bear its ring, such as its label
var around = (field) => Array.from({ length: MOST_AROUND }).reduce((found, _) => [...found, found.at(-1).parentElement ?? field], [field]);
var looks = (element) => RINGED.map((each) => getComputedStyle(element)[each]);

/** Whether an outline can be told from what is behind it. */
function stark(element) {
  const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(element), behind = ground(element.parentElement);
  return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && (!behind || contrast(laid(read(outlineColor), behind), behind) >= 3);
}

/** Whether an outline is whole, rather than cut off by what scrolls or hides what hangs over. */
function whole(element) {
  const { outlineOffset, outlineWidth } = getComputedStyle(element), out = parseFloat(outlineOffset) + parseFloat(outlineWidth) - 1;
  const box = element.getBoundingClientRect();
  for (let each = element.parentElement; each && each !== document.body; each = each.parentElement) {
    const { overflowX, overflowY } = getComputedStyle(each), clip = each.getBoundingClientRect();
    if (overflowX !== "visible" && (box.left - out < clip.left || box.right + out > clip.right)) return false;
    if (overflowY !== "visible" && (box.top - out < clip.top || box.bottom + out > clip.bottom)) return false;
  }
  return true;
}

/** Note which control has the focus; say what is wrong with how the one before it was seen. */
function focused() {
  const field = document.activeElement, { last } = window;
  const fault = last && faultOf(last);
  window.last = null;
  if (field === document.body || met.has(field)) return fault;
  met.add(field);
  if (ends.includes(field)) return fault;
  const box = field.getBoundingClientRect(), seen = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
  const bearers = around(field);
  const hidden = seen && !bearers.some((each) => each.contains(seen)) && !seen.contains(field) && !seen.closest("[role=listbox]");
  window.last = { field, hidden: hidden && said(seen), rings: bearers.map((each) => ({ each, look: `${looks(each)}`, stark: stark(each), whole: whole(each) })) };
  return fault;
}

/** What was wrong with the focus of a control that has lost it; what changed was its ring. */
function faultOf({ field, hidden, rings }) {
  const changed = rings.filter(({ each, look, stark }) => stark && look !== `${looks(each)}`);
  const fault = !changed.length ? "no ring" : !changed.some(({ whole }) => whole) ? "a ring that is cut off" : hidden && `hidden behind ${hidden}`;
  return fault && field.isConnected && !field.disabled ? `${fault}: ${said(field)}` : null;
}

/** Whether the far end of the page was reached. */
function over() {
  return ends.filter((end) => met.has(end)).length === 2;
}

/** Controls that the round did not meet; one that was drawn anew meanwhile is told by its words. Of radio buttons of a name, one is met: the arrow keys lead to the others. */
function unmet() {
  const names = new Set([...met].filter((field) => field.type === "radio").map((field) => field.name));
  const words = new Set([...met].map(said));
  return controls().filter((field) => !met.has(field) && !words.has(said(field)) && !(field.type === "radio" && names.has(field.name))).map(said);
}

/** Text with less contrast than WCAG 2.2 AA asks for: 4.5 to 1, and 3 to 1 where it is large. */
function poorContrast() {
  const writes = "input:not([type=range], [type=checkbox], [type=radio], [type=color], [type=file]), textarea, select";
  const poor = [];
  const check = (element, style, text) => {
    const under = ground(element);
    if (!under) return;
    let opacity = 1;
    for (let each = element; each; each = each.parentElement) opacity *= getComputedStyle(each).opacity;
    if (opacity === 0) return;
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const ratio = contrast(laid(read(ink), under, opacity), under);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) poor.push(`${ratio.toFixed(2)} ${element.tagName} ${element.className} ${text.slice(0, 40)}`);
  };
  for (const element of document.body.querySelectorAll("*")) {
    if (!element.checkVisibility({ visibilityProperty: true }) || element.closest(":disabled, script, style")) continue;
    if (element.closest("label")?.control?.disabled || !element.getClientRects().length) continue;
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join("");
    const style = getComputedStyle(element);
    if (style.clipPath === "inset(50%)") continue; // for ears only
    if (text || (element.matches(writes) && element.value)) check(element, style, text || element.value);
    if (element.placeholder && !element.value) check(element, getComputedStyle(element, "::placeholder"), element.placeholder);
    for (const part of ["::before", "::after"]) {
      const { content } = getComputedStyle(element, part);
      if (/^".*\S.*"$/.test(content)) check(element, getComputedStyle(element, part), content);
    }
  }
  return poor;
}

/** Targets smaller than 24 by 24 pixels, after WCAG 2.2. A label is part of its field's. */
function smallTargets() {
  const side = (field, name) => Math.max(...[field, ...(field.labels ?? [])].map((each) => each.getBoundingClientRect()[name]));
  return controls()
    .map((field) => [field, side(field, "width"), side(field, "height")])
    .filter(([, width, height]) => Math.min(width, height) < 23.9)
    .map(([field, width, height]) => `${width.toFixed(1)} x ${height.toFixed(1)}: ${said(field)}`);
}

/** Controls in sight whose middle is covered by something. */
function coveredBy(cover) {
  return controls().filter((field) => {
    const box = field.getBoundingClientRect(), seen = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    return !field.closest(cover) && seen?.closest(cover);
  }).map(said);
}
