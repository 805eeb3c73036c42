// One generation's record: what lies there, with which digests, from which inputs, and who allowed it.
"use strict";

function pairs(content) {
  const rows = Object.entries(content).filter(([, value]) => value !== null && value !== "");
  return element("dl", {}, ...rows.flatMap(([name, value]) => {
    const shown = typeof value === "object" ? JSON.stringify(value) : String(value);
    return [element("dt", {}, name.replaceAll("_", " ")), element("dd", {}, shown)];
  }));
}

function details(title, content) {
  return element("details", {}, element("summary", {}, title), pairs(content));
}

function gateRecord(gate, plan) {
  return element("div", { class: "piece" }, element("h4", {}, "gate"), pairs(gate), plan ? details("the plan", plan) : null);
}

function pieceRecord(piece, record) {
  return element(
    "div", { class: "piece" },
    element("h4", {}, `${piece.kind} `, element("span", { class: `state ${piece.state}` }, piece.state)),
    pairs({ file: piece.path, sentence: piece.sentence, "digest stated": piece.stated, "digest found": piece.found }),
    record ? details("record", { ...record, digest: null, inputs: null, versions: null }) : null,
    record ? details("inputs", record.inputs) : null,
    record ? details("versions", record.versions) : null,
  );
}

async function showRecord() {
  const place = document.getElementById("record");
  const name = decodeURIComponent(location.hash).replace(/^#record\//, "");
  const member = page.members.find((each) => each.name === name);
  if (!place || !member) return;
  const close = element("button", { type: "button" }, "Close");
  close.addEventListener("click", () => {
    place.hidden = true;
    history.replaceState(null, "", "#lineage");
  });
  const score = page.scores[name];
  const { plan, records } = (await unpack("records"))[name];
  place.replaceChildren(
    element("h3", { id: "record-title", tabindex: "-1" }, name),
    pairs({ [member.parents.length > 1 ? "parents" : "parent"]: member.parents.join(", ") || null, score: score?.score ?? (score ? "partial" : null), partial: score?.partial ? score.errors : null }),
    member.gate ? gateRecord(member.gate, plan) : null,
    ...member.pieces.map((piece) => pieceRecord(piece, records[piece.kind])),
    close,
  );
  place.hidden = false;
  place.scrollIntoView({ block: "nearest" });
  document.getElementById("record-title").focus({ preventScroll: true });
}

addEventListener("hashchange", showRecord);
showRecord();
