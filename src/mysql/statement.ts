/**
 * A statement as it is given to a connection: its text, its bytes, or pieces of those in order. Pieces are for what has megabytes of somebody else's in its middle: they are sent from where they are, without a copy between them.
 */
import { Buffer } from 'node:buffer'

export type StatementBytes = Buffer | readonly Buffer[]
export type Statement = string | StatementBytes

export function statementBytes(statement: StatementBytes): number {
  return Buffer.isBuffer(statement) ? statement.length : statement.reduce((bytes, piece) => bytes + piece.length, 0)
}

/** Latin1 view of the bytes; of the first so many, where somebody only wants to see what it is. */
export function statementText(statement: Statement, bytesMax = Infinity): string {
  if (typeof statement === 'string') return statement.slice(0, bytesMax)
  if (Buffer.isBuffer(statement)) return statement.toString('latin1', 0, Math.min(bytesMax, statement.length))
  let text = ''
  for (const piece of statement) {
    if (text.length >= bytesMax) break
    text += statementText(piece, bytesMax - text.length)
  }
  return text
}
