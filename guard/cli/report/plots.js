// The four plots of a rule, drawn once; only the place of the slider in them moves.

const BINS = 20;
const CONFIG = {displayModeBar: false, responsive: true, scrollZoom: false};

function colours() {
  const style = getComputedStyle(document.documentElement);
  const named = name => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: named('ink'), muted: named('muted'), line: named('line'), card: named('card'), accent: named('accent'),
    positive: named('positive'), negative: named('negative'), unknown: named('unknown'), proposed: named('proposed'),
  };
}

function axis(title, more = {}) {
  const c = colours();
  return {
    title: {text: title, standoff: 8}, range: [-0.02, 1.02], gridcolor: c.line, linecolor: c.line, zeroline: false,
    fixedrange: true, ...more,
  };
}

function layout(x, y, more = {}) {
  const c = colours();
  return {
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', font: {color: c.ink, family: 'inherit', size: 13},
    margin: {l: 56, r: 12, t: 8, b: 48}, xaxis: x, yaxis: y, hovermode: 'closest', dragmode: false,
    legend: {orientation: 'h', x: 0, y: 1.02, yanchor: 'bottom'}, hoverlabel: {namelength: -1}, ...more,
  };
}

const markColour = (c, i) => i ? c.proposed : c.ink;

// Marks and slider as points of a curve.
function points(curves, grid, index, x, y) {
  const c = colours();
  const from = nearest(grid, curves.rule.marks[0].threshold);
  const point = (i, name, symbol, colour, size) => ({
    x: [x(curves.at(i, from))], y: [y(curves.at(i, from))], name, mode: 'markers', type: 'scatter',
    marker: {symbol, size, color: colour, line: {color: c.card, width: 1.5}},
    hovertemplate: `${name}<br>%{xaxis.title.text} %{x:.3f}<br>%{yaxis.title.text} %{y:.3f}<extra></extra>`,
  });
  const symbols = ['diamond', 'star', 'triangle-up', 'square'];
  const marks = curves.rule.marks.map((mark, i) =>
    point(nearest(grid, mark.threshold), `${mark.name} ${score(mark.threshold)}`, symbols[i % 4], markColour(c, i), 16));
  return [...marks, point(index, 'slider', 'circle', c.accent, 9)];
}

function curve(curves, grid, x, y) {
  const c = colours();
  const figures = grid.map((_, i) => curves.at(i, 0));
  const defined = grid.map((threshold, i) => i).filter(i => !Number.isNaN(y(figures[i])) && !Number.isNaN(x(figures[i])));
  return {
    x: defined.map(i => x(figures[i])), y: defined.map(i => y(figures[i])), text: defined.map(i => score(grid[i])),
    mode: 'lines', type: 'scatter', showlegend: false, line: {color: c.negative, width: 2.5},
    hovertemplate: 'threshold %{text}<br>%{xaxis.title.text} %{x:.3f}<br>%{yaxis.title.text} %{y:.3f}<extra></extra>',
  };
}

// Vertical lines of the marks and the slider over the scores.
function lines(rule, threshold) {
  const c = colours();
  const line = (x, colour, dash, width) => (
    {type: 'line', xref: 'x', yref: 'paper', x0: x, x1: x, y0: 0, y1: 1, line: {color: colour, dash, width}});
  const marks = rule.marks.map((mark, i) => line(mark.threshold, markColour(c, i), i ? 'dash' : 'dot', 2));
  return [...marks, line(threshold, c.accent, 'solid', 2)];
}

function empty(place, why) {
  Plotly.purge(place);
  place.className = 'plot empty';
  place.removeAttribute('role');
  place.removeAttribute('aria-label');
  place.textContent = why;
}

function draw(place, traces, shape, label) {
  if (place.classList.contains('empty')) place.textContent = '';
  place.className = 'plot';
  place.setAttribute('role', 'img');
  place.setAttribute('aria-label', label);
  Plotly.react(place, traces, shape, CONFIG);
}

class Plots {
  constructor(grid) {
    this.grid = grid;
    this.place = Object.fromEntries(['pr', 'roc', 'histogram', 'calibration'].map(id => [id, document.getElementById(id)]));
  }

  show(curves, index, zoomed) {
    Object.assign(this, {curves, rule: curves.rule, zoomed});
    this.drawn = this.rule.positives > 0 && this.rule.negatives > 0;
    this.showCurves(index);
    this.showScores(index);
    this.showCalibration();
    // Where Plotly measures its texts: nothing to see there, and nothing to hear.
    document.getElementById('js-plotly-tester')?.setAttribute('aria-hidden', 'true');
  }

