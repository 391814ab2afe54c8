// Functions that look at a page for what a person could not use.

var CONTROLS = "input, button, select, textarea, summary, [role=slider]";

/** Controls without a name for those who do not see them. */
function nameless() {
  return [...document.querySelectorAll(CONTROLS)]
    .filter((field) => field.offsetParent && !field.closest("footer"))
    .filter((field) => !(field.labels?.length || field.ariaLabel || field.innerText || field.title))
    .map((field) => field.outerHTML);
}

/** How many controls a keyboard should reach; radio buttons count as none, since one key press leads past them all. */
function reachable() {
  return [...document.querySelectorAll(CONTROLS)]
    .filter((field) => field.offsetParent && !field.disabled && !field.closest("footer"))
    .filter((field) => field.tabIndex >= 0 && !["radio", "file"].includes(field.type)).length;
}

/** Which control has the focus, whether a ring is drawn for it, and the control in words. */
function focused() {
  const field = document.activeElement;
  window.numbered ??= new Map();
  if (!window.numbered.has(field)) window.numbered.set(field, window.numbered.size);
  const rings = [field, ...[".track", "label", ".wrap"].map((each) => field.closest(each))].filter(Boolean);
  const seen = rings.some((each) => {
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(each);
    return (outlineStyle !== "none" && parseFloat(outlineWidth) > 0) || boxShadow !== "none";
  });
  return [window.numbered.get(field), seen || field === document.body, field.outerHTML.slice(0, 200)];
}

/** Text with less contrast than WCAG 2.2 AA asks for, 4.5 to 1, after its formula for relative luminance. */
function poorContrast() {
  const channel = (value) => ((value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = ([red, green, blue]) => 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const read = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const over = (top, under) => [0, 1, 2].map((each) => (top[each] * top[3] + under[each] * (255 - top[3])) / 255);
  const ground = (element) => {
    if (!element) return [255, 255, 255];
    const colour = read(getComputedStyle(element).backgroundColor);
    return colour[3] === 255 ? colour : over(colour, ground(element.parentElement));
  };
  const writes = "input:not([type=range], [type=checkbox], [type=radio]), textarea, select";
  const poor = [];
  for (const element of document.querySelectorAll("#masthead *, #tabs *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!(text || element.matches(writes))) continue;
    if (!element.checkVisibility({ checkOpacity: true }) || element.closest(":disabled, [aria-hidden=true]")) continue;
    const under = ground(element);
    const ink = light(over(read(getComputedStyle(element).color), under)), paper = light(under);
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${element.tagName} ${element.className} ${element.textContent.slice(0, 40)}`);
  }
  return poor;
}
