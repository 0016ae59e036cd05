/**
 * The session that a logged statement ran in: the status variables of its query event, in the order in which servers write them.
 *
 *     status := (code (1) value)*, a value's length following from its code alone; a code that is not known ends what can be read
 *
 * Numbers are those that `SET @@session.x = n` takes (as mysqlbinlog prints them). Source: Query_event and its codes in libbinlogevents (MySQL 9.7), log_event.h (MariaDB 10.11, 11.8).
 */
import type { Buffer } from 'node:buffer'
import { ByteReader } from './byte-reader.ts'
import { Truncated } from './row-sink.ts'

export type QuerySession = {
  /** All of it was read. */
  readonly complete: boolean
  /** Bits of OPTION_…: foreign key checks, unique checks and the like. */
  readonly flags: number | null
  readonly sqlMode: bigint | null
  readonly charset: { readonly client: number; readonly connection: number; readonly server: number } | null
  readonly timeZone: string | null
  readonly lcTimeNames: number | null
  readonly databaseCollation: number | null
  readonly explicitDefaultsForTimestamp: boolean | null
  readonly utf8mb4Collation: number | null
  /** Microseconds of the statement's clock, beside the event's own seconds. */
  readonly micros: number
  /** MariaDB's binlog_alter_two_phase: the same ALTER is logged when it begins and when it ends. */
  readonly alter: 'whole' | 'begins' | 'committed' | 'rolledBack'
}

const code = {
  flags: 0,
  sqlMode: 1,
  catalog: 2,
  autoIncrement: 3,
  charset: 4,
  timeZone: 5,
  catalogNz: 6,
  lcTimeNames: 7,
  databaseCollation: 8,
  tableMapForUpdate: 9,
  dataWritten: 10,
  invoker: 11,
  updatedSchemas: 12,
  micros: 13,
  explicitDefaults: 16,
  ddlXid: 17,
  utf8mb4Collation: 18,
  requirePrimaryKey: 19,
  tableEncryption: 20,
  mariadbMicros: 128,
  mariadbXid: 129,
  mariadbGtidFlags: 130,
  mariadbCollations: 131,
} as const

const updatedSchemasUnknown = 254
const alterFlag = { begins: 2, committed: 4, rolledBack: 8 } as const

type Unread = { -readonly [K in keyof QuerySession]: QuerySession[K] }

export function parseQuerySession(status: Buffer): QuerySession {
  const reader = new ByteReader(status)
  const session: Unread = {
    complete: true,
    flags: null,
    sqlMode: null,
    charset: null,
    timeZone: null,
    lcTimeNames: null,
    databaseCollation: null,
    explicitDefaultsForTimestamp: null,
    utf8mb4Collation: null,
    micros: 0,
    alter: 'whole',
  }
  try {
    readAll(reader, session)
  } catch (error) {
    // Written otherwise than is known here: what stands before it was read.
    if (!(error instanceof Truncated)) throw error
    session.complete = false
  }
  return session
}

function readAll(reader: ByteReader, session: Unread): void {
  const shortText = (): string => reader.bytes(reader.u8()).toString('utf8')
  while (reader.left > 0) {
    switch (reader.u8()) {
      case code.flags:
        session.flags = reader.u32()
        break
      case code.sqlMode:
        session.sqlMode = reader.u64()
        break
      case code.catalog:
        shortText()
        reader.skip(1)
        break
      case code.autoIncrement:
        reader.skip(4)
        break
      case code.charset:
        session.charset = { client: reader.u16(), connection: reader.u16(), server: reader.u16() }
        break
      case code.timeZone:
        session.timeZone = shortText()
        break
      case code.catalogNz:
        shortText()
        break
      case code.lcTimeNames:
        session.lcTimeNames = reader.u16()
        break
      case code.databaseCollation:
        session.databaseCollation = reader.u16()
        break
      case code.tableMapForUpdate:
      case code.ddlXid:
      case code.mariadbXid:
        reader.skip(8)
        break
      case code.dataWritten:
        reader.skip(4)
        break
      case code.invoker:
        shortText()
        shortText()
        break
      case code.updatedSchemas: {
        const count = reader.u8()
        if (count !== updatedSchemasUnknown) for (let i = 0; i < count; i++) while (reader.u8() !== 0);
        break
      }
      case code.micros:
      case code.mariadbMicros:
        session.micros = reader.u8() | (reader.u16() << 8)
        break
      case code.explicitDefaults:
        session.explicitDefaultsForTimestamp = reader.u8() !== 0
        break
      case code.utf8mb4Collation:
        session.utf8mb4Collation = reader.u16()
        break
      case code.requirePrimaryKey:
      case code.tableEncryption:
        reader.skip(1)
        break
      case code.mariadbGtidFlags: {
        const flags = reader.u8()
        if ((flags & (alterFlag.committed | alterFlag.rolledBack)) !== 0) reader.skip(8)
        if ((flags & alterFlag.begins) !== 0) session.alter = 'begins'
        else if ((flags & alterFlag.committed) !== 0) session.alter = 'committed'
        else if ((flags & alterFlag.rolledBack) !== 0) session.alter = 'rolledBack'
        break
      }
      case code.mariadbCollations:
        reader.skip(4 * reader.u8())
        break
      default:
        session.complete = false
        return
    }
  }
}