  showCurves(index) {
    const {rule, curves, grid} = this;
    if (!this.drawn) {
      const missing = rule.positives ? 'not in it' : 'in its category';
      for (const id of ['pr', 'roc']) empty(this.place[id], `No record is labelled as ${missing}, so there is no curve.`);
      return;
    }
    const recall = f => f.recall, precision = f => f.precision, fpr = f => f.fpr;
    const area = rule.auprc.value === null ? '' : `, area under it ${rate(rule.auprc.value)}`;
    draw(this.place.pr, [curve(curves, grid, recall, precision), ...points(curves, grid, index, recall, precision)],
      layout(axis('recall'), axis('precision')), `Precision-recall curve of the rule ${rule.id}${area}`);
    const range = this.zoomed ? [-0.002, 0.102] : [-0.02, 1.02];
    draw(this.place.roc, [curve(curves, grid, fpr, recall), ...points(curves, grid, index, fpr, recall)],
      layout(axis('FPR', {range}), axis('recall')), `ROC curve of the rule ${rule.id}: recall over false positive rate`);
  }

  showScores(index) {
    const {rule, grid} = this, c = colours();
    const kinds = [['not in the category', 'negatives', c.negative], ['in the category', 'positives', c.positive],
      ['unknown', 'unknown', c.unknown]];
    const traces = kinds.map(([name, key, colour]) => [name, histogram(grid, rule.counts[key], BINS), colour])
      .filter(([, bins]) => bins.some(Boolean))
      .map(([name, bins, colour]) => ({
        type: 'bar', name, x: bins.map((_, i) => (i + 0.5) / BINS), y: bins, marker: {color: colour},
        customdata: bins.map((_, i) => `${score(i / BINS)} to ${score((i + 1) / BINS)}`),
        hovertemplate: `${name}<br>score %{customdata}<br>%{y} records<extra></extra>`,
      }));
    if (!traces.length) {
      empty(this.place.histogram, 'No record has a score of this rule.');
      return;
    }
    const most = Math.max(...traces.flatMap(trace => trace.y));
    const y = axis('records (log)', {type: 'log', range: [Math.log10(0.6), Math.log10(most) + 0.1], dtick: 1});
    draw(this.place.histogram, traces,
      layout(axis('score'), y, {barmode: 'group', bargap: 0.15, shapes: lines(rule, grid[index]), showlegend: true}),
      `Histogram of the scores of the rule ${rule.id}, by label, with its thresholds`);
  }

  showCalibration() {
    const {rule} = this, c = colours(), bins = rule.calibration.bins;
    if (!this.drawn || !bins.length) {
      empty(this.place.calibration, 'It takes labelled records of both kinds to compare scores with shares.');
      return;
    }
    const most = Math.max(...bins.map(bin => bin.count));
    const diagonal = {x: [0, 1], y: [0, 1], mode: 'lines', type: 'scatter', name: 'a probability', hoverinfo: 'skip',
      line: {color: c.muted, dash: 'dot', width: 1.5}};
    const measured = {
      x: bins.map(bin => bin.mean_score), y: bins.map(bin => bin.share_positive), mode: 'lines+markers', type: 'scatter',
      name: 'measured', customdata: bins.map(bin => bin.count), line: {color: c.accent},
      marker: {color: c.accent, size: bins.map(bin => 7 + 13 * Math.sqrt(bin.count / most))},
      hovertemplate: 'mean score %{x:.3f}<br>share in the category %{y:.3f}<br>%{customdata} records<extra></extra>',
    };
    draw(this.place.calibration, [diagonal, measured], layout(axis('mean score'), axis('share in the category')),
      `Calibration of the rule ${rule.id}, expected calibration error ${rate(rule.calibration.ece)}`);
  }

  // Moves the slider's place to the grid's threshold `index`.
  move(index) {
    const {curves, grid, rule} = this;
    if (this.drawn) {
      const f = curves.at(index, 0), last = rule.marks.length + 1;
      Plotly.restyle(this.place.pr, {x: [[f.recall]], y: [[f.precision]]}, [last]);
      Plotly.restyle(this.place.roc, {x: [[f.fpr]], y: [[f.recall]]}, [last]);
    }
    if (!this.place.histogram.classList.contains('empty')) {
      Plotly.relayout(this.place.histogram, {shapes: lines(rule, grid[index])});
    }
  }

  // Draws the ROC curve with or without a close look at few false alarms.
  zoom(zoomed, index) {
    this.zoomed = zoomed;
    this.showCurves(index);
  }
}
