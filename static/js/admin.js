// Django's pickers of several put a name on a plain <span>, which has none in ARIA: it is a picture.
addEventListener("load", () => {
  for (const tip of document.querySelectorAll(".help-tooltip")) tip.setAttribute("role", "img");
});
