"use strict";
(() => {
  const root = document.documentElement, wide = matchMedia("(prefers-color-scheme: dark)");
  // The system's, unless the reader chose; a browser may forbid to remember it for files.
  const themeButton = document.getElementById("theme");
  const remembered = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const isDark = () => (root.dataset.theme || (wide.matches ? "dark" : "light")) === "dark";
  const showTheme = () => {
    themeButton.textContent = isDark() ? "Light theme" : "Dark theme";
    themeButton.setAttribute("aria-pressed", String(isDark()));
  };
  if (["light", "dark"].includes(remembered())) root.dataset.theme = remembered();
  themeButton.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* it stays until the page is closed */ }
    showTheme();
  });
  wide.addEventListener("change", showTheme);
  showTheme();
})();
