"""How the widgets look: one style sheet over JupyterLab's own colours, light and dark."""

STYLE = """<style>
.horsekit {
  --hk-accent: #c8553d; --hk-soft: var(--jp-layout-color2, #f3f2f0);
  --hk-line: var(--jp-border-color2, #ddd); --hk-quiet: var(--jp-ui-font-color2, #777);
  max-width: 1080px; padding: 8px 4px 16px; overflow: visible;
}
.horsekit .widget-html { margin: 0; }
.horsekit .widget-html-content { line-height: 1.4; }
.horsekit > .widget-html { display: none; }
.horsekit .hk-columns { flex-flow: row wrap; gap: 36px; align-items: flex-start; overflow: visible; }
.horsekit .hk-form { flex: 1 1 360px; max-width: 420px; }
.horsekit .hk-result { flex: 1 1 560px; overflow: visible; }
.horsekit h4 {
  margin: 16px 0 4px 2px; font-size: 11px; font-weight: 600; letter-spacing: .09em;
  text-transform: uppercase; color: var(--hk-quiet);
}
.horsekit .hk-form > .widget-html:first-child h4 { margin-top: 0; }
.horsekit .hk-form .widget-textarea, .horsekit .hk-form .widget-hslider { width: auto; }
.horsekit textarea { border-radius: 8px; padding: 10px 12px; line-height: 1.5; font-family: inherit; }
.horsekit .widget-label { font-size: 12px; color: var(--hk-quiet); text-align: left; }
.horsekit .hk-form .widget-label { width: 64px; min-width: 64px; }
.horsekit .hk-pick {
  display: grid; grid-template-columns: 1.35fr 1fr; gap: 4px 6px; overflow: hidden; margin: 2px;
}
.horsekit .hk-pick .widget-dropdown { width: auto; min-width: 0; margin: 0; }
.horsekit .hk-pick select, .horsekit .hk-seed input { border-radius: 6px; }
.horsekit .hk-terms { margin: 4px; font-size: 12px; color: var(--hk-quiet); }
.horsekit .hk-slot {
  align-items: center; justify-content: space-between; padding: 10px 12px; margin: 2px 2px 6px;
  border: 1px dashed var(--hk-line); border-radius: 8px;
}
.horsekit .hk-slot b, .horsekit figcaption { font-size: 11px; font-weight: 500; color: var(--hk-quiet); }
.horsekit .hk-slot button {
  width: 132px; height: 26px; line-height: 26px; font-size: 12px; background: none;
}
.horsekit .hk-slot .hk-upload { font-size: 0; }
.horsekit .hk-upload i { font-size: 12px; }
.horsekit .hk-upload::after { content: "Add pictures"; font-size: 12px; }
.horsekit .hk-empty { color: var(--hk-quiet); }
.horsekit .hk-thumb { width: 52px; height: 52px; object-fit: cover; border-radius: 6px; margin: 4px 5px 0 0; }
.horsekit button { border-radius: 6px; }
.horsekit .hk-more { width: auto; background: none; color: var(--hk-quiet); align-self: flex-start; }
.horsekit .hk-seed button { width: 40px; }
.horsekit .hk-seed .widget-text { flex: 1; }
.horsekit .jupyter-widget-Collapse, .horsekit .jupyter-widget-Collapse-header {
  border: none; background: none; font-weight: 400; font-size: 12px; color: var(--hk-quiet); padding-left: 0;
}
.horsekit .jupyter-widget-Collapse-contents { border: none; background: none; padding: 0; }
.horsekit .hk-buttons { margin-top: 14px; }
.horsekit .hk-buttons button { height: 40px; }
.horsekit .hk-buttons .mod-primary {
  background: var(--hk-accent); color: #fff; flex: 1; font-weight: 600; font-size: 14px;
}
.horsekit .hk-shown { gap: 24px; align-items: flex-start; overflow: visible; }
.horsekit .hk-screen {
  display: block; width: 384px; max-width: 100%; aspect-ratio: 1; object-fit: contain;
  border-radius: 12px; background: #161616;
}
.horsekit div.hk-screen {
  display: flex; align-items: center; justify-content: center;
  color: var(--hk-quiet); background: var(--hk-soft);
}
.horsekit .hk-progress { align-items: center; gap: 10px; width: 384px; margin-top: 4px; }
.horsekit .hk-progress .widget-hprogress { flex: 1; width: auto; margin: 0; }
.horsekit .hk-progress .progress { height: 4px; border-radius: 2px; overflow: hidden; margin: auto 0; }
.horsekit .hk-progress .progress-bar { background: var(--hk-accent); }
.horsekit .hk-progress .widget-html-content { font-size: 12px; color: var(--hk-quiet); white-space: nowrap; }
.hk-live { max-width: 640px; }
.hk-live .hk-progress { width: auto; }
.horsekit .hk-beside { width: 150px; }
.horsekit .hk-references { display: grid; gap: 12px; }
.horsekit figure { margin: 0; display: flex; flex-wrap: wrap; gap: 6px; }
.horsekit figcaption { flex-basis: 100%; margin: 0; }
.horsekit .hk-references .hk-thumb { width: 70px; height: 70px; margin: 0; border-radius: 8px; }
.horsekit .hk-measures span { display: block; font-size: 11px; color: var(--hk-quiet); margin-top: 14px; }
.horsekit .hk-measures strong { display: block; font-size: 20px; font-weight: 600; line-height: 1.3; }
.horsekit .hk-measures small { display: block; font-size: 11px; line-height: 1.3; color: var(--hk-quiet); }
.horsekit .hk-history { flex-flow: row wrap; gap: 10px; margin-top: 16px; overflow: visible; }
.horsekit .hk-history > div { margin: 0; overflow: visible; }
.horsekit .hk-history .hk-thumb { display: block; width: 80px; height: 80px; margin: 0; border-radius: 8px; }
.horsekit .hk-history button {
  width: 80px; height: 24px; line-height: 24px; padding: 0; margin: 0; font-size: 11px;
  background: none; color: var(--hk-quiet);
}
.horsekit .hk-current .hk-thumb {
  box-shadow: 0 0 0 2px var(--jp-layout-color0, #fff), 0 0 0 4px var(--hk-accent);
}
.horsekit .hk-message {
  white-space: pre-wrap; line-height: 1.4; padding: 10px 12px; margin-top: 8px; border-radius: 8px;
  background: var(--hk-soft);
}
.horsekit .hk-error { border-left: 4px solid var(--hk-accent); }
</style>"""
