// node-smpp as an SMSC: says its port, answers submit_sm with ids in hex and sends receipts with ids in decimal.
// Each line in is one PDU to send to every session.
'use strict';
const smpp = require('smpp');
const { describe, say, fields, lines } = require('./lines.js');

const sessions = new Set();
let counter = 1000;

const server = smpp.createServer((session) => {
  sessions.add(session);
  session.on('close', () => {
    sessions.delete(session);
    say('close');
  });
  session.on('error', (error) => say('error', { text: String(error) }));
  for (const kind of ['bind_transceiver', 'bind_transmitter', 'bind_receiver']) {
    session.on(kind, (pdu) => {
      const good = pdu.password === 'secret';
      say(kind, { system_id: pdu.system_id, interface_version: pdu.interface_version });
      session.send(pdu.response({ command_status: good ? 0 : smpp.ESME_RINVPASWD, system_id: 'node' }));
    });
  }
  session.on('enquire_link', (pdu) => {
    say('enquire_link');
    session.send(pdu.response());
  });
  session.on('unbind', (pdu) => {
    say('unbind');
    session.send(pdu.response(), () => session.close());
  });
  session.on('submit_sm', (pdu) => {
    const number = ++counter;
    say('submit_sm', describe(pdu));
    session.send(pdu.response({ message_id: number.toString(16) }));
    if (pdu.registered_delivery & 1) {
      session.deliver_sm(
        {
          source_addr: pdu.destination_addr,
          destination_addr: pdu.source_addr,
          esm_class: smpp.ESM_CLASS.MC_DELIVERY_RECEIPT,
          short_message:
            `id:${number} sub:001 dlvrd:001 submit date:2605282026 done date:2605282027 stat:DELIVRD err:000 text:`,
        },
        (answer) => say('deliver_sm_resp', describe(answer)),
      );
    }
  });
});
server.listen(0, '127.0.0.1', () => say('listening', { port: server.address().port }));

lines((command) => {
  for (const session of sessions) {
    session[command.do](fields(command.fields || {}), (answer) => {
      say(answer.command, describe(answer));
      if (answer.command === 'unbind_resp') session.close();
    });
  }
});
