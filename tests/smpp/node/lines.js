// JSON lines over stdin and stdout; bytes travel as {"hex": "..."}.
'use strict';

function say(event, more) {
  process.stdout.write(JSON.stringify({ event, ...more }) + '\n');
}

function plain(value) {
  if (Buffer.isBuffer(value)) return { hex: value.toString('hex') };
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === 'object' && !(value instanceof Date)) {
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]));
  }
  return value;
}

function describe(pdu) {
  return Object.fromEntries(Object.entries(pdu).map(([name, value]) => [name, plain(value)]));
}

function fields(value) {
  if (Array.isArray(value)) return value.map(fields);
  if (value && typeof value === 'object') {
    if (typeof value.hex === 'string') return Buffer.from(value.hex, 'hex');
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, fields(inner)]));
  }
  return value;
}

function lines(take) {
  let rest = '';
  process.stdin.setEncoding('utf8');
  process.stdin.on('data', (text) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop();
    for (const part of parts) take(JSON.parse(part));
  });
  process.stdin.on('end', () => process.exit(0));
}

module.exports = { describe, fields, lines, say };
