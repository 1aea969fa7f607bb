// The page: head, tables, and the rule whose threshold is moved.

const report = JSON.parse(document.getElementById('data').textContent);
const byId = id => document.getElementById(id);
const {grid} = report;
const rules = new Map(report.rules.map(rule => [rule.id, rule]));
const plots = new Plots(grid);
const state = {curves: null, index: 0, from: 0};

function chooser(id) {
  return rules.has(id) && (() => {
    byId('rule').value = id;
    choose(id);
    byId('explorer-title').focus();
    byId('explorer').scrollIntoView();
  });
}

function showHead() {
  for (const fact of report.facts) byId('facts').append(element('dt', {}, fact.name), element('dd', {}, fact.value));
  if (report.notes.length) {
    const notes = byId('notes');
    notes.hidden = false;
    notes.open = report.notes.length <= 4;
    notes.querySelector('summary').textContent = `Please note (${report.notes.length})`;
    notes.querySelector('ul').append(...report.notes.map(note => element('li', {}, note)));
  }
  byId('summary').append(...report.tables.map(table => makeTable(table, 'h2', chooser)));
  if (report.slices) byId('slices').append(makeTable(report.slices, 'h2', chooser));
}

// A figure, what it was at the first mark, and how both are spelled.
function figure(name, title, value, was, spell) {
  const shown = element('data', {value: String(value), id: `figure-${name}`}, spell(value));
  const out = element('div', {}, element('dt', {}, title), element('dd', {}, shown));
  if (was !== undefined) {
    out.append(element('dd', {class: 'was'}, `${spell(was)} at ${state.curves.rule.marks[0].name}`));
  }
  return out;
}

function figures() {
  const {curves, index, from} = state, {rule} = curves;
  const now = curves.at(index, from), was = curves.at(from, from);
  const out = [];
  if (rule.positives + rule.negatives) {
    out.push(
      figure('precision', 'Precision', now.precision, was.precision, rate),
      figure('recall', 'Recall', now.recall, was.recall, rate),
      figure('fpr', 'FPR (false alarms)', now.fpr, was.fpr, rate),
      figure('f1', 'F1', now.f1, was.f1, rate),
      figure('found', `Found, of ${count(rule.positives)}`, now.found, was.found, count),
      figure('alarms', `False alarms, of ${count(rule.negatives)}`, now.alarms, was.alarms, count));
  }
  out.push(figure('fired', 'Fires on', now.fired, was.fired, count));
  if (rule.action !== 'allow') {
    const title = rule.shadow ? 'Decisions that would flip, did it act' : 'Decisions that flip';
    out.push(figure('flipped', title, now.flipped, undefined, count));
  }
  if (rule.whole && rule.whole.positives + rule.whole.negatives) {
    out.push(
      figure('whole-recall', 'Whole policy: recall', now.wholeRecall, was.wholeRecall, rate),
      figure('whole-fpr', 'Whole policy: FPR', now.wholeFpr, was.wholeFpr, rate));
  }
  return out;
}

function sentence() {
  const {curves, index, from} = state, {rule} = curves, [mark] = rule.marks;
  const now = curves.at(index, from);
  const judged = rule.positives + rule.negatives
    ? `${count(now.found)} of ${count(rule.positives)} texts in the category are found, ` +
      `${count(now.alarms)} of ${count(rule.negatives)} others are false alarms.`
    : `the rule fires on ${count(now.fired)} of ${count(rule.unknown)} texts, none of them labelled.`;
  let flips = '';
  if (index === from) flips = ` This is the ${mark.name} threshold.`;
  else if (rule.action !== 'allow') {
    flips = ` Against the ${mark.name} ${score(mark.threshold)}, ${count(now.flipped)} decisions ` +
      `${rule.shadow ? 'would flip, did the rule act' : 'flip'}; all other rules stay as they are.`;
  }
  return `At ${score(grid[index])}: ${judged}${flips}`;
}

