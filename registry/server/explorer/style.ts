/** The look of the pages: one small file, for light and dark, wide and narrow. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --card: #ffffff; --line: #e1e5ea; --text: #1c2733; --faint: #5f6f80;
  --accent: #0b6bcb; --soft: #e8f1fb; --bar: #8fbdeb;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12171d; --card: #1a2129; --line: #2c3640; --text: #e4e9ee; --faint: #94a3b3;
    --accent: #6cb2f5; --soft: #1d2d3d; --bar: #3c6a96;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
}
header { background: var(--card); border-bottom: 1px solid var(--line); }
header > div, main, footer { max-width: 64rem; margin: 0 auto; padding: 0 1.25rem; }
header > div { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1.25rem; padding-block: .75rem; }
.brand { font-weight: 650; font-size: 1.1rem; color: var(--text); letter-spacing: -.01em; }
.brand svg { width: 1.35em; height: 1.35em; vertical-align: -.3em; margin-right: .4em; fill: var(--accent); }
.who { margin-left: auto; color: var(--faint); font-size: .9rem; }
main { padding-block: 1.5rem 2rem; }
footer { padding-block: 0 2rem; color: var(--faint); font-size: .85rem; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; letter-spacing: -.015em; overflow-wrap: anywhere; }
h2 { font-size: 1.02rem; margin: 0 0 .75rem; }
h2 small { font-weight: 400; color: var(--faint); margin-left: .4em; }
.path { color: var(--faint); font-size: .9rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
.card {
  background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: 1rem 1.25rem; margin-top: 1.1rem; overflow-x: auto;
}
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.5rem; margin: 0; }
.facts dt { color: var(--faint); }
.facts dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
table { width: 100%; border-collapse: collapse; }
th {
  text-align: left; font-weight: 500; color: var(--faint); font-size: .82rem; padding: 0 1rem .35rem 0;
  white-space: nowrap;
}
td { border-top: 1px solid var(--line); padding: .45rem 1rem .45rem 0; vertical-align: baseline; }
tr:first-child > td { border-top: 0; }
.facts + table { margin-top: 1rem; }
th:last-child, td:last-child { padding-right: 0; }
td.wide { width: 99%; overflow-wrap: anywhere; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.keep { white-space: nowrap; }
code, .mono { font: .87em ui-monospace, SFMono-Regular, Menlo, "Liberation Mono", monospace; }
.digest { color: var(--faint); }
.badge {
  display: inline-block; background: var(--soft); color: var(--accent); border-radius: 1rem;
  padding: 0 .6rem; font-size: .8rem; margin-right: .35rem; white-space: nowrap;
}
.command {
  display: block; background: var(--ground); border: 1px solid var(--line); border-radius: .4rem;
  padding: .5rem .75rem; overflow-x: auto; white-space: nowrap; user-select: all;
}
.bar { display: inline-block; width: 7rem; height: .5rem; background: var(--ground); border-radius: .25rem; }
.bar rect { fill: var(--bar); }
.faint { color: var(--faint); }
.empty { color: var(--faint); text-align: center; padding: 2.5rem 1rem; }
form { display: flex; gap: .5rem; flex: 1 1 14rem; max-width: 26rem; }
input, button {
  font: inherit; color: inherit; background: var(--ground); border: 1px solid var(--line);
  border-radius: .4rem; padding: .3rem .7rem;
}
input { flex: 1; min-width: 0; }
input:focus, button:focus, a:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
button { cursor: pointer; }
details > summary { cursor: pointer; color: var(--accent); }
pre {
  background: var(--ground); border: 1px solid var(--line); border-radius: .4rem; padding: .75rem;
  overflow-x: auto; margin: .75rem 0 0;
}
.more { display: inline-block; margin-top: 1rem; }
@media (max-width: 40rem) {
  .facts { grid-template-columns: 1fr; gap: 0; }
  .facts dd { margin-bottom: .5rem; }
  .bar { width: 3.5rem; }
  .roomy { display: none; }
}
`;
