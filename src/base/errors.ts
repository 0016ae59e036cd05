/**
 * The error registry's mechanism. Each room declares its errors in its own `errors.ts` by `defineErrors`; what a user
 * sees (code, what, why, what to do) is only ever written there, and `docs/errors.md` is generated from the registry.
 *
 * class says what a caller may do with it:
 * - `user`       the request is wrong or refused; repeating it unchanged gives the same answer
 * - `transient`  nothing was done; repeating it can help
 * - `unknown`    it may or may not have been done; never repeat without reading the outcome (promise 11)
 * - `fatal`      the thing at hand (stream, server, process) stops until somebody acts
 */
import { withoutPassword } from './secrets.ts'

export type ErrorClass = 'user' | 'transient' | 'unknown' | 'fatal'

export type ErrorSpec = {
  /** Number within the room, never reused: `SW-<ROOM>-<number>`. */
  readonly number: number
  readonly class: ErrorClass
  /** One sentence with `{name}` places for the values at hand. */
  readonly what: string
  /** The cause, in general; this and the next may use the same `{name}` places. */
  readonly why: string
  /** What the user can do. */
  readonly fix: string
}

export type ErrorParams = Readonly<Record<string, unknown>>

export class SwError extends Error {
  override name = 'SwError'
  readonly code: string
  readonly class: ErrorClass
  readonly why: string
  readonly fix: string
  readonly params: ErrorParams

  constructor(code: string, spec: ErrorSpec, params: ErrorParams, cause?: unknown) {
    super(fill(spec.what, params), cause === undefined ? undefined : { cause })
    this.code = code
    this.class = spec.class
    this.why = fill(spec.why, params)
    this.fix = fill(spec.fix, params)
    this.params = params
  }

  toJSON(): { code: string; class: ErrorClass; what: string; why: string; fix: string } {
    return { code: this.code, class: this.class, what: this.message, why: this.why, fix: this.fix }
  }
}

export type ErrorMaker = (params?: ErrorParams, cause?: unknown) => SwError

const registry = new Map<string, { room: string; name: string; spec: ErrorSpec }>()

/**
 * Declares a room's errors; returns one maker per name: `throw keyspaceErrors.badKeyRange({ text })`.
 * Fails at load time when a code is declared twice.
 */
export function defineErrors<T extends Record<string, ErrorSpec>>(room: string, table: T): { readonly [K in keyof T]: ErrorMaker } {
  const makers: Record<string, ErrorMaker> = {}
  for (const [name, spec] of Object.entries(table)) {
    const code = `SW-${room.toUpperCase()}-${String(spec.number).padStart(3, '0')}`
    if (registry.has(code)) throw new Error(`error code ${code} is declared twice`)
    registry.set(code, { room, name, spec })
    makers[name] = (params = {}, cause) => new SwError(code, spec, params, cause)
  }
  return makers as { readonly [K in keyof T]: ErrorMaker }
}

/** All declared errors by code, in order: the source of docs/errors.md. */
export function allErrors(): { code: string; room: string; name: string; spec: ErrorSpec }[] {
  return [...registry].map(([code, entry]) => ({ code, ...entry })).sort((a, b) => (a.code < b.code ? -1 : 1))
}

export function isSwError(error: unknown, code?: string): error is SwError {
  return error instanceof SwError && (code === undefined || error.code === code)
}

function fill(template: string, params: ErrorParams): string {
  return template.replace(/\{(\w+)\}/g, (place, name: string) => (name in params ? withoutPassword(String(params[name])) : place))
}
