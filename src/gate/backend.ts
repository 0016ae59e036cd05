/** A connection of the gate's to a server, while sessions use it (`backend-pool.ts`). */
import type { Connection } from '../mysql/connection.ts'
import { ServerError } from '../mysql/errors.ts'
import type { BackendPool } from './backend-pool.ts'
import { countOfHistory } from './of-connections.ts'

/** KILL QUERY was sent for what ran on them: it may come after that has ended, and must not meet somebody else's statement. */
const struck = new WeakSet<Connection>()

export function strike(connection: Connection): void {
  struck.add(connection)
}

export function isStruck(connection: Connection): boolean {
  return struck.has(connection)
}

/** A statement prepared on one connection. */
export type BackendStatement = {
  readonly id: number
  /** The parameter types last bound here, as sent. */
  boundTypes: Buffer | null
  /** It was executed with a value for each of its parameters, of the types that it is kept under. */
  whole?: boolean
}

/** Whose statements a connection is for, while they have it: a session. */
export type Holder = object

export type Backend = {
  readonly connection: Connection
  readonly pool: BackendPool
  /** Settings in force. */
  signature: string
  /** Carries state that no signature names. */
  dirty: boolean
  /** Nobody but its holder has had it. */
  fresh: boolean
  /** It was reset, and its server does not log cascades of it any more. */
  hidesCascades: boolean
  /** Carries what a reset does not take back: nobody uses it again. */
  spoiled: boolean
  /** Sequences of which its holder has drawn here (drawn.ts). */
  drawn: Set<string> | null
  /** By text; oldest use first. */
  readonly statements: Map<string, BackendStatement>
  lastUsedMs: number
  /** Null: it lies in its pool, or is used by none. */
  holder: Holder | null
}

/** `read`: any will do, nothing is written by it. `fresh`: one that nobody has had. */
export type Need = 'read' | 'write' | 'fresh'

export function fits(backend: Backend, need: Need): boolean {
  return need === 'read' || (need === 'fresh' ? backend.fresh : !backend.hidesCascades)
}

/** A routine may have had statements profiled or traced, and others would find the texts there. */
export async function keepsHistory(connection: Connection): Promise<boolean> {
  try {
    return (await connection.value(countOfHistory)) !== '0'
  } catch (error) {
    // A server that has no such tables any more.
    if (error instanceof ServerError) return false
    throw error
  }
}

/** COM_STMT_CLOSE: no answer comes. */
export function closeStatement(connection: Connection, id: number): void {
  if (!connection.open) return
  const framed = Buffer.allocUnsafe(9)
  framed.writeUInt32LE(5, 0)
  framed[4] = 0x19
  framed.writeUInt32LE(id, 5)
  connection.relay(framed, noAnswer)
}

const noAnswer = { bytes(): void {}, end(): void {}, fail(): void {} }
