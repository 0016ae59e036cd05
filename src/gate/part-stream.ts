/** One shard's part of a statement: the stream of a read, the outcome of a write. */
import type { Connection, Result, RowStream } from '../mysql/connection.ts'
import { ConnectionLost, isServerError } from '../mysql/errors.ts'
import type { Param } from '../wire/stmt-execute.ts'
import { HEADER_BYTES } from '../wire/frames.ts'
import type { Backend, BackendStatement } from './backend.ts'
import { executionOf, typesKey } from './parameters.ts'
import { closeStatement, prepareOn, prepareRaw } from './prepared.ts'
import type { Executed, Part } from './scatter-parts.ts'

/** Executions of one statement, whose text and parameters are mostly the same on all shards: what they have in common is made once. */
export class Executions {
  readonly #params: readonly Param[]
  #text: Buffer | null = null
  #parameters: readonly number[] = []
  #key = ''
  #frame: Buffer | null = null

  /** @param params the client's */
  constructor(params: readonly Param[]) {
    this.#params = params
  }

  /** Under what a connection keeps the part's statement. */
  key(text: Buffer, parameters: readonly number[]): string {
    if (text !== this.#text || parameters !== this.#parameters) {
      this.#text = text
      this.#parameters = parameters
      this.#key = text.toString('latin1') + typesKey(parameters, this.#params)
      this.#frame = null
    }
    return this.#key
  }

  /** Of the statement with this id. What was given before is never changed: it may not have gone out yet. */
  frame(id: number, text: Buffer, parameters: readonly number[]): Buffer {
    this.key(text, parameters)
    if (this.#frame === null) {
      this.#frame = executionOf(id, parameters, this.#params)
      return this.#frame
    }
    const frame = Buffer.allocUnsafe(this.#frame.length)
    frame.set(this.#frame)
    frame.writeUInt32LE(id, idAt)
    return frame
  }
}
/** Behind the header and the command. */
const idAt = HEADER_BYTES + 1

/** As a prepared statement where the client's is one: names, types and values are then those of the server's binary form. */
export function open({ text, parameters }: Part, backend: Backend, executions: Executions): Promise<RowStream> {
  const { connection } = backend
  if (parameters === undefined) return connection.rows(text)
  const execute = (on: BackendStatement): Promise<RowStream> => {
    on.boundTypes = null
    return connection.executedRows(executions.frame(on.id, text, parameters))
  }
  const key = executions.key(text, parameters)
  const known = backend.statements.get(key)
  return known === undefined ? prepareOn(backend, key, text).then(execute) : execute(known)
}

/**
 * A write, behind what is sent ahead of it. Where that is refused (MariaDB, where KILL QUERY meets it) the savepoint of the statement is not set, or is that of a statement before: a ROLLBACK TO it would take
 * that one back, too. So the connection ends, and the transaction with it.
 */
export async function performed(part: Part, backend: Backend, ahead: readonly string[]): Promise<Result> {
  const { text, parameters, params = [], once = false } = part
  const { connection } = backend
  if (parameters === undefined) {
    const answers = await connection.pipelineSettled([...ahead, text])
    const last = answers.pop()
    requireDone(connection, answers)
    if (last === undefined || last.status === 'rejected') throw last?.reason
    return last.value
  }
  const [before, outcome] = await Promise.allSettled([
    ahead.length === 0 ? [] : connection.pipelineSettled(ahead),
    once
      ? executedOnce(connection, { text, parameters, params })
      : prepareOn(backend, text.toString('latin1') + typesKey(parameters, params), text).then((on) => {
          on.boundTypes = null
          return connection.executed(executionOf(on.id, parameters, params))
        }),
  ])
  requireDone(connection, before.status === 'fulfilled' ? before.value : [before])
  if (outcome.status === 'rejected') throw outcome.reason
  return outcome.value
}

/** @throws ConnectionLost */
function requireDone(connection: Connection, ahead: readonly PromiseSettledResult<unknown>[]): void {
  const refused = ahead.find((answer) => answer.status === 'rejected')
  if (refused === undefined || !isServerError(refused.reason)) return
  connection.destroy(refused.reason)
  throw new ConnectionLost('outcomeUnknown', connection.server, refused.reason)
}

/** Sent as text where no parameter is left in it; else prepared for this execution alone. */
export async function executedOnce(connection: Connection, { text, parameters, params }: Executed): Promise<Result> {
  if (parameters.length === 0) return await connection.query(text)
  const { id } = await prepareRaw(connection, text, null)
  try {
    return await connection.executed(executionOf(id, parameters, params))
  } finally {
    closeStatement(connection, id)
  }
}

/** The same of what has rows, on a scratch connection: the statement goes when that is reset. */
export async function rowsOnce(connection: Connection, { text, parameters, params }: Executed): Promise<RowStream> {
  if (parameters.length === 0) return await connection.rows(text)
  const { id } = await prepareRaw(connection, text, null)
  return await connection.executedRows(executionOf(id, parameters, params))
}

/** Reads away what is left. */
export async function drain(stream: RowStream): Promise<void> {
  try {
    await stream[Symbol.asyncIterator]().return?.()
  } catch {
    // Its connection is gone; nothing is left to read.
  }
}
