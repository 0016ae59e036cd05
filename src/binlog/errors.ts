import { defineErrors, isSwError, type ErrorMaker } from '../base/errors.ts'
import { BadValue, Truncated } from './row-sink.ts'
import type { Coordinates } from './source.ts'

const coordinates = 'at {file}:{offset} (group {gtid})'

/**
 * The room's errors. `at` places are filled by the group decoder: an error thrown inside an event's decoder gets the event's coordinates
 * by `withCoordinates` in `group-decoder.ts`.
 */
export const binlogErrors = defineErrors('BINLOG', {
  connectionSilent: {
    number: 1,
    class: 'transient',
    what: 'the binlog connection to {server} brought neither event nor heartbeat for {silentMs} ms (heartbeat every {heartbeatMs} ms)',
    why: 'the network or the server stopped answering without closing the connection',
    fix: 'nothing: the stream connects again from its stored position; look at the network to {server} if it repeats',
  },
  connectionLost: {
    number: 2,
    class: 'transient',
    what: 'the binlog connection to {server} was lost: {reason}',
    why: 'the server was stopped, killed the dump thread, or the network failed',
    fix: 'nothing: the stream connects again from its stored position',
  },
  dumpRefused: {
    number: 3,
    class: 'fatal',
    what: 'the server {server} refuses to send its binlog: {reason} (errno {errno})',
    why: 'the binlog is off, the account lacks REPLICATION SLAVE, or the server can not send what was asked',
    fix: 'grant REPLICATION SLAVE (MariaDB: and BINLOG MONITOR) to the account, check that log_bin is ON, then start the workflow again',
  },
  positionPurged: {
    number: 4,
    class: 'fatal',
    what: 'the server {server} no longer has the binlog that follows our position {position}: {reason}',
    why: 'the binlog was purged, or the server was replaced by one that lacks these transactions',
    fix: 'restore the missing binlog files, or cancel the workflow and create it anew; raise binlog_expire_logs_seconds first',
  },
  truncatedEvent: {
    number: 5,
    class: 'fatal',
    what: `an event ends in the middle of a value: {part}, ${coordinates}`,
    why: 'the binlog is damaged, or the event has a form that this version does not know',
    fix: 'look at the event with mysqlbinlog/mariadb-binlog at {file}:{offset}; report it with the server version',
  },
  unknownEvent: {
    number: 6,
    class: 'fatal',
    what: `an event of type {type} can not be decoded, ${coordinates}`,
    why: 'the server writes an event that this version does not know, and skipping it could lose rows',
    fix: 'look at the event with mysqlbinlog/mariadb-binlog at {file}:{offset}; report it with the server version',
  },
  badChecksum: {
    number: 7,
    class: 'fatal',
    what: `an event's CRC32 is wrong, ${coordinates}`,
    why: 'the binlog file is damaged or the bytes changed on the way',
    fix: 'check the file with mysqlbinlog --verify-binlog-checksum; if it is sound, start the workflow again: it resumes before this event',
  },
  partialRowImage: {
    number: 8,
    class: 'fatal',
    what: `a row event of {table} lacks columns, ${coordinates}`,
    why: 'binlog_row_image was not FULL in the session that wrote it, so the unchanged columns are unknown',
    fix: 'SET GLOBAL binlog_row_image=FULL, let the writing sessions reconnect, then cancel and create the workflow anew (or copy {table} again)',
  },
  partialUpdate: {
    number: 9,
    class: 'fatal',
    what: `an event holds a partial JSON update, ${coordinates}`,
    why: "binlog_row_value_options=PARTIAL_JSON was set in the session that wrote it; the new value can't be known from it",
    fix: "SET GLOBAL binlog_row_value_options='', let the writing sessions reconnect, then cancel and create the workflow anew",
  },
  incident: {
    number: 10,
    class: 'fatal',
    what: `the server logged an incident: {message}, ${coordinates}`,
    why: 'the server could not log some change: the binlog has a hole here',
    fix: 'cancel the workflow and create it anew, or repair with vdiff --repair once it stands past the incident',
  },
  encrypted: {
    number: 11,
    class: 'fatal',
    what: `the binlog is sent encrypted, ${coordinates}`,
    why: 'the server encrypts its binlog and logs no checksums: whether it decrypted what it sends could not be told',
    fix: 'set binlog_checksum=CRC32 on the server',
  },
  unknownColumnType: {
    number: 12,
    class: 'fatal',
    what: `column {column} of {table} has a type that can not be decoded (type byte {type}, {definition}), ${coordinates}`,
    why: 'this version does not know how its bytes read',
    fix: 'leave the table out of the workflow, or change the column; report the type with the server version',
  },
  definitionNeeded: {
    number: 13,
    class: 'fatal',
    what: `{table} can not be decoded without its definition ({lacking} of column {column} is not in the binlog), ${coordinates}`,
    why: 'the server logs too little metadata with its rows, and nobody gave the definition',
    fix: 'SET GLOBAL binlog_row_metadata=FULL, or report this: the stream should have read the definition',
  },
  definitionMismatch: {
    number: 14,
    class: 'fatal',
    what: `{table} has another definition in the binlog than the one known: {difference}, ${coordinates}`,
    why: 'the table was altered, or its definition was read at another time than this event',
    fix: 'if the table was altered, cancel the workflow and create it anew; else start the workflow again',
  },
  unknownTableId: {
    number: 15,
    class: 'fatal',
    what: `a row event names table id {tableId} that no table map of its group describes, ${coordinates}`,
    why: 'the binlog is damaged, or reading began in the middle of a group',
    fix: 'look at the event with mysqlbinlog/mariadb-binlog at {file}:{offset}; report it with the server version',
  },
  outOfPlace: {
    number: 16,
    class: 'fatal',
    what: `{event} does not belong {place}, ${coordinates}`,
    why: 'the order of events is none that this version knows, so the bounds of transactions are uncertain',
    fix: 'look at the events with mysqlbinlog/mariadb-binlog before {file}:{offset}; report it with the server version',
  },
  rolledBackRows: {
    number: 17,
    class: 'fatal',
    what: `a group rolls back after rows were logged ({statement}), ${coordinates}`,
    why: 'it changed a table without transactions (MyISAM, Aria, MEMORY), of which rows may stand; or a transaction of many megabytes with a temporary table in it went back to a savepoint: which rows stand can not be told',
    fix: 'convert such tables to InnoDB, make temporary tables outside of such transactions; then cancel the workflow and create it anew',
  },
  badValue: {
    number: 18,
    class: 'fatal',
    what: `a value of column {column} of {table} can not be decoded: {reason}, ${coordinates}`,
    why: 'the bytes are none that the column type allows',
    fix: 'look at the event with mysqlbinlog/mariadb-binlog at {file}:{offset}; report it with the server version',
  },
  badEvent: {
    number: 19,
    class: 'fatal',
    what: `an event can not be decoded: {reason}, ${coordinates}`,
    why: 'the binlog is damaged, or the event has a form (compression, metadata) that this version does not know',
    fix: 'look at the event with mysqlbinlog/mariadb-binlog at {file}:{offset}; report it with the server version',
  },
  tailClosed: {
    number: 20,
    class: 'transient',
    what: 'the tail was closed',
    why: 'whoever owned it closed it',
    fix: 'nothing',
  },
  badPosition: {
    number: 21,
    class: 'user',
    what: 'not a binlog position of {flavour}: {position}',
    why: 'positions are made by the tail and by the position reader; this text is neither, or belongs to the other kind of server',
    fix: 'read the position again; never edit it',
  },
  binlogOff: {
    number: 22,
    class: 'user',
    what: 'the server {server} writes no binlog',
    why: 'log_bin is OFF',
    fix: 'start the server with --log-bin and --binlog-format=ROW',
  },
  otherServer: {
    number: 23,
    class: 'fatal',
    what: 'the position {position} belongs to another server than {server}',
    why: 'a file and offset mean nothing on another server; GTIDs are off here',
    fix: 'turn gtid_mode on, or create the workflow anew against the server that is there now',
  },
  controlSchemaBroken: {
    number: 24,
    class: 'fatal',
    what: 'the control schema {schema} on {server} is not as this version makes it: {difference}',
    why: 'its tables were changed or dropped, or made by another version',
    fix: 'stop all workflows on this server, drop the schema, and start them again',
  },
  unsupportedColumn: {
    number: 25,
    class: 'user',
    what: 'column {column} has type {definition}, which can not be moved',
    why: 'its values can not be read the same way from the binlog and from a SELECT',
    fix: 'change the column ({hint}), or leave its table out',
  },
})

const makers = new Map<string, ErrorMaker>(Object.values(binlogErrors).map((make) => [make().code, make]))

/** Gives an error from inside an event's decoder the coordinates it could not know. Errors of other rooms pass unchanged. */
export function atCoordinates(error: unknown, at: Coordinates, gtid: string): unknown {
  const place = { file: at.file, offset: at.offset, gtid }
  if (error instanceof Truncated) return binlogErrors.truncatedEvent({ part: error.message, ...place }, error)
  if (error instanceof BadValue) return binlogErrors.badEvent({ reason: error.message, ...place }, error)
  if (!isSwError(error) || 'file' in error.params) return error
  return makers.get(error.code)?.({ ...error.params, ...place }, error.cause) ?? error
}
