// Tells the page that opened this window how it went, and closes the window
// where there is nothing left to read or, in case nobody heard, to hand on.
{
  const { origin, message } = document.currentScript.dataset;
  const outcome = JSON.parse(message);
  window.opener?.postMessage(outcome, origin);
  if (outcome.status === "connected") {
    window.close();
  }
}
