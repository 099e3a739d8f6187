"use strict";
// Every page works without this file. It keeps times young, adds copy buttons, draws the charts that stand as tables, and says when
// the connection for live updates is lost.
(() => {
  const SECOND = 1000, HOUR = 3600, DAY = 86400;

  function length(seconds) {
    const pad = (value) => String(value).padStart(2, "0");
    if (seconds < 60) return `${seconds}s`;
    if (seconds < HOUR) return `${Math.floor(seconds / 60)}m ${pad(seconds % 60)}s`;
    if (seconds < DAY) return `${Math.floor(seconds / HOUR)}h ${pad(Math.floor((seconds % HOUR) / 60))}m`;
    return `${Math.floor(seconds / DAY)}d ${Math.floor((seconds % DAY) / HOUR)}h`;
  }

  function refreshTimes() {
    for (const time of document.querySelectorAll("time[data-relative]")) {
      const gap = Date.now() - Date.parse(time.dateTime), seconds = Math.floor(Math.abs(gap) / SECOND);
      const words = seconds < 1 ? "now" : gap > 0 ? `${length(seconds)} ago` : `in ${length(seconds)}`;
      if (time.textContent !== words) time.textContent = words;
    }
  }

  function addCopyButtons(root) {
    if (!navigator.clipboard) return;
    for (const block of root.querySelectorAll(".copyable")) {
      if (block.querySelector("button")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Copy";
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(block.querySelector("code").textContent);
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
      block.append(button);
    }
  }

  function clock(seconds) {
    return new Date(seconds * SECOND).toISOString().slice(11, 16);
  }

  function drawCharts(root) {
    const css = getComputedStyle(document.documentElement), colour = (name) => css.getPropertyValue(name).trim();
    const strokes = [colour("--soft"), colour("--accent"), colour("--wait"), colour("--bad"), colour("--good")];
    for (const figure of root.querySelectorAll("figure[data-chart]")) {
      const table = document.getElementById(figure.dataset.chart);
      if (!table || figure.querySelector(".uplot") || table.tBodies[0].rows.length < 2) continue;
      const rows = [...table.tBodies[0].rows];
      const names = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);
      const data = [rows.map((row) => Number(row.cells[0].dataset.at))];
      names.forEach((_, index) => data.push(rows.map((row) => Number(row.cells[index + 1].dataset.n))));
      const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
      const series = names.map((label, index) => ({ label, stroke: strokes[index % 5], width: 2, dash: index % 2 ? [] : [6, 3], points: { show: false } }));
      const place = document.createElement("div");
      place.setAttribute("aria-hidden", "true"); // its numbers stand in the table
      figure.querySelector("figcaption").after(place);
      const width = Math.max(280, figure.clientWidth);
      new uPlot({ width, height: 180, legend: { live: false }, axes: [{ ...axis, space: 90, incrs: [60, 120, 300, 600, 900, 1800, 3600], values: (_, times) => times.map(clock) }, { ...axis, size: 60 }], scales: { y: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } }, series: [{}, ...series] }, data, place);
    }
  }

  let reading = []; // the numbers that somebody has opened stay open when the page reads itself again

  function dress(root) {
    refreshTimes();
    addCopyButtons(root);
    drawCharts(root);
  }

  document.addEventListener("submit", (event) => {
    // A second press is harmless, because the form carries its key; a button that says so is kinder.
    if (event.target.method === "post") {
      const buttons = event.target.querySelectorAll("button");
      setTimeout(() => { for (const button of buttons) button.disabled = true; });
    }
  });
  window.addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("form button[disabled]")) button.disabled = false;
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    // Signed out, or something went wrong: what came is no newer state of this page.
    reading = [...document.querySelectorAll("#live details[open] > summary[id]")].map((summary) => summary.id);
    if (event.detail.target.id === "live" && !event.detail.serverResponse.includes('id="live"')) {
      event.detail.shouldSwap = false;
      if (event.detail.xhr.status === 200) window.location.reload();
    }
  });
  document.addEventListener("htmx:afterSettle", () => {
    for (const id of reading) document.getElementById(id)?.parentElement.setAttribute("open", "");
    dress(document);
  });
  document.addEventListener("htmx:sseOpen", () => { document.getElementById("link-state").hidden = true; });
  document.addEventListener("htmx:sseError", () => { document.getElementById("link-state").hidden = false; });
  setInterval(refreshTimes, SECOND);
  dress(document);
})();
