/** One statement for one shard, as the runner takes it, and how running it may end besides an answer. */
import type { Backend } from './backend.ts'
import type { Pin } from './plan/plan.ts'
import type { KeyspaceView, ShardView } from './view.ts'

export type Request = {
  readonly keyspace: string
  /** Asked anew at each attempt, by the routing of that moment. */
  choose(keyspace: KeyspaceView): ShardView
  /** The command as it goes to this connection. */
  frame(backend: Backend, shard: ShardView): Buffer | Promise<Buffer>
  readonly bytes: number
  readonly effect: 'read' | 'lock' | 'write'
  readonly rereadable: boolean
  /** A locking read that changes nothing. */
  readonly onlyLocks?: boolean
  readonly pins: readonly Pin[]
  /** The session's LAST_INSERT_ID must be known to the connection. */
  readonly lastInsertId: boolean
  /** The connection of the statement before, if it is at hand. */
  readonly needsPrevious: boolean
  /** Keep the connection at hand for the next statement. */
  readonly keepAtHand: boolean
  /** Not part of the session's transaction: what commits implicitly. */
  readonly outside: boolean
  /** False: several statements, of which some may stand when the server says no (CALL). */
  readonly whole: boolean
  /** Interrupted, a part of it may stand: its table is of an engine without transactions. */
  readonly partly?: boolean
  /** It reads user variables: on a connection that nobody else has left any on. */
  readonly readsVariables?: boolean
  /** It may set LAST_INSERT_ID() without telling so. */
  readonly setsInsertId?: boolean
  /** Whether the id that its OK names may be one that it gave, which leaves LAST_INSERT_ID() as it was; left out: it never is, or the caller knows. */
  readonly mayGiveId?: (id: bigint, framed: Buffer) => boolean
  /** An OK is not passed on: the caller makes its own of what it said. */
  readonly mute?: boolean
}

/** Of an unsharded keyspace: its only one. */
export const firstShard: Request['choose'] = (keyspace) => keyspace.shards[0] as ShardView

/** A hold began while a connection was waited for. Nothing was done. */
export class HeldMeanwhile extends Error {
  override name = 'HeldMeanwhile'
}

/** The answer broke off after a part of it had been passed on. */
export class HalfAnswered extends Error {
  override name = 'HalfAnswered'
  constructor(shard: string, cause: Error) {
    super(`the answer of shard ${shard} broke off`, { cause })
  }
}
