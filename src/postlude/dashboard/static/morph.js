// Makes one part of a page like another without replacing what stays the same, so that focus, scroll positions, open
// details and ticked boxes survive. Children with an id are matched by it, others by their place.

/**
 * @param {Element} here the part that is shown
 * @param {Element} next what it is to be like
 */
export function morph(here, next) {
  if (here.hasAttribute("data-kept")) return;
  copyAttributes(here, next);
  morphChildren(here, next);
}

const OF_THE_VISITOR = new Set(["open", "value", "checked"]);

function copyAttributes(here, next) {
  for (const { name } of [...here.attributes]) {
    if (!next.hasAttribute(name) && !OF_THE_VISITOR.has(name)) here.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    // How far a job has come is the server's to say; what is in a field is not.
    const theirs = OF_THE_VISITOR.has(name) && here.localName !== "progress";
    if (!theirs && here.getAttribute(name) !== value) here.setAttribute(name, value);
  }
}

function morphChildren(here, next) {
  const byId = new Map([...here.children].filter((child) => child.id).map((child) => [child.id, child]));
  let place = here.firstChild;
  for (const wanted of [...next.childNodes]) {
    const match = (wanted.id && byId.get(wanted.id)) || (isAlike(place, wanted) ? place : null);
    if (!match) {
      here.insertBefore(document.importNode(wanted, true), place);
      continue;
    }
    if (match === place) place = place.nextSibling;
    else here.insertBefore(match, place);
    if (match.nodeType === Node.ELEMENT_NODE) morph(match, wanted);
    else if (match.nodeValue !== wanted.nodeValue) match.nodeValue = wanted.nodeValue;
  }
  while (place) {
    const gone = place;
    place = place.nextSibling;
    gone.remove();
  }
}

function isAlike(node, wanted) {
  return node !== null && node.nodeType === wanted.nodeType && node.nodeName === wanted.nodeName && !node.id && !wanted.id;
}
