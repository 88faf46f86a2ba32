// The table of calls: filter, sort, pages; and where the links of the matrix lead. No library, no request.
'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const PAGE = 100;
  const columns = data.columns;
  const total = columns.trial.length;
  const find = (id) => document.getElementById(id);
  const SIGNS = {host: '● H', srflx: '○ S', prflx: '◐ P', relay: '▲ R', nopath: '✕ -'};
  const OUTCOMES = {pass: '✓', fail: '✗', warning: '✗', inconclusive: '?'};
  const RELAY = data.paths.findIndex((path) => path.style === 'relay');
  const NO_PATH = data.paths.findIndex((path) => path.style === 'nopath');
  const DIRECT = data.reaches.indexOf('direct');

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  const duration = (ms) => {
    if (ms < 1) return `${Math.round(ms * 1000)} µs`;
    if (ms < 999.5) return `${Math.round(ms)} ms`;
    return `${Number((ms / 1000).toPrecision(3))} s`;
  };

  // Rows and what is asked of them

  const value = (row, parameter) => data.parameters[parameter].values[columns.parameters[parameter][row]] ?? '';
  const isOf = (row, group) => group.every(([parameter, number]) => columns.parameters[parameter][row] === number);
  const failing = data.groups.filter((_, number) => data.judged[number].some(([, outcome]) => outcome === 'fail'));
  const ONLY = {
    relay: (row) => columns.path[row] === RELAY,
    missed: (row) => columns.path[row] === RELAY && columns.possible[row] === DIRECT,
    none: (row) => columns.path[row] === NO_PATH,
    invalid: (row) => columns.invalid[row] === 1,
    fails: (row) => failing.some((group) => isOf(row, group)),
  };

  const texts = new Array(total);
  const textOf = (row) => {
    if (texts[row] === undefined) {
      const parts = ['', columns.trial[row], `trial=${columns.trial[row]}`, `repetition=${columns.repeat[row]}`];
      data.parameters.forEach((parameter, number) => parts.push(`${parameter.name}=${value(row, number)}`));
      const path = columns.path[row];
      if (path !== null) parts.push(`selected=${data.paths[path].word}`);
      parts.push(`possible=${data.reaches[columns.possible[row]]}`, `validated=${data.reaches[columns.validated[row]]}`);
      parts.push(`call=${columns.calls[columns.call[row]]}`, columns.notes[columns.note[row]], '');
      texts[row] = parts.join('\n').toLowerCase();
    }
    return texts[row];
  };
  // A word with "=" means a whole item (alice_nat=symmetric is not alice_nat=symmetric-address-restricted).
  const needles = (text) => text.toLowerCase().split(/\s+/).filter(Boolean)
    .map((word) => (/=./.test(word) ? `\n${word}\n` : word));

  const state = {page: 0, sort: null, descending: false, group: null, trial: null};
  let shown = [];

  const keyOf = {
    trial: (row) => row,
    repeat: (row) => columns.repeat[row],
    call: (row) => columns.call[row],
    selected: (row) => columns.path[row] ?? -1,
    possible: (row) => columns.possible[row],
    validated: (row) => columns.validated[row],
    setup: (row) => columns.setup[row] ?? Infinity,
    note: (row) => columns.notes[columns.note[row]],
  };
  const sortKey = (name) => (typeof name === 'number' ? (row) => columns.parameters[name][row] : keyOf[name]);

  const select = () => {
    const words = needles(find('filter').value);
    const only = ONLY[find('only').value];
    shown = [];
    for (let row = 0; row < total; row += 1) {
      if (state.group !== null && !isOf(row, data.groups[state.group])) continue;
      if (state.trial !== null && columns.trial[row] !== state.trial) continue;
      if (only && !only(row)) continue;
      if (words.length && !words.every((word) => textOf(row).includes(word))) continue;
      shown.push(row);
    }
    if (state.sort !== null) {
      const key = sortKey(state.sort);
      const sign = state.descending ? -1 : 1;
      const keys = new Array(total);
      for (const row of shown) keys[row] = key(row);
      shown.sort((a, b) => (keys[a] < keys[b] ? -sign : keys[a] > keys[b] ? sign : a - b));
    }
    state.page = 0;
    draw();
  };

  // The table

  const HEADS = [
    ['trial', 'Trial'],
    ...data.parameters.map((parameter, number) => [number, parameter.name]),
    ['repeat', 'Repetition'],
    ...(columns.calls.length > 1 ? [['call', 'Call']] : []),
    ['selected', 'Selected'], ['possible', 'Possible'], ['validated', 'Validated'], ['setup', 'Set-up'],
    ...(columns.notes.length > 1 ? [['note', 'What happened']] : []),
  ];
  const heads = new Map();

  const drawHead = () => {
    const row = element('tr');
    for (const [name, title] of HEADS) {
      const button = element('button', {type: 'button'}, title);
      const numeric = name === 'repeat' || name === 'setup';
      const head = element('th', {scope: 'col', ...(numeric ? {class: 'number'} : {})}, button);
      button.addEventListener('click', () => {
        state.descending = state.sort === name && !state.descending;
        state.sort = name;
        for (const [other, cell] of heads) {
          if (other === name) cell.setAttribute('aria-sort', state.descending ? 'descending' : 'ascending');
          else cell.removeAttribute('aria-sort');
        }
        select();
      });
      heads.set(name, head);
      row.append(head);
    }
    find('calls').tHead.replaceChildren(row);
  };

  const contents = {
    trial: (row) => element('a', {href: `#trial-${columns.trial[row]}`, class: 'trial'}, columns.trial[row]),
    repeat: (row) => String(columns.repeat[row]),
    call: (row) => columns.calls[columns.call[row]],
    selected: (row) => {
      const path = data.paths[columns.path[row]];
      if (!path || columns.invalid[row]) return columns.invalid[row] ? 'invalid' : '';
      const word = path.style === 'nopath' ? 'no path' : path.word;
      const star = ONLY.missed(row) ? ' ★' : '';
      return element('span', {class: `swatch p-${path.style}`}, `${SIGNS[path.style]} ${word}${star}`);
    },
    possible: (row) => data.reaches[columns.possible[row]],
    validated: (row) => data.reaches[columns.validated[row]],
    setup: (row) => (columns.setup[row] === null ? '' : duration(columns.setup[row])),
    note: (row) => columns.notes[columns.note[row]],
  };

  const draw = () => {
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    state.page = Math.min(Math.max(state.page, 0), pages - 1);
    const rows = shown.slice(state.page * PAGE, (state.page + 1) * PAGE).map((row) => {
      const line = element('tr', columns.trial[row] === state.trial ? {class: 'told'} : {});
      for (const [name] of HEADS) {
        const content = typeof name === 'number' ? value(row, name) : contents[name](row);
        line.append(element('td', name === 'repeat' || name === 'setup' ? {class: 'number'} : {}, content));
      }
      return line;
    });
    find('calls').tBodies[0].replaceChildren(...rows);
    const number = (count) => count.toLocaleString('en');
    find('count').textContent = shown.length === total
      ? `${number(total)} calls` : `${number(shown.length)} of ${number(total)} calls`;
    find('pages').hidden = pages === 1;
    find('page').textContent = `page ${state.page + 1} of ${pages}`;
    for (const button of find('pages').querySelectorAll('button')) {
      const back = button.dataset.go === 'first' || button.dataset.go === 'previous';
      button.disabled = back ? state.page === 0 : state.page === pages - 1;
    }
  };

  // Where links lead: #cell-7 to a cell's calls, #trial-KEY to one trial's

  const command = (text) => {
    const button = element('button', {type: 'button', class: 'copy'}, 'Copy');
    return element('span', {class: 'command'}, element('code', {tabindex: '0'}, text), button);
  };

  const commands = (key) => {
    const list = element('ul');
    list.append(element('li', {}, 'why it took that path: ', command(`callpath explain ${data.run} ${key}`)));
    list.append(element('li', {}, 'packet by packet: ', command(`callpath ladder ${data.run} ${key}`)));
    if (data.stories.includes(key)) {
      list.append(element('li', {}, element('a', {href: `#story-${key}`}, 'both are on this page')));
    }
    return list;
  };

  const count = (rows) => {
    const counts = new Map();
    for (const row of rows) {
      const path = columns.invalid[row] ? 'invalid' : contents.selected(row).textContent ?? 'no call';
      counts.set(path, (counts.get(path) ?? 0) + 1);
    }
    return [...counts].map(([path, many]) => `${path} ${many}`).join(', ');
  };

  const verdictList = (number) => element('ul', {}, ...data.judged[number].map(([expected, outcome, found]) =>
    element('li', {},
      element('span', {class: `mark ${outcome}`}, `${OUTCOMES[outcome]} ${outcome}`),
      ' ', element('code', {}, data.expected[expected]), ` ${found}`,
      data.whys[expected] ? element('span', {class: 'aside'}, ` (${data.whys[expected]})`) : '')));

  const close = () => {
    const button = element('button', {type: 'button'}, 'Show all calls again');
    button.addEventListener('click', () => {
      history.replaceState(null, '', '#trials');
      clear();
      find('filter').focus();
    });
    return element('p', {}, button);
  };

  const choose = (title, ...parts) => {
    find('cell').replaceChildren(element('h3', {}, title), ...parts, close());
    find('cell').hidden = false;
    select();
    find('trials').scrollIntoView();
    find('cell').focus({preventScroll: true});
  };

  const clear = () => {
    state.group = state.trial = null;
    find('cell').hidden = true;
    select();
  };

  const reset = () => {
    find('filter').value = find('only').value = '';
    state.group = state.trial = null;
  };

  const chooseGroup = (number) => {
    reset();
    state.group = number;
    const group = data.groups[number];
    const title = group.map(([name, at]) => `${data.parameters[name].name} ${data.parameters[name].values[at]}`);
    const rows = [...Array(total).keys()].filter((row) => isOf(row, group));
    const told = rows.find((row) => data.stories.includes(columns.trial[row])) ?? rows[0];
    choose(title.join(' × ') || 'All calls',
      element('p', {}, `Selected: ${count(rows) || 'no call'}.`), verdictList(number),
      ...(told === undefined ? [] : [
        element('p', {}, `One of its trials, ${columns.trial[told]} (repetition ${columns.repeat[told]}):`),
        commands(columns.trial[told])]));
  };

  const chooseTrial = (key) => {
    const rows = [...Array(total).keys()].filter((row) => columns.trial[row] === key);
    if (!rows.length) return;
    reset();
    state.trial = key;
    const values = data.parameters.map((parameter, number) => `${parameter.name} ${value(rows[0], number)}`);
    choose(`Trial ${key}`,
      element('p', {}, [...values, `repetition ${columns.repeat[rows[0]]}`].join(' × ')), commands(key));
  };

  const follow = () => {
    const [, kind, name] = /^#(cell|trial|story)-(.+)$/.exec(location.hash) ?? [];
    if (kind === 'cell' && data.groups[Number(name)]) chooseGroup(Number(name));
    else if (kind === 'trial') chooseTrial(name);
    else if (kind === 'story' && find(`story-${name}`)) {
      find(`story-${name}`).open = true;
      find(`story-${name}`).scrollIntoView();
    }
  };

  // Who listens

  find('filter').addEventListener('input', select);
  find('only').addEventListener('change', select);
  document.querySelector('.controls').addEventListener('submit', (event) => event.preventDefault());
  find('pages').addEventListener('click', (event) => {
    const last = Math.ceil(shown.length / PAGE) - 1;
    const to = {first: 0, previous: state.page - 1, next: state.page + 1, last}[event.target.dataset.go];
    if (to === undefined) return;
    state.page = to;
    draw();
  });
  document.addEventListener('click', (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (link && link.hash === location.hash) follow();  // the same link again: no hash changes
    if (!event.target.matches('.copy')) return;
    const code = event.target.previousElementSibling;
    getSelection().selectAllChildren(code);
    navigator.clipboard?.writeText(code.textContent).then(() => {
      event.target.textContent = 'Copied';
      setTimeout(() => { event.target.textContent = 'Copy'; }, 1500);
    }, () => {});
  });
  addEventListener('hashchange', follow);
  drawHead();
  select();
  follow();
})();
