// What the other scripts share, and the dropping of pictures anywhere on the page.
(() => {
  const steer = (window.steer ??= {});
  const NAMING_EVERY = 200; // milliseconds between two looks for parts that came without a name

  /** Make an element: its attributes, a function for "on…", and its children. */
  steer.make = (tag, attributes = {}, ...children) => {
    const svg = ["svg", "circle", "line", "path"].includes(tag);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") element.addEventListener(name.slice(2), value);
      else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children);
    return element;
  };

  steer.pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

  steer.clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  /** Write an amount as it is asked for: signed, with a real minus and its unit. */
  steer.asked = (amount, unit) => {
    const digits = Number(amount.toFixed(unit === "°" ? 0 : 2));
    const sign = digits > 0 ? "+" : digits < 0 ? "−" : "";
    return `${sign}${Math.abs(digits)}${unit === "°" ? "" : " "}${unit}`.trim();
  };

  // A picture may be dropped anywhere, as if the button had been used; left alone, the browser would leave the page.
  const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const takesFiles = (event) => event.target.closest?.("[data-takes-files], .upload-container, [data-testid=block-label]");
  document.addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!carriesFiles(event) || takesFiles(event)) return;
    event.preventDefault();
    const input = document.querySelector("#masthead input[type=file]");
    if (!input || !event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });

  // Gradio's label names the button in a box rather than the box, and buttons of many boxes are named alike.
  const nameParts = () => {
    for (const label of document.querySelectorAll(".block [data-testid=block-info]")) {
      const block = label.closest(".block"), title = label.textContent.trim();
      const box = block.querySelector("textarea");
      if (box?.labels[0] && box.labels[0].control !== box) box.ariaLabel = title;
      for (const button of block.querySelectorAll("button[aria-label]"))
        if (!button.ariaLabel.endsWith(title)) button.ariaLabel = `${button.ariaLabel}: ${title}`;
    }
  };
  let naming = 0;
  new MutationObserver(() => {
    naming ||= setTimeout(() => {
      naming = 0;
      nameParts();
    }, NAMING_EVERY);
  }).observe(document, { childList: true, subtree: true });

  // Any key opens Gradio's lists, even those that lead on from them, and open they would stay.
  document.addEventListener("keydown", (event) => {
    if (["Tab", "Shift"].includes(event.key) && event.target.closest?.("[role=combobox]")) event.stopPropagation();
  }, true);

  // Undo and redo from the keyboard, wherever no text is being written.
  document.addEventListener("keydown", (event) => {
    const writes = event.target.closest?.("textarea, input:not([type=range]):not([type=radio]):not([type=checkbox])");
    if (!(event.ctrlKey || event.metaKey) || writes) return;
    const key = event.key.toLowerCase();
    const wanted = key === "y" || (key === "z" && event.shiftKey) ? "redo" : key === "z" ? "undo" : null;
    if (!wanted) return;
    event.preventDefault();
    document.getElementById(wanted)?.click();
  });
})();
