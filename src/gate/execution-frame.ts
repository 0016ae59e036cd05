/** An execution as one shard's server gets it: the client's own packet where nothing of it is another, else its text and parameters anew. */
import type { Execution } from './execution.ts'
import { executionOf, idParam, typesKey } from './parameters.ts'
import { executionFrame, prepareOn } from './prepared.ts'
import { framedQuery } from './replies.ts'
import type { Request } from './request.ts'

/** @param chosen the parameters that the text has, by number; null: the client's own */
export function frameOf(e: Execution, text: Buffer, chosen: readonly number[] | null): Request['frame'] {
  const { statement, packet } = e
  const own = text === e.sql || text.equals(e.sql)
  if (statement === null) return () => (own && packet !== null ? packet.framed() : framedQuery(text))
  const params = [...e.params, ...e.ids.map(idParam)]
  const all = chosen ?? e.params.map((_, i) => i)
  // What is sent has its own types then.
  const key = statement.mixed
    ? text.toString('latin1') + typesKey(all, params)
    : own
      ? statement.executionKey
      : text.toString('latin1') + statement.bound
  const build = (on: Awaited<ReturnType<typeof prepareOn>>): Buffer => {
    if (chosen === null && packet !== null) return executionFrame(packet, statement, on)
    on.boundTypes = null
    return executionOf(on.id, all, params)
  }
  return (backend) => {
    const known = backend.statements.get(key)
    return known === undefined ? prepareOn(backend, key, text).then(build) : build(known)
  }
}
