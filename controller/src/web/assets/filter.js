// The language in which runs are chosen: `val_loss < 0.3 and optimizer = adam and not state = failed`.
//
// expression = all ("or" all)*      all = one ("and"? one)*      one = "not" one | "(" expression ")" | name operator value | word
// A word alone is searched for in everything that a run has. Names and values with spaces are quoted.

const TOKEN = /\s*(?:"([^"]*)"|(<=|>=|!=|=|<|>|~|\(|\))|([^\s"()<>=!~]+))/y;

function tokens(text) {
  const found = [];
  TOKEN.lastIndex = 0;
  while (text.slice(TOKEN.lastIndex).trim()) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (!match) throw new Error(`at ${at + 1}: "${text.slice(at).trim().slice(0, 12)}" is not understood`);
    found.push(match[1] !== undefined ? { text: match[1], quoted: true, at } : match[2] ? { operator: match[2], text: match[2], at } : { text: match[3], at });
  }
  return found;
}

const OPERATORS = {
  "=": (a, b) => a === b,
  "!=": (a, b) => a !== b,
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
};

function comparison(name, operator, value, lookup) {
  const wanted = value.quoted ? NaN : Number(value.text);
  const known = lookup(name.text);
  if (!known) throw new Error(`at ${name.at + 1}: no run has "${name.text}"`);
  if (operator.text === "~") {
    const part = value.text.toLowerCase();
    return (run) => String(known(run) ?? "").toLowerCase().includes(part);
  }
  const compare = OPERATORS[operator.text];
  if (!compare) throw new Error(`at ${operator.at + 1}: "${operator.text}" compares nothing`);
  return (run) => {
    const own = known(run);
    if (own === undefined || own === null) return operator.text === "!=";
    if (typeof own === "number" && !Number.isNaN(wanted)) return compare(own, wanted);
    return compare(String(typeof own === "object" ? JSON.stringify(own) : own), value.text);
  };
}

// Returns what tells whether a run is chosen. `lookup` gives what reads a named thing from a run, or nothing.
export function parse(text, lookup) {
  const list = tokens(text);
  let next = 0;
  const is = (word) => list[next] && !list[next].quoted && list[next].text.toLowerCase() === word;
  const one = () => {
    const token = list[next];
    if (!token) throw new Error("at the end: something is missing");
    if (is("not")) {
      next += 1;
      const inner = one();
      return (run) => !inner(run);
    }
    if (is("(")) {
      next += 1;
      const inner = any();
      if (!is(")")) throw new Error(`at ${token.at + 1}: this parenthesis is not closed`);
      next += 1;
      return inner;
    }
    if (token.operator) throw new Error(`at ${token.at + 1}: "${token.text}" needs a name on its left`);
    next += 1;
    const operator = list[next];
    if (operator?.operator && operator.text !== "(" && operator.text !== ")") {
      const value = list[next + 1];
      if (!value || value.operator) throw new Error(`at ${operator.at + 1}: "${operator.text}" needs a value on its right`);
      next += 2;
      return comparison(token, operator, value, lookup);
    }
    const part = token.text.toLowerCase();
    return (run) => JSON.stringify(run).toLowerCase().includes(part);
  };
  const all = () => {
    const parts = [one()];
    while (list[next] && !is("or") && !is(")")) {
      if (is("and")) next += 1;
      parts.push(one());
    }
    return (run) => parts.every((part) => part(run));
  };
  const any = () => {
    const parts = [all()];
    while (is("or")) {
      next += 1;
      parts.push(all());
    }
    return (run) => parts.some((part) => part(run));
  };
  if (!list.length) return () => true;
  const chosen = any();
  if (list[next]) throw new Error(`at ${list[next].at + 1}: "${list[next].text}" is too much`);
  return chosen;
}
