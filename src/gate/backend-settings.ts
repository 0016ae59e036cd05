/**
 * Brings a shared connection to settings: the one way for sessions and for what the gate runs itself. Whoever takes a connection from a pool gets what the
 * last user left on it, so nothing may be sent before this.
 *
 * What was prepared under other quotes or literals is forgotten.
 */
import type { RelayEnd } from '../mysql/connection.ts'
import type { Backend } from './backend.ts'
import { SilentSink } from './relay.ts'
import { command } from './replies.ts'
import { basesOf } from './server-modes.ts'
import { readsOtherwise, statementsBetween, withoutInstant, withoutVariables } from './settings.ts'

export type Refusal = Pick<Extract<RelayEnd, { kind: 'error' }>, 'errno' | 'sqlState' | 'message'>

/**
 * Errors: what the server says of a setting; the connection is closed then.
 * @param refused the server refuses now what it accepted before; the connection is closed
 */
export async function bringTo(backend: Backend, wanted: string, refused: (end: Refusal) => void): Promise<void> {
  const statements = statementsBetween(backend.signature, wanted, basesOf(backend.connection))
  if (backend.statements.size > 0 && readsOtherwise(backend.signature, wanted)) backend.pool.forgetAll(backend)
  backend.signature = wanted
  // To what the gate has evaluated itself a server can always be set.
  const settings = withoutInstant(withoutVariables(wanted))
  const { acceptedSignatures } = backend.pool
  if (acceptedSignatures.has(settings)) {
    for (const sql of statements) pipelineSetting(backend, sql, refused)
    return
  }
  try {
    for (const sql of statements) await backend.connection.query(sql)
  } catch (error) {
    backend.connection.destroy()
    throw error
  }
  if (acceptedSignatures.size >= acceptedMax) acceptedSignatures.clear()
  acceptedSignatures.add(settings)
}

/** Sessions name what they like: more than these are asked for again. */
const acceptedMax = 1_000

/** Nothing of a session is left on it. */
export async function resetNow(backend: Backend): Promise<void> {
  backend.statements.clear()
  backend.signature = ''
  try {
    await backend.connection.reset()
  } catch (error) {
    backend.connection.destroy()
    throw error
  }
}

/** @param refused the server refuses now what it accepted before: this connection is not what we think it is */
export function pipelineSetting(backend: Backend, sql: string, refused: (end: Refusal) => void): void {
  pipelineFramed(backend, command(sql), (end) => {
    refused(end)
    return undefined
  })
}

/**
 * Sent before what follows, its answer seen by nobody.
 * @param refused nothing that follows is as it is meant: the connection ends, for the reason that this gives
 */
export function pipelineFramed(backend: Backend, framed: Buffer, refused: (end: Refusal) => Error | undefined): void {
  backend.connection.relayAhead(
    framed,
    new SilentSink((end) => {
      if (end instanceof Error || end.kind === 'ok') return
      backend.connection.destroy(refused(end))
    }),
  )
}
