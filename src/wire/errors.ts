import { defineErrors } from '../base/errors.ts'

export const wireErrors = defineErrors('WIRE', {
  malformed: {
    number: 1,
    class: 'fatal',
    what: 'malformed MySQL packet: {detail}',
    why: 'the peer sent bytes that are not the MySQL protocol as agreed in the handshake, or they were damaged on the way',
    fix: 'check that the address is that of a MySQL or MariaDB server (or client), and whether a proxy stands between',
  },
  outOfOrder: {
    number: 2,
    class: 'fatal',
    what: 'MySQL packet out of order: expected sequence {expected}, got {got}',
    why: 'the two sides disagree on which message comes next; the connection cannot be used any more',
    fix: 'connect again; if it repeats, report the server and its version',
  },
  packetTooLarge: {
    number: 3,
    class: 'user',
    what: 'packet of more than {maxBytes} bytes',
    why: 'a message may be no larger than the configured bound, as it is held in memory whole',
    fix: 'send smaller statements or rows, or raise the bound (max_allowed_packet on servers)',
  },
})
