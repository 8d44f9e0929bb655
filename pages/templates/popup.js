// Tells the page that opened this window how it went, and closes the window
// where there is nothing left to read.
{
  const { origin, message } = document.currentScript.dataset;
  const outcome = JSON.parse(message);
  window.opener?.postMessage(outcome, origin);
  const heard = outcome.status === "continue" && window.opener; // else the ticket would be lost
  if (outcome.status === "connected" || heard) {
    window.close();
  }
}
