'use strict';
// Elements, numbers and sortable tables. Whatever comes from records is set as text, never as markup.

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const rate = value => value === null || Number.isNaN(value) ? '–' : value.toFixed(3);
const count = value => value === null ? '–' : value.toLocaleString('en');
const score = value => value === null ? '–' : String(Number(value.toPrecision(6)));

// Columns that need room.
const WIDE = {text: 'text', 'left alone': 'long'};

// A cell as {sorts: what it is sorted by, shown: what stands in it}; an estimate brings its interval.
function cellOf(value, kind) {
  if (kind === 'rate') {
    const estimate = value !== null && typeof value === 'object' ? value : {value, low: null, high: null};
    const shown = [rate(estimate.value)];
    if (estimate.low !== null) {
      shown.push(element('span', {class: 'interval'}, `${rate(estimate.low)}–${rate(estimate.high)}`));
    }
    return {sorts: estimate.value, shown};
  }
  if (kind === 'count') return {sorts: value, shown: [count(value)]};
  if (kind === 'score') return {sorts: value, shown: [score(value)]};
  return {sorts: value, shown: [value ?? '']};
}

function compare(a, b) {
  if (a === null || b === null) return a === b ? 0 : null;
  return typeof a === 'number' ? a - b : a.localeCompare(b, 'en', {numeric: true});
}

// Sorts the rows by a column; what is not defined stays last either way.
function sortRows(body, column, descending) {
  const rows = [...body.rows];
  rows.sort((a, b) => {
    const [x, y] = [a.sorts[column], b.sorts[column]];
    const order = compare(x, y);
    return order === null ? (x === null ? 1 : -1) : descending ? -order : order;
  });
  body.append(...rows);
}

function headCell(column, index, body, ranged) {
  const button = element('button', {type: 'button'}, column.name);
  const cell = element('th', {scope: 'col', class: ranged(column) ? 'number' : ''}, button);
  button.addEventListener('click', () => {
    // Numbers begin with the largest.
    const was = cell.getAttribute('aria-sort');
    const descending = was === null ? ranged(column) : was === 'ascending';
    for (const other of cell.parentElement.cells) other.removeAttribute('aria-sort');
    cell.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
    sortRows(body, index, descending);
  });
  return cell;
}

// A table under its heading; onRule is called with the id of a rule that is chosen in it.
function makeTable(table, level, onRule) {
  const ranged = column => ['count', 'rate', 'score'].includes(column.kind);
  const body = element('tbody');
  for (const row of table.rows) {
    const line = element('tr');
    line.sorts = [];
    table.columns.forEach((column, index) => {
      const {sorts, shown} = cellOf(row[index], column.kind);
      const tag = index ? 'td' : 'th';
      const cell = element(tag, {class: ranged(column) ? 'number' : WIDE[column.name] ?? ''});
      if (!index) cell.scope = 'row';
      if (column.name === 'text') cell.dir = 'auto';
      if (column.kind === 'rule' && onRule(row[index])) {
        const button = element('button', {type: 'button', class: 'link'}, ...shown);
        button.addEventListener('click', () => onRule(row[index])());
        cell.append(button);
      } else {
        cell.append(...shown);
      }
      line.sorts.push(sorts);
      line.append(cell);
    });
    body.append(line);
  }
  const head = element('tr', {}, ...table.columns.map((column, index) => headCell(column, index, body, ranged)));
  const out = element('div', {class: 'table'}, element(level, {}, table.title));
  if (table.note) out.append(element('p', {class: 'note'}, table.note));
  const inner = element('table', {'aria-label': table.title}, element('thead', {}, head), body);
  // What scrolls can be reached, and so scrolled, with the keyboard.
  out.append(element('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': table.title}, inner));
  return out;
}
