/**
 * This room's errors and what they mean to a caller. What a server says becomes a `ServerError`; a connection that breaks
 * becomes a `ConnectionLost`, which says whether the command may have reached the server.
 */
import { defineErrors, SwError, type ErrorClass } from '../base/errors.ts'
import { armedSchemas } from './our-schema.ts'

const specs = {
  server: {
    number: 1,
    class: 'user',
    what: 'the server {server} answered {errno} ({sqlState}): {message}',
    why: 'the server refused or failed the statement; the errno is its own',
    fix: 'look the errno up in the manual of the server; the statement stands in the log',
  },
  lostNothingSent: {
    number: 2,
    class: 'transient',
    what: 'the connection to {server} is gone; the statement was not sent',
    why: 'the server closed the connection, was stopped, or the network broke before this statement',
    fix: 'try again; check that the server at {server} runs',
  },
  lostOutcomeUnknown: {
    number: 3,
    class: 'unknown',
    what: 'the connection to {server} broke while a statement was running; whether it took effect is unknown',
    why: 'the statement had been sent and no answer came',
    fix: 'read the data before deciding whether to repeat it',
  },
  connectFailed: {
    number: 4,
    class: 'transient',
    what: 'cannot connect to {server}: {reason}',
    why: 'nothing accepted the connection, or it broke in the handshake',
    fix: 'check that the server runs, its address, bind-address and firewalls',
  },
  connectTimeout: {
    number: 5,
    class: 'transient',
    what: 'no answer from {server} within {timeoutMs} ms',
    why: 'the server is overloaded or unreachable, or something other than MySQL listens there',
    fix: 'check the address and the load of the server',
  },
  noTls: {
    number: 6,
    class: 'user',
    what: '{server} offers no TLS, which is required',
    why: 'the server was started without a certificate, or something between strips TLS',
    fix: 'configure TLS on the server, or set tls to off or preferred where the network is trusted',
  },
  authPlugin: {
    number: 7,
    class: 'user',
    what: '{server} wants the authentication plugin {plugin} for {user}, which is not supported',
    why: 'supported are mysql_native_password and caching_sha2_password',
    fix: 'create the account with one of these plugins',
  },
  authNeedsTls: {
    number: 8,
    class: 'user',
    what: '{server} wants the password of {user}, and the connection is neither TLS nor may its public key be asked for',
    why: 'caching_sha2_password sends the password itself the first time, which needs encryption',
    fix: 'use TLS, or allow public key retrieval',
  },
  unexpectedAnswer: {
    number: 9,
    class: 'fatal',
    what: '{server} answered {got} where {wanted} was expected',
    why: 'a bug of ours, or a server that speaks another dialect of the protocol',
    fix: 'report it with the version of the server',
  },
  localInfileUnasked: {
    number: 10,
    class: 'user',
    what: '{server} asked for the local file {file}, which this statement did not offer',
    why: 'LOAD DATA LOCAL is only answered where the program itself supplies the data',
    fix: 'use loadData',
  },
  sourceFailed: {
    number: 11,
    class: 'unknown',
    what: 'the data of a LOAD DATA ended with an error: {reason}',
    why: 'what supplied the rows failed; the server keeps the rows it had got, if they are not rolled back',
    fix: 'roll back, or remove what was loaded, and load again',
  },
  flavourUnsupported: {
    number: 14,
    class: 'user',
    what: '{server} runs {version}, which is too old',
    why: 'MySQL from 8.0 and MariaDB from 10.5 are supported; older ones lack what moves rows safely',
    fix: 'upgrade the server',
  },
  connectionClosed: {
    number: 15,
    class: 'transient',
    what: 'the connection to {server} was closed by us; the statement was not sent',
    why: 'it was used after close',
    fix: 'open another connection',
  },
  aborted: {
    number: 16,
    class: 'transient',
    what: 'connecting to {server} was aborted',
    why: 'whoever wanted the connection does not want it any more',
    fix: 'nothing',
  },
  unknownTable: {
    number: 17,
    class: 'user',
    what: 'there is no table {schema}.{table} on {server}',
    why: 'it was never made, or dropped, or the account may not see it',
    fix: 'check the name and the grants',
  },
  unknownSchema: {
    number: 18,
    class: 'user',
    what: 'there is no schema {schema} on {server}',
    why: 'it was never made, or dropped, or the account may not see it',
    fix: 'check the name and the grants',
  },
  anotherServer: {
    number: 19,
    class: 'transient',
    what: 'another server answers at {server}: {found}, and {wanted} was attached',
    why: 'a failover, a restore or a port given to somebody else put it there; it may lack what the first has acknowledged, so nothing is sent to it',
    fix: 'shardwright shard set-primary if it is a replica that took over; shardwright server accept, with its id of `server list`, if it has the same data; else bring the first one back',
  },
} as const

export const mysqlErrors = defineErrors('MYSQL', specs)

