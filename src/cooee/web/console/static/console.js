// What the pages do beyond forms and links: the theme without a reload, plots, and buttons that are pressed once.
"use strict";

(() => {
  const root = document.documentElement;

  // --- light and dark --------------------------------------------------------------------------------------
  const words = { auto: "as the system", dark: "dark", light: "light" };
  const next = { auto: "dark", dark: "light", light: "auto" };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("[data-theme-switch]")) {
      event.preventDefault();
      const theme = next[root.dataset.theme] || "auto";
      root.dataset.theme = theme;
      const secure = location.protocol === "https:" ? "; Secure" : "";
      document.cookie = `cooee-theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
      const button = form.querySelector("button");
      button.value = next[theme];
      button.querySelector("span").textContent = `Theme: ${words[theme]}`;
      drawAll();
      return;
    }
    // A second click while the first is under way sends nothing.
    if (form.method === "post" && !form.hasAttribute("hx-post")) {
      if (form.dataset.sent) {
        event.preventDefault();
        return;
      }
      form.dataset.sent = "yes";
      window.addEventListener("pageshow", () => delete form.dataset.sent, { once: true });
      setTimeout(() => delete form.dataset.sent, 8000);
    }
  });

  // --- one box that marks all boxes of its name in the form -------------------------------------------------
  document.addEventListener("change", (event) => {
    const name = event.target.dataset.all;
    if (!name) return;
    for (const box of event.target.form.querySelectorAll(`input[type=checkbox][name="${name}"]`)) box.checked = event.target.checked;
  });

  // --- whoever gives a time wants it to be then --------------------------------------------------------------
  document.addEventListener("input", (event) => {
    if (event.target.matches("input[name=at]") && event.target.value) event.target.form.elements.when.value = "later";
  });

  // --- plots -----------------------------------------------------------------------------------------------
  const plots = new Map();


  function resolved(name) {
    // A canvas does not know custom properties, and not every browser's canvas knows oklch.
    const probe = document.createElement("span");
    probe.className = "probe";
    document.body.append(probe);
    probe.style.color = `var(${name})`;
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
  }

  function thin(color, share) {
    const inside = color.match(/^(rgb|oklch)\((.*)\)$/);
    if (!inside) return color;
    return inside[1] === "rgb" ? `rgba(${inside[2]}, ${share})` : `oklch(${inside[2]} / ${share})`;
  }

  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const moments = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 345600, 604800, 1209600, 2592000];
  const numbers = new Intl.NumberFormat("en");
  const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

  function draw(holder) {
    const data = JSON.parse(holder.querySelector("script[type='application/json']").textContent);
    const canvas = holder.querySelector(".canvas");
    const legend = holder.querySelector(".legend");
    const old = plots.get(holder);
    if (old) old.destroy();
    canvas.textContent = "";
    if (!data.x.length || typeof uPlot === "undefined") return;
    const soft = resolved("--soft");
    const line = resolved("--line");
    const sunk = resolved("--sunk");
    const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "12px system-ui" };
    const zoned = (seconds) => uPlot.tzDate(new Date(seconds * 1000), data.zone);
    const two = (value) => String(value).padStart(2, "0");
    const tick = (seconds, step) => {
      const date = zoned(seconds);
      const day = `${date.getDate()} ${months[date.getMonth()]}`;
      if (step >= 86400 || (step >= 3600 && date.getHours() === 0)) return day;
      const time = `${two(date.getHours())}:${two(date.getMinutes())}`;
      return step >= 60 ? time : `${time}:${two(date.getSeconds())}`;
    };
    const apart = data.x.length > 1 ? data.x[1] - data.x[0] : 86400;
    const wide = data.series.some((series) => series.bars);
    const say = (index) => {
      const texts = data.series.map((series) => {
        const value = series.y[index];
        const key = `<svg viewBox="0 0 10 10" aria-hidden="true"><rect width="10" height="10" class="f-${series.key}"/></svg>`;
        return `<span>${key}${series.label} <b>${value === null || value === undefined ? "–" : numbers.format(value)}</b></span>`;
      });
      legend.innerHTML = `<span>${data.names[index]}</span>${texts.join("")}`;
    };
    const total = () => {
      legend.innerHTML = data.series.map((series) => {
        const key = `<svg viewBox="0 0 10 10" aria-hidden="true"><rect width="10" height="10" class="f-${series.key}"/></svg>`;
        return `<span>${key}${series.label}</span>`;
      }).join("");
    };
    const colours = { handed_over: "--c-handed", delivered: "--c-delivered", failed: "--c-failed", waiting: "--c-waiting", uncertain: "--c-uncertain" };
    const shade = (plot) => {
      // When the send window is closed.
      const { ctx, bbox } = plot;
      ctx.save();
      ctx.fillStyle = sunk;
      for (const [from, to] of data.closed || []) {
        const left = Math.max(plot.valToPos(from, "x", true), bbox.left);
        const right = Math.min(plot.valToPos(to, "x", true), bbox.left + bbox.width);
        if (right > left) ctx.fillRect(left, bbox.top, right - left, bbox.height);
      }
      ctx.restore();
    };
    const plot = new uPlot({
      width: canvas.clientWidth,
      height: 220,
      padding: [10, 28, 0, 0],
      tzDate: zoned,
      legend: { show: false },
      cursor: { y: false, points: { size: 7 } },
      scales: { x: { time: true, range: (_, low, high) => (wide || low === high ? [low - apart * 0.6, high + apart * 0.6] : [low, high]) }, y: { range: (_, low, high) => [0, Math.max(high || 0, 1) * 1.1] } },
      axes: [
        { ...axis, space: 70, incrs: moments, values: (_, ticks, __, ___, step) => ticks.map((at) => tick(at, step)) },
        { ...axis, size: 52, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6], values: (_, ticks) => ticks.map((tick) => short.format(tick)) },
      ],
      series: [
        {},
        ...data.series.map((series) => {
          const stroke = resolved(colours[series.key]);
          if (series.bars) {
            return { label: series.label, stroke, width: 0, fill: thin(stroke, 0.35), points: { show: false }, paths: uPlot.paths.bars({ size: [0.6, 48] }) };
          }
          return { label: series.label, stroke, width: 2, fill: wide ? undefined : thin(stroke, 0.12), points: { show: data.x.length < 32, size: 5, fill: stroke } };
        }),
      ],
      hooks: {
        drawClear: [shade],
        setCursor: [(self) => (self.cursor.idx === null || self.cursor.idx === undefined ? total() : say(self.cursor.idx))],
      },
    }, [data.x, ...data.series.map((series) => series.y)], canvas);
    plots.set(holder, plot);
    total();
  }

  function drawAll() {
    for (const holder of plots.keys()) {
      if (!holder.isConnected) {
        plots.get(holder).destroy();
        plots.delete(holder);
      }
    }
    document.querySelectorAll("[data-plot]").forEach(draw);
  }

  let width = 0;
  window.addEventListener("resize", () => {
    if (window.innerWidth !== width) {
      width = window.innerWidth;
      for (const [holder, plot] of plots) plot.setSize({ width: holder.querySelector(".canvas").clientWidth, height: 220 });
    }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  document.addEventListener("DOMContentLoaded", () => {
    width = window.innerWidth;
    drawAll();
    // On a phone the navigation is a bar that may be wider than the screen.
    const bar = document.querySelector(".side nav");
    const current = bar && bar.querySelector("[aria-current]");
    if (current && bar.scrollWidth > bar.clientWidth) bar.scrollLeft = current.offsetLeft - bar.clientWidth / 2 + current.offsetWidth / 2;
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.querySelector && (event.target.matches("[data-plot]") || event.target.querySelector("[data-plot]"))) drawAll();
  });
})();
