/** What the drivers for Node share: reading the cases, writing what came of each. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Case, Param } from '../cases.ts'

export type Config = { host: string; port: number; user: string; password: string; database: string; tls: string | null; cases: string }
export type Outcome = Record<string, unknown>

export const config = JSON.parse(readFileSync(process.argv[2] as string, 'utf8')) as Config
export const cases = JSON.parse(readFileSync(config.cases, 'utf8')) as Case[]

export function valueOf(param: Param): unknown {
  if (param.t === 'null') return null
  const v = param.v.repeat(param.repeat ?? 1)
  switch (param.t) {
    case 'int':
      return Number.isSafeInteger(Number(v)) ? Number(v) : BigInt(v)
    case 'double':
      return Number(v)
    case 'bytes':
      return Buffer.from(v, 'hex')
    case 'bool':
      return v === 'true'
    default:
      return v
  }
}

export function cell(value: unknown): unknown {
  if (value === null || value === undefined) return null
  if (Buffer.isBuffer(value)) return `bytes ${short(value.toString('hex'))}`
  if (value instanceof Date) return `date ${Number.isNaN(value.getTime()) ? 'invalid' : value.toISOString()}`
  if (typeof value === 'object') return `json ${short(JSON.stringify(value))}`
  return `${typeof value} ${short(String(value))}`
}

function short(text: string): string {
  return text.length > 200 ? `${text.length} ${createHash('md5').update(text).digest('hex')}` : text
}

/** Every case, in every form that it has. */
export async function runCases(run: (form: 'text' | 'prepared', one: Case, params: unknown[]) => Promise<Outcome>): Promise<void> {
  for (const one of cases) {
    const params = (one.params ?? []).map(valueOf)
    const forms = one.params !== undefined || one.prepared === true ? (['text', 'prepared'] as const) : (['text'] as const)
    for (const form of forms) {
      let outcome: Outcome
      try {
        outcome = await run(form, one, params)
      } catch (error) {
        const { errno, sqlState, code, message } = error as { errno?: number; sqlState?: string; code?: string; message: string }
        outcome = errno === undefined ? { failed: `${code ?? ''} ${message}` } : { errno, sqlState }
      }
      process.stdout.write(`${JSON.stringify({ id: one.id, form, ...outcome })}\n`)
    }
  }
}
