/** Parameters of an execution as the planner and texts need them: values, literals, and subsets for another statement. */
import { writeTextAsBinary } from '../wire/binary-values.ts'
import { columnType } from '../wire/column-types.ts'
import { decodeExecute, type Param, type ParamType } from '../wire/stmt-execute.ts'
import { com } from '../wire/commands.ts'
import { frame } from '../wire/frames.ts'
import { Writer } from '../wire/writer.ts'
import { Kind, tokenEnd, tokenKind, tokenStart, type Lexed } from '../sql/lexer.ts'
import type { Value } from '../sql/value.ts'
import { gateErrors } from './errors.ts'
import { literalOf } from './plan/render.ts'
import { bindTypes, readExecution, type SessionStatement } from './prepared.ts'

const empty = Buffer.alloc(0)

/** Remembers the types that came with it, as a server does. All are payloads: of more than one frame, headers stand inside what is framed. */
export function decodeParameters(payload: Buffer, statement: SessionStatement, longData: readonly Buffer[]): Param[] {
  const execution = readExecution(payload, statement.paramCount)
  bindTypes(statement, execution)
  const long = new Map<number, Buffer>()
  for (const packet of longData) {
    const parameter = packet.readUInt16LE(5)
    long.set(parameter, Buffer.concat([long.get(parameter) ?? empty, packet.subarray(7)]))
  }
  return decodeExecute(payload, { paramCount: statement.paramCount, types: typesOf(statement.types), longData: long, capabilities: 0 })
    .params
}

function typesOf(types: Buffer | null): ParamType[] {
  const out: ParamType[] = []
  for (let i = 0; types !== null && i + 1 < types.length; i += 2)
    out.push({ type: types[i] as number, unsigned: ((types[i + 1] as number) & 0x80) !== 0 })
  return out
}

const decimalText = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,3})?$/i

export function valueOf(param: Param): Value {
  const { value, type } = param
  if (value === null) return { type: 'null' }
  if (typeof value === 'bigint') return { type: 'integer', value }
  if (typeof value === 'number') return { type: 'double', value }
  if (typeof value === 'string') return timeValue(type, value)
  switch (type) {
    case columnType.decimal:
    case columnType.newdecimal: {
      const text = value.toString('latin1')
      // A client may send millions of digits, to count which takes seconds; servers keep 65.
      if (/^-?\d{1,65}$/.test(text)) return { type: 'integer', value: BigInt(text) }
      // What is no number must not be one: decimals are written into texts as they stand.
      return decimalText.test(text) ? { type: 'decimal', text } : { type: 'text', bytes: value }
    }
    case columnType.tinyBlob:
    case columnType.mediumBlob:
    case columnType.longBlob:
    case columnType.blob:
      return { type: 'binary', bytes: value }
    default:
      return { type: 'text', bytes: value }
  }
}

/** Of a date without a month or a day no literal says its type under every sql_mode. */
function timeValue(type: number, text: string): Value {
  const value = { type: 'text', bytes: Buffer.from(text) } as const
  if (type === columnType.time) return { ...value, time: 'TIME' }
  if (/^\d+-(00-|\d\d-00)/.test(text)) return value
  return { ...value, time: type === columnType.date || type === columnType.newdate ? 'DATE' : 'TIMESTAMP' }
}

/** An id of a sequence, as a parameter after the client's own. */
export function idParam(id: bigint): Param {
  return { type: columnType.longlong, unsigned: false, value: id }
}

/**
 * What a server makes of the parameters of a SET: a time that stands by itself is bytes, on MySQL with six digits of a second. What MySQL makes of others than numbers within an expression
 * depends on that.
 *
 * @throws SW-GATE-012
 */
