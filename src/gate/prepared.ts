/**
 * Prepared statements of a session. The client's ids are the session's own; on each server connection the same text is
 * prepared once and kept there for whoever sends it next (backend.ts), so a statement may be executed on any connection.
 *
 * COM_STMT_EXECUTE: 1 0x17 · 4 id · 1 cursor type · 4 iterations (1) · with parameters: NULL bitmap (n + 7) / 8 · 1 types
 * follow · 2 n types · values. A client sends types with its first execution only; the server remembers them per connection,
 * so they are remembered here and put in wherever a connection has not seen these.
 */
import type { Connection, RelayEnd, RelaySink } from '../mysql/connection.ts'
import { ConnectionLost, ServerError } from '../mysql/errors.ts'
import type { Lexed } from '../sql/lexer.ts'
import { com } from '../wire/commands.ts'
import { frame, frameCommand } from '../wire/frames.ts'
import type { Asked } from './asked-schemata.ts'
import { closeStatement, type Backend, type BackendStatement } from './backend.ts'
import { gateErrors } from './errors.ts'
import { goOn, noTypes, type KeptTypes } from './kept-types.ts'
import type { Places } from './parameter-places.ts'
import type { Passthrough } from './passthrough.ts'

export type SessionStatement = {
  readonly id: number
  /** The client's. */
  readonly text: Buffer
  /** What an unsharded keyspace's server gets, where its database is called `schema`. */
  sent: Buffer
  schema: string | undefined
  /** Bytes of what is sent as latin1: the key of connections' caches. */
  key: string
  /** The lexer's key. */
  readonly shape: string
  readonly keyspace: string
  /** What the session had chosen; may be none. */
  readonly keyspaceName: string
  readonly passthrough: Passthrough | null
  /** A question to information_schema, about whom. */
  readonly asked: Asked | null
  paramCount: number
  /** As last bound by the client. */
  types: Buffer | null
  /** What executions go on with: on MySQL all that were, on MariaDB the first (kept-types.ts). Null: none had types yet. */
  kept: KeptTypes | null
  readonly goesOn: boolean
  /** The last execution has a value of another type than that. */
  mixed: boolean
  /** Null: not looked at yet. */
  places: Places | null
  /** `kept` as text. A statement that goes on with others is another one on a connection. */
  bound: string
  /** `key` with `bound`: under which connections keep what is executed. */
  executionKey: string
  /** What its text was read under, and the settings that were last found to be alike in that. */
  readonly read: string
  alike: string
  /** Its text, cut, and the settings that it was cut under; null: not yet, or it is too long to be kept so. */
  lexed: Lexed | null
  lexedUnder: string
  /** COM_STMT_SEND_LONG_DATA since the last execution, whole payloads. */
  longData: Buffer[]
  longDataBytes: number
}

/** What an execution says, as ranges of its payload. */
export type Execution = {
  readonly nullBitmap: Buffer
  readonly types: Buffer | null
  readonly values: Buffer
}

/** `payload` begins with the command byte. */
export function readExecution(payload: Buffer, paramCount: number): Execution {
  const empty = payload.subarray(0, 0)
  if (paramCount === 0 || payload.length < 11) return { nullBitmap: empty, types: null, values: empty }
  const bitmapEnd = 10 + ((paramCount + 7) >> 3)
  const nullBitmap = payload.subarray(10, bitmapEnd)
  if (payload[bitmapEnd] !== 1) return { nullBitmap, types: null, values: payload.subarray(bitmapEnd + 1) }
  const typesEnd = bitmapEnd + 1 + 2 * paramCount
  return { nullBitmap, types: payload.subarray(bitmapEnd + 1, typesEnd), values: payload.subarray(typesEnd) }
}

/** Remembers types that a client sends, as a server does. Of each execution, before it is sent. */
export function bindTypes(statement: SessionStatement, { types, nullBitmap }: Pick<Execution, 'types' | 'nullBitmap'>): void {
  if (types !== null && statement.types?.equals(types) !== true) statement.types = Buffer.from(types)
  const isFirst = statement.kept === null
  if (statement.types === null || (!isFirst && !statement.goesOn)) return
  statement.kept ??= noTypes(statement.paramCount)
  const { changed, mixed } = goOn(statement.kept, statement.types, nullBitmap)
  statement.mixed = mixed
  if (changed || isFirst) goesOnWith(statement)
}

