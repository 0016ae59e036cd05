/** Reads JSON values by a description of their shape; what does not fit is refused by its path. */
import { unreachable } from '../base/assert.ts'
import { didYouMean } from './did-you-mean.ts'
import { keyspaceErrors } from './errors.ts'

export type Shape = (
  | { readonly kind: 'boolean' }
  | { readonly kind: 'string' }
  | { readonly kind: 'integer' }
  | { readonly kind: 'choice'; readonly of: readonly string[]; readonly anyCase?: boolean }
  | { readonly kind: 'list'; readonly of: Shape }
  | { readonly kind: 'map'; readonly of: Shape }
  | { readonly kind: 'object'; readonly fields: Readonly<Record<string, Shape>> }
) & { readonly required?: boolean }

/** `value` with keys in the shape's order and spelling, nulls left out. SW-KEYSPACE-018 or 019. */
export function readJson(shape: Shape, value: unknown, path: string): unknown {
  const bad = (reason: string): Error => keyspaceErrors.vschemaBadValue({ path: path === '' ? 'the top' : path, reason })
  switch (shape.kind) {
    case 'boolean':
      if (typeof value !== 'boolean') throw bad(`it must be true or false, not ${show(value)}`)
      return value
    case 'string':
      if (typeof value !== 'string') throw bad(`it must be a string, not ${show(value)}`)
      if (shape.required === true && value === '') throw bad('it is empty')
      return value
    case 'integer':
      if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw bad(`it must be a whole number, not ${show(value)}`)
      return value
    case 'choice': {
      const found = shape.of.find(
        (choice) => choice === value || (shape.anyCase === true && typeof value === 'string' && choice === value.toUpperCase()),
      )
      if (found === undefined) {
        const hint = typeof value === 'string' ? didYouMean(value, shape.of) : ''
        throw bad(`${show(value)} is none of ${shape.of.map((choice) => JSON.stringify(choice)).join(', ')}${hint}`)
      }
      return found
    }
    case 'list':
      if (!Array.isArray(value)) throw bad(`it must be a list, not ${show(value)}`)
      return value.map((item, i) => readJson(shape.of, item, `${path}[${i}]`))
    case 'map':
      return Object.fromEntries(
        entries(value, bad).map(([key, item]) => {
          if (key === '') throw bad('it has an empty name')
          return [key, readJson(shape.of, item, join(path, key))]
        }),
      )
    case 'object':
      return readObject(shape.fields, value, path, bad)
    default:
      return unreachable(shape)
  }
}

function readObject(fields: Readonly<Record<string, Shape>>, value: unknown, path: string, bad: (reason: string) => Error): unknown {
  const given = new Map<string, unknown>()
  for (const [key, item] of entries(value, bad)) {
    const name = Object.hasOwn(fields, key) ? key : toSnakeCase(key)
    if (!Object.hasOwn(fields, name)) {
      const known = Object.keys(fields)
      throw keyspaceErrors.vschemaUnknownKey({ path: join(path, key), hint: didYouMean(key, known), known: known.join(', ') })
    }
    if (given.has(name)) throw bad(`it has ${name} twice`)
    if (item !== null) given.set(name, item)
  }
  const read: [string, unknown][] = []
  for (const [name, field] of Object.entries(fields)) {
    if (given.has(name)) read.push([name, readJson(field, given.get(name), join(path, name))])
    else if (field.required === true) throw bad(`${name} is missing`)
  }
  return Object.fromEntries(read)
}

function entries(value: unknown, bad: (reason: string) => Error): [string, unknown][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad(`it must be an object, not ${show(value)}`)
  return Object.entries(value)
}

function toSnakeCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

function join(path: string, key: string): string {
  const step = /^\w+$/.test(key) ? key : JSON.stringify(key)
  return path === '' ? step : `${path}.${step}`
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}
