/** One shard's part of a statement: the stream of a read, the outcome of a write. */
import type { Connection, Result, RowStream } from '../mysql/connection.ts'
import type { Backend } from './backend.ts'
import { executionOf, typesKey } from './parameters.ts'
import { closeStatement, prepareOn, prepareRaw } from './prepared.ts'
import type { Executed, Part, ReadOptions } from './scatter-parts.ts'

/** As a prepared statement where the client's is one: names, types and values are then those of the server's binary form. */
export async function open(part: Part, backend: Backend, { params }: ReadOptions): Promise<RowStream> {
  if (part.parameters === undefined) return await backend.connection.rows(part.text)
  const on = await prepareOn(backend, part.text.toString('latin1') + typesKey(part.parameters, params), part.text)
  on.boundTypes = null
  return await backend.connection.executedRows(executionOf(on.id, part.parameters, params))
}

/** A write, behind what is sent ahead of it whatever becomes of either. */
export async function performed(part: Part, backend: Backend, ahead: readonly string[]): Promise<Result> {
  const { text, parameters, params = [], once = false } = part
  const { connection } = backend
  if (parameters === undefined) {
    const last = (await connection.pipelineSettled([...ahead, text])).at(-1)
    if (last === undefined || last.status === 'rejected') throw last?.reason
    return last.value
  }
  const [, outcome] = await Promise.allSettled([
    ahead.length === 0 ? null : connection.pipelineSettled(ahead),
    once
      ? executedOnce(connection, { text, parameters, params })
      : prepareOn(backend, text.toString('latin1') + typesKey(parameters, params), text).then((on) => {
          on.boundTypes = null
          return connection.executed(executionOf(on.id, parameters, params))
        }),
  ])
  if (outcome.status === 'rejected') throw outcome.reason
  return outcome.value
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