/** Server error numbers that code of ours decides by. */
export const errno = {
  /** Made or altered since the transaction's snapshot. */
  tableDefinitionChanged: 1412,
  parse: 1064,
  duplicateKeyName: 1061,
  duplicateEntry: 1062,
  badDatabase: 1049,
  databaseExists: 1007,
  tableExists: 1050,
  unknownCollation: 1273,
  noSuchTable: 1146,
  duplicateColumn: 1060,
  accessDenied: 1045,
  databaseAccessDenied: 1044,
  tooManyConnections: 1040,
  serverShutdown: 1053,
  unknownThread: 1094,
  lockWaitTimeout: 1205,
  deadlock: 1213,
  optionPreventsStatement: 1290,
  queryInterrupted: 1317,
  connectionKilled: 1927, // MariaDB
  aborting: 1152,
  lockedTables: 1192,
  tableNotLocked: 1100,
  tableNotLockedForWrite: 1099,
  accountLockedMysql: 3118,
  accountLockedMariadb: 4151,
  schemaReadOnly: 3989,
  queryTimeout: 3024,
  statementTimeoutMariadb: 1969,
  unknownStatement: 1243,
  readOnlyMode: 1836,
  readOnlyTransaction: 1792,
  packetTooLarge: 1153,
  gtidPurged: 1236,
  ioErrorReadingMaster: 1236,
} as const

/** What an errno means to somebody deciding what to do next. */
export type ServerErrorKind =
  | 'deadlock' // the transaction was rolled back: repeat it
  | 'lockWait' // the statement was rolled back, the transaction stands
  | 'readOnly' // the fence: refused by read_only
  | 'accountLocked' // the fence: at connect
  | 'interrupted' // KILL QUERY or a time limit
  | 'killed' // the connection ends: KILL or shutdown
  | 'tooManyConnections'
  | 'duplicate'
  | 'access'
  | 'other'

export function serverErrorKind(number: number, message = ''): ServerErrorKind {
  switch (number) {
    case errno.deadlock:
    case 1206: // no room for more locks
    case 1614: // XA_RBDEADLOCK
    case 1020: // MariaDB: record has changed since last read (snapshot isolation)
      return 'deadlock'
    case errno.lockWaitTimeout:
    case 3572: // NOWAIT
      return 'lockWait'
    case errno.optionPreventsStatement:
      return /read[-_]only/i.test(message) ? 'readOnly' : 'other'
    case errno.readOnlyMode:
    case errno.schemaReadOnly:
      return 'readOnly'
    case errno.noSuchTable:
      // Triggers that close a schema read it; a server that opens it for one may not find it for a moment (*seen* on MariaDB 10.11, two of three runs of all tests on a busy machine). Nothing was done.
      return message.includes(`'${armedSchemas}'`) ? 'readOnly' : 'other'
    case errno.accountLockedMysql:
    case errno.accountLockedMariadb:
      return 'accountLocked'
    case errno.queryInterrupted:
    case errno.queryTimeout:
    case errno.statementTimeoutMariadb:
      return 'interrupted'
    case errno.connectionKilled:
    case errno.serverShutdown:
    case errno.aborting:
    case 4031: // MySQL: disconnected by the server because of inactivity
      return 'killed'
    case errno.tooManyConnections:
    case 1203: // max_user_connections
      return 'tooManyConnections'
    case errno.duplicateEntry:
    case 1586:
      return 'duplicate'
    case errno.accessDenied:
    case errno.databaseAccessDenied:
    case 1142:
    case 1143:
    case 1227:
    case 1698:
      return 'access'
    default:
      return 'other'
  }
}

function classOf(kind: ServerErrorKind): ErrorClass {
  switch (kind) {
    case 'deadlock':
    case 'lockWait':
    case 'readOnly':
    case 'accountLocked':
    case 'tooManyConnections':
      return 'transient'
    default:
      return 'user'
  }
}

/** The server said no. The connection stays usable unless `kind` is `killed`. */
export class ServerError extends SwError {
  override name = 'ServerError'
  readonly errno: number
  readonly sqlState: string
  /** The server's own words; `message` has ours around them. */
  readonly serverMessage: string
  readonly kind: ServerErrorKind

  constructor(number: number, sqlState: string, serverMessage: string, server = '') {
    const kind = serverErrorKind(number, serverMessage)
    super('SW-MYSQL-001', { ...specs.server, class: classOf(kind) }, { server, errno: number, sqlState, message: serverMessage })
    this.errno = number
    this.sqlState = sqlState
    this.serverMessage = serverMessage
    this.kind = kind
  }
}

/** The connection broke. `nothingSent`: the server never saw the command. `outcomeUnknown`: it may have, and may run it yet. */
export class ConnectionLost extends SwError {
  override name = 'ConnectionLost'
  readonly outcome: 'nothingSent' | 'outcomeUnknown'

  constructor(outcome: 'nothingSent' | 'outcomeUnknown', server: string, cause?: unknown) {
    if (outcome === 'nothingSent') super('SW-MYSQL-002', specs.lostNothingSent, { server }, cause)
    else super('SW-MYSQL-003', specs.lostOutcomeUnknown, { server }, cause)
    this.outcome = outcome
  }
}

export function isServerError(error: unknown, ...numbers: number[]): error is ServerError {
  return error instanceof ServerError && (numbers.length === 0 || numbers.includes(error.errno))
}

export function isConnectionLost(error: unknown): error is ConnectionLost {
  return error instanceof ConnectionLost
}

/** True when the work was certainly not done, so doing it again (elsewhere, later) is safe; a transaction from its start. */
export function isSafeToRepeat(error: unknown): boolean {
  if (error instanceof ConnectionLost) return error.outcome === 'nothingSent'
  if (error instanceof ServerError) return error.class === 'transient'
  return error instanceof SwError && error.class === 'transient'
}
