/**
 * COM_STMT_EXECUTE: 1 0x17 · 4 statement id · 1 flags (1 read-only cursor, 8 parameter count follows) · 4 iterations = 1 · and, if
 * there are parameters: [lenenc count, under queryAttributes with flag 8] · (n + 7) / 8 NULL bitmap · 1 types follow ·
 * [n × (1 type · 1 flags: 0x80 unsigned · lenenc name under queryAttributes)] · values (binary-values.ts).
 * Types are sent on the first execution and when they change; a server remembers them. Parameters sent before by
 * COM_STMT_SEND_LONG_DATA have no value here. Query attributes come after the parameters in the same lists.
 */
import { readDate, readTime } from './binary-values.ts'
import { capability, has } from './capabilities.ts'
import { columnType } from './column-types.ts'
import { com } from './commands.ts'
import { wireErrors } from './errors.ts'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

export const executeFlag = { cursorReadOnly: 1, parameterCountAvailable: 8 } as const

export type ParamType = { type: number; unsigned: boolean }

/**
 * One parameter. Integers are bigint, float and double number, dates and times text as in literals, the rest bytes:
 * decimals as their digits, strings in the connection's charset, blobs as they are.
 */
export type Param = ParamType & { value: null | bigint | number | string | Buffer }

export type Execute = { id: number; flags: number; types: ParamType[]; params: Param[] }

export type ExecuteContext = {
  paramCount: number
  /** Of the execution before, for one that sends none. */
  types: readonly ParamType[]
  /** Sent by COM_STMT_SEND_LONG_DATA, by parameter. */
  longData: ReadonlyMap<number, Buffer>
  capabilities: number
}

export function executeStatementId(payload: Buffer): number {
  return new Reader(payload, 1).u32()
}

export function decodeExecute(payload: Buffer, context: ExecuteContext): Execute {
  const r = new Reader(payload, 1)
  const id = r.u32()
  const flags = r.u8()
  r.skip(4)
  const attributes = has(context.capabilities, capability.queryAttributes)
  let count = context.paramCount
  const counted = attributes && has(flags, executeFlag.parameterCountAvailable)
  if (count === 0 && !counted) return { id, flags, types: [], params: [] }
  if (attributes && (count > 0 || counted)) count = Math.max(count, r.lenenc())
  const bitmap = r.bytes((count + 7) >> 3)
  let types = context.types.slice()
  if (count > 0 && r.u8() === 1) {
    types = []
    for (let i = 0; i < count; i++) {
      const type = r.u8()
      types.push({ type, unsigned: (r.u8() & 0x80) !== 0 })
      if (attributes) r.skip(r.lenenc())
    }
  }
  const params: Param[] = []
  for (let i = 0; i < count; i++) {
    const isNull = ((bitmap[i >> 3] as number) & (1 << (i & 7))) !== 0
    // Connector/J sends no types when the first execution has nothing but NULL.
    const known = types[i] ?? (isNull ? { type: columnType.null, unsigned: false } : undefined)
    if (known === undefined) throw wireErrors.malformed({ detail: 'a statement is executed without parameter types' })
    const { type, unsigned } = known
    let value: Param['value']
    if (context.longData.has(i)) value = context.longData.get(i) as Buffer
    else if (isNull) value = null
    else value = readParam(r, type, unsigned)
    // Attributes beyond the parameters were read for their length only.
    if (i < context.paramCount) params.push({ type, unsigned, value })
  }
  return { id, flags, types: types.slice(0, context.paramCount), params }
}

function readParam(r: Reader, type: number, unsigned: boolean): Param['value'] {
  switch (type) {
    case columnType.null:
      return null
    case columnType.tiny:
    case columnType.bool: {
      const value = r.u8()
      return BigInt(unsigned ? value : (value << 24) >> 24)
    }
    case columnType.short:
    case columnType.year: {
      const value = r.u16()
      return BigInt(unsigned ? value : (value << 16) >> 16)
    }
    case columnType.int24:
    case columnType.long: {
      const value = r.u32()
      return BigInt(unsigned ? value : value | 0)
    }
    case columnType.longlong: {
      const value = r.u64()
      return unsigned ? value : BigInt.asIntN(64, value)
    }
    case columnType.float:
      return r.bytes(4).readFloatLE(0)
    case columnType.double:
      return r.bytes(8).readDoubleLE(0)
    case columnType.date:
    case columnType.newdate:
      return readDate(r, true, 0)
    case columnType.datetime:
    case columnType.timestamp:
      return readDate(r, false, 31)
    case columnType.time:
      return readTime(r, 31)
    default:
      return r.lenencBytes()
  }
}

export type ParamInput = null | bigint | number | string | Buffer

export function encodeExecute(id: number, params: readonly ParamInput[], capabilities: number): Buffer {
  const w = new Writer(64 + params.length * 16)
  w.u8(com.stmtExecute).u32(id).u8(0).u32(1)
  if (params.length === 0) return w.take()
  const attributes = has(capabilities, capability.queryAttributes)
  if (attributes) w.lenenc(params.length)
  const bitmapAt = w.length
  w.zeros((params.length + 7) >> 3).u8(1)
  for (let i = 0; i < params.length; i++) {
    const value = params[i] as ParamInput
    if (value === null) w.orAt(bitmapAt + (i >> 3), 1 << (i & 7))
    w.u8(typeOf(value)).u8(typeof value === 'bigint' && value > 0x7fffffffffffffffn ? 0x80 : 0)
    if (attributes) w.lenenc(0)
  }
  for (const value of params) {
    if (value === null) continue
    if (typeof value === 'bigint') w.u64(value)
    else if (typeof value === 'number') {
      if (Number.isSafeInteger(value)) w.u64(BigInt(value))
      else w.f64(value)
    } else if (typeof value === 'string') w.lenencText(value)
    else w.lenencBytes(value)
  }
  return w.take()
}

function typeOf(value: ParamInput): number {
  if (value === null) return columnType.null
  if (typeof value === 'bigint') return columnType.longlong
  if (typeof value === 'number') return Number.isSafeInteger(value) ? columnType.longlong : columnType.double
  return typeof value === 'string' ? columnType.varString : columnType.blob
}
