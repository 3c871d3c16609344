// Says in a sentence what the browser lacks. No module, so that it runs where modules do not.

(function () {
  "use strict";
  var missing =
    !("noModule" in HTMLScriptElement.prototype) ? "script modules"
    : typeof WebSocket !== "function" ? "websockets"
    : typeof HTMLDialogElement !== "function" || !("replaceChildren" in Element.prototype) ? "what newer pages use"
    : null;
  if (!missing) return;
  var notice = document.getElementById("unsupported");
  notice.textContent = "This browser lacks " + missing + ", which this page needs; use a newer one, or " +
    "`farseed list` on the command line.";
  notice.hidden = false;
})();
