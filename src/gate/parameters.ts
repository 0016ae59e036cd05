/** Parameters of an execution as the planner and texts need them: values, literals, and subsets for another statement. */
import { columnType } from '../wire/column-types.ts'
import { decodeExecute, type Param, type ParamType } from '../wire/stmt-execute.ts'
import { com } from '../wire/commands.ts'
import { frame } from '../wire/frames.ts'
import { Kind, tokenEnd, tokenKind, tokenStart, type Lexed } from '../sql/lexer.ts'
import type { Value } from '../sql/value.ts'
import { literalOf } from './plan/render.ts'
import { bindTypes, readExecution, type SessionStatement } from './prepared.ts'

const empty = Buffer.alloc(0)

/** Remembers the types that came with it, as a server does. All are payloads: of more than one frame, headers stand inside what is framed. */
export function decodeParameters(payload: Buffer, statement: SessionStatement, longData: readonly Buffer[]): Param[] {
  const execution = readExecution(payload, statement.paramCount)
  bindTypes(statement, execution.types)
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

export function valueOf(param: Param): Value {
  const { value, type } = param
  if (value === null) return { type: 'null' }
  if (typeof value === 'bigint') return { type: 'integer', value }
  if (typeof value === 'number') return { type: 'double', value }
  if (typeof value === 'string') return { type: 'text', bytes: Buffer.from(value) }
  switch (type) {
    case columnType.decimal:
    case columnType.newdecimal: {
      const text = value.toString('latin1')
      return /^-?\d+$/.test(text) ? { type: 'integer', value: BigInt(text) } : { type: 'decimal', text }
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

/** An id of a sequence, as a parameter after the client's own. */
export function idParam(id: bigint): Param {
  return { type: columnType.longlong, unsigned: false, value: id }
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

/** An execution of another statement with these of the client's parameters, in this order, types included. */
export function executionOf(id: number, chosen: readonly number[], params: readonly Param[]): Buffer {
  const head = Buffer.alloc(10)
  head[0] = com.stmtExecute
  head.writeUInt32LE(id, 1)
  head.writeUInt32LE(1, 6)
  if (chosen.length === 0) return frame(head)
  const bitmap = Buffer.alloc((chosen.length + 7) >> 3)
  const types = Buffer.alloc(chosen.length * 2 + 1)
  types[0] = 1
  const values: Buffer[] = []
  for (const [i, number] of chosen.entries()) {
    const param = params[number] ?? { type: columnType.null, unsigned: false, value: null }
    const written = encodeParam(param)
    types[1 + i * 2] = written.type
    types[2 + i * 2] = param.unsigned ? 0x80 : 0
    if (written.bytes === null) bitmap[i >> 3] = (bitmap[i >> 3] as number) | (1 << (i & 7))
    else values.push(written.bytes)
  }
  return frame(Buffer.concat([head, bitmap, types, ...values]))
}

/** Times go as text, which servers read the same; everything else keeps its type. */
function encodeParam(param: Param): { type: number; bytes: Buffer | null } {
  const { value, type } = param
  if (value === null) return { type: type === columnType.null ? columnType.null : columnType.varString, bytes: null }
  if (typeof value === 'bigint') {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64LE(BigInt.asUintN(64, value))
    return { type: columnType.longlong, bytes }
  }
  if (typeof value === 'number') {
    if (type === columnType.float) {
      const bytes = Buffer.alloc(4)
      bytes.writeFloatLE(value)
      return { type, bytes }
    }
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleLE(value)
    return { type: columnType.double, bytes }
  }
  const raw = typeof value === 'string' ? Buffer.from(value) : value
  return { type: typeof value === 'string' ? columnType.varString : type, bytes: Buffer.concat([lenenc(raw.length), raw]) }
}

function lenenc(length: number): Buffer {
  if (length < 0xfb) return Buffer.from([length])
  if (length < 0x10000) return Buffer.from([0xfc, length & 0xff, length >> 8])
  if (length < 0x1000000) return Buffer.from([0xfd, length & 0xff, (length >> 8) & 0xff, length >> 16])
  const out = Buffer.alloc(9)
  out[0] = 0xfe
  out.writeBigUInt64LE(BigInt(length), 1)
  return out
}
