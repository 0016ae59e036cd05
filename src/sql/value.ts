/**
 * A value as a client gave it: a literal of the text or a bound parameter. Nothing is converted on the way: integers
 * are exact, decimals and text stay as written.
 */
export type Value =
  | { readonly type: 'null' }
  | { readonly type: 'integer'; readonly value: bigint }
  /** An exact decimal literal, e.g. `-12.50`. */
  | { readonly type: 'decimal'; readonly text: string }
  | { readonly type: 'double'; readonly value: number }
  /** Text in the client's character set. `national`: N'…', which is UTF-8 to servers. `variable`: a user variable's, which has the connection's collation and keeps it against a column's. `time`: a parameter's, which is of that type. */
  | {
      readonly type: 'text'
      readonly bytes: Buffer
      readonly national?: true
      readonly variable?: true
      readonly time?: 'DATE' | 'TIMESTAMP' | 'TIME'
    }
  /** Hex and bit literals, `_binary'…'`, bound BLOBs. */
  | { readonly type: 'binary'; readonly bytes: Buffer }
  /** Of a type or a collation that no literal has: what sets a user variable to it (null: nothing does), what it is shown as, nearly, and what text it is. */
  | { readonly type: 'kept'; readonly sql: string | null; readonly shown: Value; readonly text: KeptText | null }

/** `bytes` in the collation's character set, `utf8` the same characters. */
export type KeptText = { readonly collation: string; readonly bytes: Buffer; readonly utf8: Buffer }

export const nullValue: Value = { type: 'null' }

export function integerValue(value: bigint): Value {
  return { type: 'integer', value }
}

export function textValue(text: string): Value {
  return { type: 'text', bytes: Buffer.from(text) }
}
