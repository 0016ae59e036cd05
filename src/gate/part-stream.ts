/** The stream of one shard's part of a read. */
import type { RowStream } from '../mysql/connection.ts'
import type { Backend } from './backend.ts'
import { sendBefore } from './instant.ts'
import { executionOf, typesKey } from './parameters.ts'
import { prepareOn } from './prepared.ts'
import type { Part, ReadOptions } from './scatter-parts.ts'

/** As a prepared statement where the client's is one: names, types and values are then those of the server's binary form. */
export async function open(part: Part, backend: Backend, { params, timestamp }: ReadOptions): Promise<RowStream> {
  if (timestamp !== null) sendBefore(backend.connection, `SET timestamp=${timestamp}`)
  if (part.parameters === undefined) return await backend.connection.rows(part.text)
  const on = await prepareOn(backend, part.text.toString('latin1') + typesKey(part.parameters, params), part.text)
  on.boundTypes = null
  return await backend.connection.executedRows(executionOf(on.id, part.parameters, params))
}

/** Reads away what is left. */
export async function drain(stream: RowStream): Promise<void> {
  try {
    await stream[Symbol.asyncIterator]().return?.()
  } catch {
    // Its connection is gone; nothing is left to read.
  }
}