/** After a change of `kept`. */
export function goesOnWith(statement: SessionStatement): void {
  statement.bound = `\0${statement.kept?.toString('latin1') ?? ''}`
  statement.executionKey = statement.key + statement.bound
}

/** A client's execution: of 16 MiB and more it came in several frames, whose headers are no part of it. */
export type ExecutionPacket = { readonly payload: Buffer; framed(): Buffer }

/**
 * The framed execution for one connection. The client's own is changed in place where that does.
 */
export function executionFrame(packet: ExecutionPacket, statement: SessionStatement, on: BackendStatement): Buffer {
  const { payload } = packet
  if (payload.length < 10) return packet.framed()
  // No cursor: the rows come at once, which every client takes.
  payload[5] = 0
  payload.writeUInt32LE(on.id, 1)
  if (statement.paramCount === 0) return packet.framed()
  const execution = readExecution(payload, statement.paramCount)
  if (!statement.mixed && !execution.nullBitmap.some((byte) => byte !== 0)) on.whole = true
  if (execution.types !== null) {
    on.boundTypes = statement.types
    return packet.framed()
  }
  // On a shared connection the last to bind the same types was mostly another session.
  if (statement.types === null || on.boundTypes?.equals(statement.types) === true) return packet.framed()
  on.boundTypes = statement.types
  return frame(Buffer.concat([payload.subarray(0, 10), execution.nullBitmap, one, statement.types, execution.values]))
}
const one = Buffer.from([1])

/**
 * What a connection has for an execution: the statement that goes on with these types; else one that was prepared there and never executed, which is theirs
 * from now on.
 */
export function preparedFor(backend: Backend, statement: SessionStatement): BackendStatement | undefined {
  const { key, executionKey } = statement
  const known = backend.statements.get(executionKey)
  if (known !== undefined || executionKey === key) return known
  const fresh = backend.statements.get(key)
  if (fresh === undefined || fresh.boundTypes !== null) return undefined
  backend.statements.delete(key)
  backend.pool.remember(backend, executionKey, fresh)
  return fresh
}

/** Prepares `text` on a connection unless it is there. Errors: the server's, ConnectionLost. */
export async function prepareOn(backend: Backend, key: string, text: Buffer): Promise<BackendStatement> {
  const known = backend.statements.get(key)
  if (known !== undefined) return known
  const { id } = await prepareRaw(backend.connection, text, null)
  const made: BackendStatement = { id, boundTypes: null }
  backend.pool.remember(backend, key, made)
  return made
}

/** What PREPARE tells: the server's id, and the whole answer with `ownId` in its place, to be passed to a client. */
export type Prepared = { id: number; columnCount: number; paramCount: number; answer: Buffer }

/** The shortest answer of a server that has prepared something. */
const preparedBytes = 16
const notPrepared = {
  construct: 'a statement that the server answers by an OK without preparing it',
  reason: 'MySQL does so with a SET of what its account may not set, and does not say what is missing',
  fix: 'send it as plain text: the server says then what it lacks',
}

export function prepareRaw(connection: Connection, text: Buffer, ownId: number | null): Promise<Prepared> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    const sink: RelaySink = {
      bytes: (frames) => void parts.push(Buffer.from(frames)),
      end(end: RelayEnd) {
        if (end.kind === 'error') return reject(new ServerError(end.errno, end.sqlState, end.message))
        parts.push(Buffer.from(end.frame))
        const answer = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
        if (answer.length < preparedBytes) return reject(gateErrors.notForwarded(notPrepared))
        const id = answer.readUInt32LE(5)
        if (ownId !== null) answer.writeUInt32LE(ownId, 5)
        resolve({ id, columnCount: answer.readUInt16LE(9), paramCount: answer.readUInt16LE(11), answer })
      },
      fail: reject,
    }
    if (!connection.open) return reject(new ConnectionLost('nothingSent', ''))
    connection.relay(frameCommand(com.stmtPrepare, text), sink)
  })
}

export { closeStatement }