export function setParameters(lexed: Lexed, params: readonly Param[], isMariadb: boolean): Value[] {
  const word = (token: number): string => lexed.bytes.toString('latin1', tokenStart(lexed, token), tokenEnd(lexed, token))
  const stands: ('alone' | 'cast' | 'computed')[] = []
  for (let token = 0; token < lexed.count; token++) {
    if (tokenKind(lexed, token) !== Kind.Parameter) continue
    const next = token + 1 < lexed.count ? word(token + 1).toUpperCase() : ''
    const isAlone = token > 0 && word(token - 1).endsWith('=') && ['', ',', ';'].includes(next)
    stands.push(isAlone ? 'alone' : next === 'AS' ? 'cast' : 'computed')
  }
  return params.map((param, i) => {
    const value = valueOf(param)
    if (value.type !== 'text' && value.type !== 'binary') return value
    const time = value.type === 'text' ? value.time : undefined
    if (stands[i] === 'alone' && typeof param.value === 'string')
      return {
        type: 'binary',
        bytes: isMariadb || time === 'DATE' || value.bytes.includes('.') ? value.bytes : Buffer.concat([value.bytes, sixDigits]),
      }
    if (isMariadb) return value
    // CAST of a time has 31 digits of a second, or is NULL (9.7).
    if (stands[i] === 'computed' || (stands[i] === 'cast' && time !== undefined))
      throw gateErrors.notForwarded({
        construct: 'a text or time as parameter within an expression of a prepared SET',
        reason: 'MySQL takes it for what the expression around it needs',
        fix: 'prepare SET @a = ?, and compute in the statement that uses @a',
      })
    return value
  })
}
const sixDigits = Buffer.from('.000000')

/** The number of a session as KILL takes it: what is none is 0. */
export function sessionNumber(value: Value): Value {
  const text =
    value.type === 'text' ? value.bytes.toString('latin1') : value.type === 'integer' || value.type === 'double' ? String(value.value) : ''
  return { type: 'integer', value: BigInt(/^\d{1,18}/.exec(text)?.[0] ?? 0) }
}

/** The text with each `?` replaced by its value: for statements whose answers are put together at the gate. */
export function inlineParameters(lexed: Lexed, chosen: readonly number[] | null, values: readonly Value[]): Buffer {
  const parts: Buffer[] = []
  let from = 0
  let index = 0
  for (let token = 0; token < lexed.count; token++) {
    if (tokenKind(lexed, token) !== Kind.Parameter) continue
    const number = chosen === null ? index : (chosen[index] ?? -1)
    index++
    const value = values[number]
    parts.push(
      lexed.bytes.subarray(from, tokenStart(lexed, token)),
      Buffer.from(' '),
      value === undefined ? Buffer.from('NULL') : literalOf(value, lexed.mode),
    )
    from = tokenEnd(lexed, token)
  }
  parts.push(lexed.bytes.subarray(from))
  return Buffer.concat(parts)
}

/** An execution of another statement with these of the client's parameters, in this order, as the client sent them: servers make of a NULL, too, what its type says (MariaDB). */
export function executionOf(id: number, chosen: readonly number[], params: readonly Param[]): Buffer {
  const w = new Writer(64 + chosen.length * 16)
  w.u8(com.stmtExecute).u32(id).u8(0).u32(1)
  if (chosen.length === 0) return frame(w.take())
  const given = chosen.map((number) => params[number] ?? absent)
  const bitmapAt = w.length
  w.zeros((given.length + 7) >> 3).u8(1)
  for (const [i, { type, unsigned, value }] of given.entries()) {
    if (value === null) w.orAt(bitmapAt + (i >> 3), 1 << (i & 7))
    w.u8(type).u8(unsigned ? 0x80 : 0)
  }
  for (const param of given) writeParam(w, param)
  return frame(w.take())
}
const absent: Param = { type: columnType.null, unsigned: false, value: null }

/** Under what a connection keeps a statement that was first executed with these: MySQL goes on with the types that it had then, of which a NULL has none. */
export function typesKey(chosen: readonly number[], params: readonly Param[]): string {
  const types = chosen.flatMap((number) => {
    const { type, unsigned, value } = params[number] ?? absent
    return [value === null ? columnType.null : type, unsigned ? 0x80 : 0]
  })
  return String.fromCharCode(0, ...types)
}

function writeParam(w: Writer, { type, value }: Param): void {
  if (value === null) return
  if (typeof value === 'bigint') {
    if (type === columnType.tiny || type === columnType.bool) w.u8(Number(BigInt.asUintN(8, value)))
    else if (type === columnType.short || type === columnType.year) w.u16(Number(BigInt.asUintN(16, value)))
    else if (type === columnType.long || type === columnType.int24) w.u32(Number(BigInt.asUintN(32, value)))
    else w.u64(value)
  } else if (typeof value === 'number') {
    if (type === columnType.float) w.f32(value)
    else w.f64(value)
  } else if (typeof value === 'string') writeTextAsBinary(w, { type, flags: 0, decimals: microseconds, length: 0 }, Buffer.from(value))
  else w.lenencBytes(value)
}
const microseconds = 6
