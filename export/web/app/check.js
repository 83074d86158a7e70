// Old browsers run this script, but no modules; it says what is missing instead of showing an empty page.
(function () {
  "use strict";
  function missing() {
    if (location.protocol === "file:") {
      return "Browsers do not run this app from a file. Open it through a web server: run python3 -m http.server in its folder, and open http://localhost:8000.";
    }
    if (!("noModule" in document.createElement("script"))) {
      return "This browser is too old for this app. Use one of 2022 or later.";
    }
    if (typeof WebAssembly !== "object") {
      return "WebAssembly is switched off in this browser, and this app needs it. Switch it on, or leave lockdown mode for this page.";
    }
    return "";
  }
  window.lettercastMissing = missing();
  if (window.lettercastMissing) {
    document.addEventListener("DOMContentLoaded", function () {
      var text = document.createElement("p");
      text.className = "alone";
      text.setAttribute("role", "alert");
      text.appendChild(document.createTextNode(window.lettercastMissing));
      document.body.textContent = "";
      document.body.appendChild(text);
    });
  }
})();
