// From counts between thresholds to figures at every threshold.

// Entry i: how many records score the grid's threshold i or more.
function fromHere(counts) {
  const out = new Array(counts.length);
  let sum = 0;
  for (let i = counts.length - 1; i >= 0; i--) out[i] = sum += counts[i];
  return out;
}

class Curves {
  constructor(rule) {
    this.rule = rule;
    for (const [name, counts] of Object.entries(rule.counts)) this[name] = fromHere(counts);
  }

  // What the rule does at the grid's threshold i, with decisions compared to those at threshold `from`.
  at(i, from) {
    const {rule} = this;
    const found = this.positives[i], alarms = this.negatives[i];
    const figures = {
      found, alarms,
      fired: found + alarms + this.unknown[i],
      precision: found / (found + alarms),
      recall: found / rule.positives,
      fpr: alarms / rule.negatives,
      f1: 2 * found / (2 * found + alarms + rule.positives - found),
      flipped: Math.abs(this.decisive[i] - this.decisive[from]),
    };
    if (rule.whole) {
      const wholeFound = rule.whole.found + this.alone_positives[i];
      const wholeAlarms = rule.whole.alarms + this.alone_negatives[i];
      figures.wholeRecall = wholeFound / rule.whole.positives;
      figures.wholeFpr = wholeAlarms / rule.whole.negatives;
    }
    return figures;
  }
}

// The grid's threshold that is nearest to a number.
function nearest(grid, value) {
  let best = 0;
  for (let i = 1; i < grid.length; i++) if (Math.abs(grid[i] - value) < Math.abs(grid[best] - value)) best = i;
  return best;
}

// Counts in equal parts of 0..1; every border is a threshold of the grid.
function histogram(grid, counts, parts) {
  const out = new Array(parts).fill(0);
  grid.forEach((threshold, i) => { out[Math.min(Math.floor(threshold * parts + 1e-9), parts - 1)] += counts[i]; });
  return out;
}
