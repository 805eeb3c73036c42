// What every part shares: the data, making elements, unpacking texts, the theme. Text is only ever set as textContent.
"use strict";

const page = JSON.parse(document.getElementById("data").textContent);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

// A pack is base64 of gzip of JSON; the browser unpacks it beside the page's own thread. Each is unpacked once.
const unpacked = new Map();
function unpack(id) {
  if (!unpacked.has(id)) {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (each) => each.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    unpacked.set(id, new Response(stream).json());
  }
  return unpacked.get(id);
}

function short(digest) {
  return digest ? digest.slice(0, 8) : "none";
}

// Drawing waits until a part is nearly in sight, so that opening a long lineage costs no more than a short one.
function whenSeen(place, draw) {
  const observer = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) {
      observer.disconnect();
      draw();
    }
  }, { rootMargin: "300px" });
  observer.observe(place);
}

{
  const button = document.getElementById("theme");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const show = (dark) => {
    button.textContent = dark ? "Light" : "Dark";
    button.setAttribute("aria-label", dark ? "Use light colours" : "Use dark colours");
  };
  button.removeAttribute("aria-pressed");
  show(prefersDark);
  button.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = (root.dataset.theme ?? (prefersDark ? "dark" : "light")) === "light";
    root.dataset.theme = dark ? "dark" : "light";
    show(dark);
  });
}
