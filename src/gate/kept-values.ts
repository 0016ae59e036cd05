/**
 * Values of user variables that stand in no literal: a variable's text has a collation of its own, but not the strength of one that a statement names, and MySQL
 * compares an integer with a variable's DOUBLE otherwise than with the same number, and what is computed of a variable's DECIMAL has 30 or 38 digits behind the point, not the literal's
 * (`@v / 3` of 1.50). Servers have these as variables of the same name, as one of the session's settings; the
 * client's text keeps the name. Any other value goes into texts as a literal, so that sessions that set variables go on sharing connections.
 */
import type { RawRow } from '../mysql/connection.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import type { Value } from '../sql/value.ts'
import type { LexerMode } from '../sql/lexer.ts'
import { planErrors } from './plan/errors.ts'
import { literalOf } from './plan/render.ts'
import type { SessionSettings } from './settings.ts'

/** As hexadecimal digits it is part of what connections are known by. */
const keptBytesMax = 64 * 1024
/** Of all variables: every connection that the session uses is brought to them. */
const keptTogetherMax = 512 * 1024

/** What `keptText` is made from; of a longer text no more than shows that it is one. */
export function askedOfText(expression: string): string {
  const text = `LEFT(${expression}, ${keptBytesMax + 1})`
  return `COLLATION(${expression}), HEX(${text}), HEX(CONVERT(${text} USING utf8mb4))`
}
export const askedCells = 3

/**
 * @param row the answer to `askedOfText`
 * @param shown the same text, not NULL
 */
export function keptText(row: RawRow | undefined, shown: Value): Value {
  const [collation, hex, utf8] = [0, 1, 2].map((i) => row?.[i]?.toString('latin1') ?? '') as [string, string, string]
  // NULL where the server has a max_allowed_packet with no room for the digits.
  const tooLong = row?.[1] == null || hex.length > 2 * keptBytesMax
  if (!tooLong && collation === 'binary') return { type: 'binary', bytes: Buffer.from(hex, 'hex') }
  if (tooLong || !/^\w+$/.test(collation))
    throw planErrors.refused({
      construct: `a variable ${tooLong ? `of more than ${keptBytesMax} bytes ` : ''}with the collation ${collation}`,
      reason: `up to ${keptBytesMax} bytes are kept with a collation that is not the connection's`,
      instead: 'convert it: CONVERT(… USING utf8mb4), or name the text where it is compared',
    })
  const text = { collation, bytes: Buffer.from(hex, 'hex'), utf8: Buffer.from(utf8, 'hex') }
  return { type: 'kept', sql: `_${collation.replace(/_.*/, '')} x'${hex}' COLLATE ${collation}`, shown, text }
}

/** Of a text that can't be kept as it was: it is of no use any more. */
export function lostText(shown: Value): Value {
  return { type: 'kept', sql: null, shown, text: null }
}

/** Errors: SW-GATE-100 for a `lostText`. */
export function usable(name: string, value: Value): Value {
  if (value.type !== 'kept' || value.sql !== null) return value
  throw planErrors.refused({
    construct: `@${name}, a text that was set before the character set or the collation of the session became another`,
    reason: 'it is too long, or its name not plain enough, to be kept as it was',
    instead: 'set it again',
  })
}

/** What gives a connection the variables that the gate has. Errors: SW-GATE-100 for a `lostText`. */
export function setVariables(variables: Iterable<readonly [string, Value]>, mode: LexerMode): Buffer {
  const parts: Buffer[] = []
  for (const [name, value] of variables) {
    const known = usable(name, value)
    const literal = known.type === 'kept' && known.sql !== null ? Buffer.from(known.sql) : literalOf(known, mode)
    parts.push(Buffer.from(`${parts.length === 0 ? 'SET ' : ','}@${quoteIdentifier(name)}=`), literal)
  }
  return Buffer.concat(parts)
}

/** As a literal an integer is the same, but for one above the signed: MariaDB reads a variable's as a signed one where it is to be a DOUBLE (`@v + 0e0` of 2^64 - 1 is -1). */
export function keptNumber(value: Value): Value {
  if (value.type === 'integer' && value.value > 0x7fff_ffff_ffff_ffffn)
    return { type: 'kept', sql: String(value.value), shown: value, text: null }
  if (value.type === 'decimal') return { type: 'kept', sql: value.text, shown: value, text: null }
  if (value.type !== 'double' || Number.isSafeInteger(value.value)) return value
  return { type: 'kept', sql: value.value.toExponential(), shown: value, text: null }
}

/** Brings `settings` to say of the variable what it is. Errors: SW-GATE-100 for a name that can not be told. */
export function keepInSettings(settings: SessionSettings, name: string, value: Value): void {
  const key = `@${quoteIdentifier(name)}`
  if (value.type !== 'kept' || value.sql === null) return settings.set(key, undefined)
  if (!/^[\w.$]+$/.test(name))
    throw planErrors.refused({
      construct: `a variable called ${name} with a collation or a type of its own`,
      reason: 'its name is not plain',
      instead: 'call it by letters and digits',
    })
  settings.set(key, value.sql)
  if (settings.signature.length <= keptTogetherMax) return
  settings.set(key, undefined)
  throw planErrors.refused({
    construct: 'another variable with a collation or a type of its own',
    reason: `a session has up to ${keptTogetherMax / 2} bytes of them`,
    instead: 'set those that are not needed to NULL',
  })
}
