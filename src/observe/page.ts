/**
 * The dashboard: one page that loads nothing from elsewhere. Its script is in page-script.ts, its style in
 * page-style.ts.
 */

export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>pilotgate</title>
<link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/app.css">
<script src="/app.js" defer></script>
</head>
<body>
<header>
  <div class="who">
    <h1 id="name">pilotgate</h1>
    <p id="address" class="mono"></p>
  </div>
  <p id="state" class="pill" role="status">connecting</p>
</header>
<p id="alert" class="alert" role="alert" hidden></p>
<main>
  <section class="tiles" aria-label="Now">
    <div class="tile"><h2>Received</h2><p><b id="rate-in">–</b></p><svg id="graph-in" class="in" viewBox="0 0 120 32" preserveAspectRatio="none" aria-hidden="true"><path class="area"/><path class="line"/></svg><small id="total-in"></small></div>
    <div class="tile"><h2>Sent</h2><p><b id="rate-out">–</b></p><svg id="graph-out" class="out" viewBox="0 0 120 32" preserveAspectRatio="none" aria-hidden="true"><path class="area"/><path class="line"/></svg><small id="total-out"></small></div>
    <div class="tile"><h2>Connections</h2><p><b id="connections">–</b></p><small id="services"></small></div>
    <div class="tile"><h2>Peers</h2><p><b id="peers">–</b></p><small id="paths"></small></div>
  </section>
  <section><h2>Peers</h2><div id="peers-table"></div></section>
  <section><h2>Mappings</h2><div id="mappings-table"></div></section>
  <section><h2>Exposures</h2><div id="exposures-table"></div></section>
  <section><h2>Connections</h2><div id="connections-table"></div></section>
  <section><h2>Recent connections</h2><div id="ended-table" class="log"></div></section>
  <section><h2>Recent requests</h2><div id="requests-table" class="log"></div></section>
  <section><h2>Node</h2><dl id="node"></dl></section>
</main>
<footer><span id="version"></span><a href="/metrics">metrics</a><a href="/readyz">readyz</a></footer>
<noscript><p class="alert">This page shows live numbers and needs JavaScript. <a href="/metrics">/metrics</a> has them as text.</p></noscript>
</body>
</html>
`

export const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="#3b5bdb"/><path d="M4 12V7a4 4 0 0 1 8 0v5M8 12V7.5" fill="none" stroke="#fff" stroke-width="1.6" stroke-linecap="round"/></svg>'
