/** Capability flags (handshake) and server status flags (OK, EOF). Numbers as in MySQL's and MariaDB's protocol documentation. */

export const capability = {
  longPassword: 1, // MariaDB: CLIENT_MYSQL; unset means that MariaDB's extended capabilities follow
  foundRows: 1 << 1,
  longFlag: 1 << 2,
  connectWithDb: 1 << 3,
  noSchema: 1 << 4,
  compress: 1 << 5,
  odbc: 1 << 6,
  localFiles: 1 << 7,
  ignoreSpace: 1 << 8,
  protocol41: 1 << 9,
  interactive: 1 << 10,
  ssl: 1 << 11,
  ignoreSigpipe: 1 << 12,
  transactions: 1 << 13,
  reserved: 1 << 14,
  secureConnection: 1 << 15,
  multiStatements: 1 << 16,
  multiResults: 1 << 17,
  psMultiResults: 1 << 18,
  pluginAuth: 1 << 19,
  connectAttrs: 1 << 20,
  pluginAuthLenenc: 1 << 21,
  canHandleExpiredPasswords: 1 << 22,
  sessionTrack: 1 << 23,
  deprecateEof: 1 << 24,
  optionalResultsetMetadata: 1 << 25,
  zstdCompression: 1 << 26,
  queryAttributes: 1 << 27,
  multiFactorAuthentication: 1 << 28,
  sslVerifyServerCert: 1 << 30,
  rememberOptions: (1 << 31) >>> 0,
} as const

/** MariaDB's extended capabilities, bits 32 and up of its handshake; of these extendedMetadata and stmtBulkOperations are agreed upon. */
export const mariadbCapability = {
  progress: 1,
  comMulti: 1 << 1,
  stmtBulkOperations: 1 << 2,
  extendedMetadata: 1 << 3,
  cacheMetadata: 1 << 4,
  bulkUnitResults: 1 << 5,
} as const

export const serverStatus = {
  inTransaction: 0x0001,
  autocommit: 0x0002,
  moreResultsExist: 0x0008,
  noGoodIndexUsed: 0x0010,
  noIndexUsed: 0x0020,
  cursorExists: 0x0040,
  lastRowSent: 0x0080,
  databaseDropped: 0x0100,
  noBackslashEscapes: 0x0200,
  metadataChanged: 0x0400,
  queryWasSlow: 0x0800,
  psOutParams: 0x1000,
  inTransactionReadonly: 0x2000,
  sessionStateChanged: 0x4000,
  ansiQuotes: 0x8000,
} as const

export function has(flags: number, flag: number): boolean {
  return (flags & flag) !== 0
}