let drawing = 0, saying = 0;

function moveTo(index) {
  state.index = index;
  const threshold = score(grid[index]);
  byId('slider').value = String(index);
  byId('slider').setAttribute('aria-valuetext', threshold);
  byId('threshold').value = threshold;
  byId('figures').replaceChildren(...figures());
  for (const row of document.querySelectorAll('#samples tbody tr')) {
    const fires = row.sorts[0] >= grid[index];
    row.cells[1].textContent = fires ? 'fires' : 'does not';
    row.cells[1].className = fires ? 'fires' : '';
    row.sorts[1] = row.cells[1].textContent;
  }
  cancelAnimationFrame(drawing);
  drawing = requestAnimationFrame(() => plots.move(index));
  clearTimeout(saying); // read out once it rests
  saying = setTimeout(() => { byId('said').textContent = sentence(); }, 250);
}

function showSamples(rule) {
  const truths = {'1': 'in the category', '0': 'not in it', '-1': 'unknown'};
  const table = {
    title: 'Texts around the thresholds', note: 'The nearest on both sides; the slider says on which the rule fires.',
    columns: [{name: 'score', kind: 'score'}, {name: 'rule', kind: 'text'}, {name: 'label', kind: 'text'},
      {name: 'id', kind: 'text'}, {name: 'text', kind: 'text'}],
    rows: rule.samples.map(sample => [sample.score, '', truths[sample.truth], sample.id, sample.text]),
  };
  byId('samples').replaceChildren(...(table.rows.length ? [makeTable(table, 'h3', chooser)] : []));
  document.querySelectorAll('#samples td.text').forEach((cell, i) => {
    if (rule.samples[i].language !== 'other') cell.lang = rule.samples[i].language;
  });
}

function choose(id) {
  const rule = rules.get(id);
  state.curves = new Curves(rule);
  state.from = nearest(grid, rule.marks[0].threshold);
  const shadow = rule.shadow ? ', in shadow' : '';
  const unknown = rule.unknown ? `; ${count(rule.unknown)} records unknown to it, left out` : '';
  byId('about').textContent = `${rule.category}, ${rule.direction}, ${rule.action}${shadow}` +
    (rule.positives + rule.negatives ? unknown : '');
  byId('marks').replaceChildren(...rule.marks.map(mark => {
    const button = element('button', {type: 'button'}, `${mark.name} ${score(mark.threshold)}`);
    button.addEventListener('click', () => moveTo(nearest(grid, mark.threshold)));
    return button;
  }));
  byId('rule-slices').replaceChildren(...(rule.slices ? [makeTable(rule.slices, 'h3', chooser)] : []));
  showSamples(rule);
  const start = nearest(grid, (rule.marks[1] ?? rule.marks[0]).threshold);
  plots.show(state.curves, start, byId('zoom').checked);
  moveTo(start);
}

function worth(rule) {
  return 2 * (rule.marks.length > 1) + (rule.positives > 0 && rule.negatives > 0);
}

function begin() {
  showHead();
  byId('slider').max = String(grid.length - 1);
  byId('rule').append(...report.rules.map(rule => element('option', {value: rule.id}, rule.id)));
  byId('rule').addEventListener('change', event => choose(event.target.value));
  byId('slider').addEventListener('input', event => moveTo(Number(event.target.value)));
  byId('threshold').addEventListener('change', event => {
    const value = event.target.valueAsNumber;
    moveTo(Number.isNaN(value) ? state.index : nearest(grid, value));
  });
  byId('zoom').addEventListener('change', event => plots.zoom(event.target.checked, state.index));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    plots.show(state.curves, state.index, byId('zoom').checked);
  });
  // At first sight a rule that is to change is worth most, then one that can be judged.
  const [first] = [...report.rules].sort((a, b) => worth(b) - worth(a));
  byId('rule').value = first.id;
  choose(first.id);
}

begin();
