// node-smpp as an ESME: one JSON command a line in, one JSON event a line out. Arguments: port.
'use strict';
const smpp = require('smpp');
const { describe, say, fields, lines } = require('./lines.js');

const session = smpp.connect({ host: '127.0.0.1', port: Number(process.argv[2]) }, () => say('connected'));

session.on('deliver_sm', (pdu) => {
  say('deliver_sm', describe(pdu));
  session.send(pdu.response());
});
session.on('unbind', (pdu) => {
  say('unbind');
  session.send(pdu.response(), () => session.close());
});
session.on('close', () => {
  say('close');
  process.exit(0);
});
session.on('error', (error) => say('error', { text: String(error) }));

lines((command) => {
  session[command.do](fields(command.fields || {}), (answer) => say(answer.command, describe(answer)));
});
