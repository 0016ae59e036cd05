/**
 * Which id an INSERT names that drew one of a sequence: as a server does for its AUTO_INCREMENT. Of a row that is there already and is changed by ON DUPLICATE
 * KEY UPDATE it names that row's id, of one that is left as it was none, and LAST_INSERT_ID() stays in both cases. How many rows were affected does not tell
 * them from a new row where the client counts found rows (CLIENT_FOUND_ROWS): 1 for a new row and for one that was left as it was.
 *
 * The shard tells. In an AUTO_INCREMENT column the id that we give it is one like any other, and its answer names the drawn id, the met row's, or none. Else
 * `id = LAST_INSERT_ID(id)`, put last (insert-plan.ts), makes its answer name the row it met, and none when it inserted. Of several rows it tells too
 * little: the first id drawn is named, unless all rows were met.
 */
import type { Result } from '../mysql/connection.ts'
import { HEADER_BYTES } from '../wire/frames.ts'
import type { InsertPlan } from './plan/plan.ts'
import type { Request } from './request.ts'
import { numbersOf } from './scatter-summary.ts'

export type ShardSays = { readonly affectedRows: bigint; readonly insertId: bigint; readonly info: string }

/** @param last what LAST_INSERT_ID() was before; `last` of the answer is what it is now */
export function namedId(
  met: InsertPlan['met'],
  firstId: bigint | null,
  { affectedRows, insertId, info }: ShardSays,
  last: bigint,
): { insertId: bigint; last: bigint } {
  const said = met === 'several' ? numbersOf(info) : null
  if (affectedRows === 0n || (said !== null && said[0] === said[1])) return { insertId: 0n, last }
  if (met === 'asked' && insertId !== 0n) return { insertId: affectedRows > 1n ? insertId : 0n, last }
  if (firstId === null || (met === 'told' && insertId !== firstId)) return { insertId, last }
  return { insertId: firstId, last: firstId }
}

const textBytesMax = 16 * 1024
const insertion = /\b(?:INSERT|REPLACE|LOAD)\b/i
const firstValues = /\bVALUES?\s*(?=\()/i
/** Of rows of literals, parameters and the time: one after the other, without a way back, so that reading them takes the time of their length. */
const plainToken = /[\s,()?;]+|-?\d[\d.]*(?![\w.])|(?:NULL|DEFAULT|CURRENT_TIMESTAMP)\b|NOW\(\d?\)|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/isy

/**
 * A server names the id of a row that it was given as it names one that it drew, and only of the latter LAST_INSERT_ID() speaks. Which it was, the server tells when asked; an
 * INSERT that has the id nowhere among plain values drew it, and need not ask.
 *
 * @param text with `?` for parameters
 * @param sent what has the parameters
 */
export function mayGiveId(text: Buffer, sent: Buffer, id: bigint): boolean {
  if (text.length > textBytesMax) return true
  const digits = String(id)
  const written = text.toString('latin1')
  // Of others an OK names what LAST_INSERT_ID(expr) has made of it.
  if (!insertion.test(written)) return false
  if (written.includes(digits) || sent.includes(digits) || !hasPlainRows(written)) return true
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(id)
  // As an integer of four bytes or eight, or a smaller one.
  return written.includes('?') && sent.includes(bytes.subarray(0, id < 1n << 16n ? (id < 256n ? 1 : 2) : 4), 10)
}

/** Of a COM_QUERY: its text stands in what is sent. */
export function textMayGiveId(id: bigint, framed: Buffer): boolean {
  return mayGiveId(framed.subarray(HEADER_BYTES + 1), framed, id)
}

/**
 * Whether a statement needs the session's LAST_INSERT_ID() on a connection first: it reads that, or it may give the id that is there from another session or table. Of an id named then, the
 * connection could not tell whether it was given or drawn; of the session's own it need not.
 *
 * @param there the connection's; null: not known
 */
export function needsInsertId(there: bigint | null, request: Request, framed: Buffer): boolean {
  if (request.lastInsertId) return true
  if (request.effect !== 'write' || request.mayGiveId === undefined || request.needsPrevious || !request.whole) return false
  return there === null || (there !== 0n && request.mayGiveId(there, framed))
}

function hasPlainRows(written: string): boolean {
  const values = firstValues.exec(written)
  if (values === null) return false
  plainToken.lastIndex = values.index + values[0].length
  while (plainToken.lastIndex < written.length) if (!plainToken.test(written)) return false
  return true
}

export const askInsertId = 'SELECT LAST_INSERT_ID()'

/** What it says. */
export function insertIdOf(answer: Result | null): bigint | null {
  return answer?.kind === 'rows' ? BigInt(answer.rows[0]?.[0]?.toString('latin1') ?? 0) : null
}
