/**
 * Records as JSON objects with the fields named, typed end to end:
 *
 *     decode: json({ database_id: 'integer', fingerprint: 'text', ms: 'number', error: 'text?' })
 *
 * `?`: may be absent or null. Fields that are not named are left out. Numbers beyond what a double holds come from the text itself: an `integer` is then a bigint,
 * a `decimal` is its digits; nothing is rounded.
 */
import type { TopicRecord } from '../topic/topic.ts'

type Kinds = { integer: number | bigint; number: number; decimal: string; text: string; boolean: boolean; any: unknown }
export type FieldType = keyof Kinds | `${keyof Kinds}?`
export type JsonSchema = { readonly [field: string]: FieldType }

export type JsonEvent<S extends JsonSchema> = {
  readonly [F in keyof S]: S[F] extends `${infer K extends keyof Kinds}?` ? Kinds[K] | null : S[F] extends keyof Kinds ? Kinds[S[F]] : never
}

export type JsonDecoder<S extends JsonSchema> = ((record: TopicRecord) => JsonEvent<S> | null) & { readonly schema: S }

/** A record without a value makes no event: a tombstone says nothing that a schema could type. */
export function json<const S extends JsonSchema>(schema: S): JsonDecoder<S> {
  const fields = Object.entries(schema).map(([name, type]) => ({
    name,
    kind: type.replace('?', '') as keyof Kinds,
    optional: type.endsWith('?'),
  }))
  const decode = ({ value }: TopicRecord): JsonEvent<S> | null => {
    if (value === null) return null
    const text = value.toString()
    const parsed = asObject(JSON.parse(text))
    let digits: Record<string, unknown> | null = null
    const out: Record<string, unknown> = {}
    for (const { name, kind, optional } of fields) {
      let found = parsed[name]
      if (found === undefined || found === null) {
        if (!optional) throw new TypeError(`field ${name} is missing`)
        out[name] = null
        continue
      }
      // The text once more, only where a double cannot hold what it says.
      if (typeof found === 'number' && (kind === 'decimal' || (kind === 'integer' && !Number.isSafeInteger(found)))) {
        digits ??= asObject(JSON.parse(text, keepDigits as (key: string, value: unknown) => unknown))
        found = digits[name]
      }
      out[name] = valueOf(name, kind, found)
    }
    return out as JsonEvent<S>
  }
  return Object.assign(decode, { schema })
}

class Digits {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

function keepDigits(_: string, value: unknown, context: { source?: string }): unknown {
  return typeof value === 'number' && context.source !== undefined ? new Digits(context.source) : value
}

function asObject(value: unknown): Record<string, unknown> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new TypeError('the value is no JSON object')
  return value as Record<string, unknown>
}

function valueOf(name: string, kind: keyof Kinds, found: unknown): unknown {
  const no = (): Error => new TypeError(`field ${name} is no ${kind}`)
  const digits = found instanceof Digits ? found.text : null
  switch (kind) {
    case 'integer':
      if (digits === null && typeof found === 'number' && Number.isSafeInteger(found)) return found
      if (typeof found === 'string' ? !/^-?\d{1,30}$/.test(found) : digits === null || !/^-?\d{1,30}$/.test(digits)) throw no()
      return small(BigInt(digits ?? (found as string)))
    case 'decimal': {
      const text = digits ?? (typeof found === 'string' ? found : '')
      if (!/^[+-]?\d+(\.\d+)?$/.test(text)) throw no()
      return text
    }
    case 'number': {
      if (typeof found !== 'number' || !Number.isFinite(found)) throw no()
      return found
    }
    case 'text':
      if (typeof found !== 'string') throw no()
      return found
    case 'boolean':
      if (typeof found !== 'boolean') throw no()
      return found
    case 'any':
      return found
  }
}

function small(value: bigint): number | bigint {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}
