/** Answers that the gate makes itself, as frames. Clients are never offered deprecateEof, so EOF packets stand in all of them. */
import { collation, columnFlag, columnType } from '../wire/column-types.ts'
import { com } from '../wire/commands.ts'
import { FRAME_BYTES_MAX, frameCommand } from '../wire/frames.ts'
import { writeColumnDefinition, type ColumnDefinition } from '../wire/column-definition.ts'
import { writeEof } from '../wire/eof.ts'
import { writeErr } from '../wire/err.ts'
import { writeOk } from '../wire/ok.ts'
import { writeBinaryRow } from '../wire/binary-row.ts'
import { writeTextRow } from '../wire/text-row.ts'
import type { SessionChange } from '../wire/session-track.ts'
import { Writer } from '../wire/writer.ts'
import { clientError } from './client-error.ts'

export type OkReply = { affectedRows?: bigint; insertId?: bigint; warnings?: number; info?: string; sessionChanges?: SessionChange[] }

/** `capabilities`: of the client, for what only some understand. */
export function okFrame(status: number, reply: OkReply = {}, sequence = 1, capabilities = 0): Buffer {
  const w = new Writer(32 + (reply.info?.length ?? 0)).beginFrame()
  writeOk(w, { status, ...reply }, capabilities)
  w.endFrame(sequence)
  return w.take()
}

/** COM_QUERY of this text. */
export function framedQuery(sql: Buffer): Buffer {
  if (sql.length + 1 >= FRAME_BYTES_MAX) return frameCommand(com.query, sql)
  const framed = Buffer.allocUnsafe(sql.length + 5)
  framed.writeUInt32LE(sql.length + 1, 0)
  framed[4] = com.query
  sql.copy(framed, 5)
  return framed
}

/** COM_QUERY of a text of ours. */
export function command(sql: string): Buffer {
  const bytes = Buffer.byteLength(sql)
  const framed = Buffer.allocUnsafe(bytes + 5)
  framed.writeUInt32LE(bytes + 1, 0)
  framed[4] = 0x03
  framed.write(sql, 5)
  return framed
}

/** The answer to most commands that change nothing: one frame for each status. */
const plainOks = new Map<number, Buffer>()
export function plainOk(status: number): Buffer {
  let made = plainOks.get(status)
  if (made === undefined) plainOks.set(status, (made = okFrame(status)))
  return made
}

export function errorFrame(error: unknown, sequence = 1): Buffer {
  const { errno, sqlState, message } = clientError(error)
  const w = new Writer(128).beginFrame()
  writeErr(w, { errno, sqlState, message })
  w.endFrame(sequence)
  return w.take()
}

export function eofFrame(status: number, sequence = 1): Buffer {
  const w = new Writer(16).beginFrame()
  writeEof(w, { warnings: 0, status })
  w.endFrame(sequence)
  return w.take()
}

export function textColumn(name: string, length = 256): ColumnDefinition {
  return {
    schema: '',
    table: '',
    orgTable: '',
    name,
    orgName: '',
    charset: collation.utf8mb4,
    length: length * 4,
    type: columnType.varString,
    flags: 0,
    decimals: 39,
  }
}

export function integerColumn(name: string, unsigned = false): ColumnDefinition {
  return {
    schema: '',
    table: '',
    orgTable: '',
    name,
    orgName: '',
    charset: collation.binary,
    length: 21,
    type: columnType.longlong,
    flags: columnFlag.binary | columnFlag.notNull | (unsigned ? columnFlag.unsigned : 0),
    decimals: 0,
  }
}

/** How a client takes rows. */
export type AnswerForm = { readonly status: number; readonly form: 'text' | 'binary'; readonly extendedMetadata: boolean }

/** A whole result set. */
export function rowsFrames(
  columns: readonly ColumnDefinition[],
  rows: readonly (readonly (string | null)[])[],
  { status, form, extendedMetadata }: AnswerForm,
): Buffer {
  const w = new Writer(512)
  let sequence = writeColumns(w, columns, status, 1, extendedMetadata)
  for (const row of rows) {
    w.beginFrame()
    const cells = row.map((cell) => (cell === null ? null : Buffer.from(cell)))
    if (form === 'binary') writeBinaryRow(w, columns, cells)
    else writeTextRow(w, cells)
    sequence = w.endFrame(sequence)
  }
  w.beginFrame()
  writeEof(w, { warnings: 0, status })
  w.endFrame(sequence)
  return w.take()
}

/** Column count, definitions and EOF; returns the next sequence id. */
export function writeColumns(
  w: Writer,
  columns: readonly ColumnDefinition[],
  status: number,
  sequence: number,
  extendedMetadata: boolean,
): number {
  w.beginFrame().lenenc(columns.length)
  sequence = w.endFrame(sequence)
  for (const column of columns) {
    w.beginFrame()
    writeColumnDefinition(w, column, extendedMetadata)
    sequence = w.endFrame(sequence)
  }
  w.beginFrame()
  writeEof(w, { warnings: 0, status })
  return w.endFrame(sequence)
}
