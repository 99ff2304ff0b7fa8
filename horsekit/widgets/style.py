"""How the widgets look: one style sheet over JupyterLab's own colours, light and dark."""

STYLE = """<style>
.horsekit {
  --hk-accent: #c8553d; --hk-soft: var(--jp-layout-color2, #f3f2f0);
  --hk-line: var(--jp-border-color2, #ddd); --hk-quiet: var(--jp-ui-font-color2, #777);
  max-width: 1120px; padding: 8px 4px 16px; overflow: visible;
}
.horsekit .hk-columns { flex-flow: row wrap; gap: 32px; align-items: flex-start; overflow: visible; }
.horsekit .hk-form { flex: 1 1 360px; max-width: 440px; }
.horsekit .hk-result { flex: 1.3 1 480px; }
.horsekit h4 {
  margin: 12px 0 2px; font-size: 11px; font-weight: 600; letter-spacing: .09em;
  text-transform: uppercase; color: var(--hk-quiet);
}
.horsekit .hk-form > .widget-textarea { width: auto; }
.horsekit textarea { border-radius: 8px; padding: 10px 12px; line-height: 1.45; font-family: inherit; }
.horsekit .hk-pick { display: grid; gap: 4px; overflow: hidden; }
.horsekit .hk-pick .widget-dropdown { width: auto; min-width: 0; margin: 0; }
.horsekit .hk-pick .widget-label { width: 52px; }
.horsekit .hk-camera { grid-template-columns: 1.6fr 1fr; }
.horsekit .hk-light { grid-template-columns: 1.6fr 1fr 1fr 1fr; }
.horsekit .hk-slot {
  align-items: center; justify-content: space-between; padding: 8px 10px; margin: 2px;
  border: 1px dashed var(--hk-line); border-radius: 8px;
}
.horsekit .hk-slot b, .horsekit figcaption { font-size: 11px; font-weight: 500; color: var(--hk-quiet); }
.horsekit .hk-empty { color: var(--hk-quiet); }
.horsekit .hk-thumb { width: 56px; height: 56px; object-fit: cover; border-radius: 6px; margin: 4px 6px 0 0; }
.horsekit button { border-radius: 6px; }
.horsekit .hk-buttons { margin-top: 12px; }
.horsekit .hk-buttons .mod-primary { background: var(--hk-accent); flex: 1; height: 38px; font-weight: 600; }
.horsekit .hk-buttons button { height: 38px; }
.horsekit .hk-screen {
  display: block; width: 384px; max-width: 100%; aspect-ratio: 1; object-fit: contain;
  border-radius: 12px; background: #161616;
}
.horsekit .hk-blank {
  display: flex; align-items: center; justify-content: center;
  color: var(--hk-quiet); background: var(--hk-soft);
}
.horsekit .hk-shown { gap: 20px; align-items: flex-start; }
.horsekit .hk-references { display: flex; flex-direction: column; gap: 10px; }
.horsekit figure { margin: 0; }
.horsekit .hk-references .hk-thumb { width: 84px; height: 84px; border-radius: 8px; }
.horsekit .hk-measures { margin: 14px 0 0; }
.horsekit .hk-measures dt { font-size: 11px; color: var(--hk-quiet); }
.horsekit .hk-measures dd { margin: 0; font-size: 20px; font-weight: 600; line-height: 1.3; }
.horsekit .hk-measures small { display: block; margin-bottom: 10px; line-height: 1.3;
  color: var(--hk-quiet); }
.horsekit .hk-progress { align-items: center; }
.horsekit .hk-progress .widget-hprogress { width: 150px; }
.horsekit .hk-history { flex-flow: row wrap; gap: 8px; margin-top: 12px; }
.horsekit .hk-history .hk-thumb { width: 76px; height: 76px; margin: 0; }
.horsekit .hk-history button { width: 76px; padding: 0; margin: 2px 0; font-size: 11px; }
.horsekit .hk-current .hk-thumb { outline: 3px solid var(--hk-accent); outline-offset: -3px; }
.horsekit .hk-message {
  white-space: pre-wrap; line-height: 1.4; padding: 10px 12px; border-radius: 8px; background: var(--hk-soft);
}
.horsekit .hk-error { border-left: 4px solid var(--hk-accent); }
</style>"""
