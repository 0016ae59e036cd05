/**
 * A client's transaction over the shards that it touched: one branch a shard, each on a connection of its own, opened when
 * first needed.
 *
 * - Nothing of a transaction is ever repeated by the gate: when a branch is lost or refused, all branches are rolled back for
 *   real (ROLLBACK answered, or the connection destroyed, which makes the server do it) and the client gets 1213.
 * - COMMIT goes to branches that only read first (their failure harms nothing), then to those that wrote, one after the
 *   other. The first refusal before anything was committed rolls everything back. An outcome that no server told, or a
 *   refusal after a commit, is reported as such (promise 11).
 */
import { isConnectionLost, isServerError, type ServerError } from '../mysql/errors.ts'
import type { Backend } from './backend.ts'
import { isSwError } from '../base/errors.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { Xa } from './xa.ts'
import { commitBranch, commitByXa, rollbackBranch } from './xa-commit.ts'
import type { OpenTransaction, ShardView } from './view.ts'

export type Branch = {
  readonly shard: ShardView
  readonly backend: Backend
  wrote: boolean
  statements: number
  /** `gtrid,bqual` of a branch that XA START began. */
  xid: string | null
  prepared: boolean
}

export type TransactionOptions = {
  readonly readOnly: boolean | null
  readonly snapshot: boolean
  /** What SET TRANSACTION said of it: sent before each branch begins. */
  readonly before: readonly string[]
}

export type TransactionHost = {
  /** A keyspace's count of open transactions changed. */
  changed(keyspace: string): void
  /** A connection that a branch does not need any more. */
  release(backend: Backend): void
  readonly core: Core
}

export class Transaction implements OpenTransaction {
  /** BEGIN was sent by the client; else the server began it by autocommit=0. */
  readonly explicit: boolean
  readonly options: TransactionOptions
  readonly branches = new Map<string, Branch>()
  /** In order, for branches that are opened later. */
  savepoints: { readonly name: string; readonly sql: Buffer }[] = []
  /** Keyspace whose move ended it. */
  expelled: string | null = null
  /** A statement of it is running: it is rolled back after that. */
  busy = false
  /** Done once it has ended, whichever way: never rejects. */
  readonly afterEnd: (() => Promise<void> | undefined)[] = []
  /** The shard that it touched first: there the outcome is decided where others are XA's. */
  #decider: ShardView | null = null
  #gtrid: string | null = null
  readonly #host: TransactionHost
  #ended = false

  constructor(explicit: boolean, options: TransactionOptions, host: TransactionHost) {
    this.explicit = explicit
    this.options = options
    this.#host = host
  }

  get ended(): boolean {
    return this.#ended
  }

  /** @throws SW-GATE-025 for a transaction that is to write, on a replica */
  beginStatement(shard: Pick<ShardView, 'replicas' | 'keyspace'>): string {
    const { snapshot } = this.options
    const onReplica = shard.replicas !== null
    if (onReplica && this.options.readOnly === false)
      throw gateErrors.replicaWrite({ construct: 'START TRANSACTION READ WRITE', keyspace: shard.keyspace })
    const readOnly = onReplica ? true : this.options.readOnly
    const parts = [...(snapshot ? ['WITH CONSISTENT SNAPSHOT'] : []), ...(readOnly === null ? [] : [readOnly ? 'READ ONLY' : 'READ WRITE'])]
    return parts.length === 0 ? 'BEGIN' : `START TRANSACTION ${parts.join(', ')}`
  }

  addBranch(shard: ShardView, backend: Backend): Branch {
    const branch: Branch = { shard, backend, wrote: false, statements: 0, xid: null, prepared: false }
    this.#decider ??= shard
    this.branches.set(shard.uid, branch)
    shard.traffic.transactions.add(this)
    this.#host.changed(shard.keyspace)
    return branch
  }

  /** What begins the branch instead of BEGIN; null: it is no branch of XA's. */
  xaStart(branch: Branch): string | null {
    const decider = this.#decider
    const { xa } = this.#host.core
    if (decider === null || decider.uid === branch.shard.uid || this.options.readOnly === true || !xa.wanted(branch.shard.keyspace))
      return null
    this.#gtrid ??= xa.newId(decider)
    branch.xid = Xa.xid(this.#gtrid, branch.shard)
    return `XA START ${branch.xid}`
  }

  /** The branch has nothing open any more; its connection may be used again. */
  dropBranch(branch: Branch): void {
    if (this.branches.get(branch.shard.uid) !== branch) return
    this.branches.delete(branch.shard.uid)
    branch.shard.traffic.transactions.delete(this)
    this.#host.release(branch.backend)
    this.#host.changed(branch.shard.keyspace)
  }

  expel(keyspace: string): void {
    if (this.#ended || this.expelled !== null) return
    this.expelled = keyspace
    if (!this.busy) void this.rollback()
  }

  /** Rolls every branch back; resolves when all are. Never rejects: a branch that can't answer is cut off. */
  async rollback(): Promise<void> {
    await Promise.all([...this.branches.values()].map((branch) => this.#rollbackBranch(branch)))
    this.#ended = true
    await this.#after()
  }

  async #after(): Promise<void> {
    for (const act of this.afterEnd.splice(0)) await act()
  }

  async #rollbackBranch(branch: Branch): Promise<void> {
    await rollbackBranch(branch)
    this.dropBranch(branch)
  }

  /** Commits everywhere. Errors: SW-GATE-009, 202, 207, or the server's own; all branches have ended in any case. */
  async commit(): Promise<void> {
    const branches = [...this.branches.values()]
    const writers = branches.filter((b) => b.wrote)
    const prepared = writers.length > 1 ? writers.filter((b) => b.xid !== null) : []
    if (prepared.length > 0) return await this.#commitByXa(branches, prepared)
    const readers = branches.filter((b) => !b.wrote)
    await Promise.all(readers.map((b) => this.#commitReader(b)))
    const committed: Branch[] = []
    for (const branch of writers) {
      try {
        await commitBranch(branch)
      } catch (error) {
        await this.rollback()
        throw this.#commitError(branch, committed, error as Error)
      }
      committed.push(branch)
      this.dropBranch(branch)
    }
    this.#ended = true
    await this.#after()
  }

  async #commitReader(branch: Branch): Promise<void> {
    try {
      await commitBranch(branch)
    } catch {
      await rollbackBranch(branch)
    }
    this.dropBranch(branch)
  }

  async #commitByXa(branches: readonly Branch[], prepared: readonly Branch[]): Promise<void> {
    const decider = this.#decider as ShardView
    const own = branches.find((branch) => branch.xid === null && branch.shard.uid === decider.uid) ?? null
    await Promise.all(branches.filter((b) => b !== own && !prepared.includes(b)).map((b) => this.#commitReader(b)))
    try {
      await commitByXa(this.#host.core, this.#gtrid as string, decider, prepared, own)
    } catch (error) {
      const unknown = isSwError(error, 'SW-GATE-009')
      // Not known: whoever looks for what is in doubt ends the branches as it was decided.
      if (unknown) for (const branch of prepared) branch.backend.connection.destroy()
      await this.rollback()
      throw unknown ? error : this.#commitError(own ?? (prepared[0] as Branch), [], error as Error, true)
    }
    for (const branch of this.branches.values()) this.dropBranch(branch)
    this.#ended = true
    await this.#after()
  }

  /** @param undecided nothing can have been committed, whatever was lost */
  #commitError(branch: Branch, committed: readonly Branch[], error: Error, undecided = false): Error {
    const name = shardName(branch.shard)
    if (committed.length > 0) {
      const cause = isServerError(error) ? (error as ServerError).serverMessage : 'the server did not answer; there, the outcome is unknown'
      const rest = [...this.branches.values()].filter((b) => b.wrote && b !== branch).map((b) => shardName(b.shard))
      return gateErrors.partialCommit(
        { committed: committed.map((b) => shardName(b.shard)).join(', '), failed: [name, ...rest].join(', '), cause },
        error,
      )
    }
    if (isConnectionLost(error)) {
      if (undecided) return gateErrors.lostTransaction({ shard: name, cause: 'before the COMMIT was decided' }, error)
      if (error.outcome === 'nothingSent')
        return gateErrors.lostTransaction({ shard: name, cause: 'it was cut before the COMMIT was sent' }, error)
      return gateErrors.unknownOutcome({ shard: name, cause: 'during COMMIT' }, error)
    }
    if (isServerError(error)) {
      if (error.kind === 'readOnly') return gateErrors.commitRefused({ shard: name, cause: error.serverMessage }, error)
      // KILL reached the session while it committed: it may have done so.
      if ((error.kind === 'killed' || error.kind === 'interrupted') && !undecided)
        return gateErrors.unknownOutcome({ shard: name, cause: error.serverMessage }, error)
    }
    return error
  }
}

export function shardName(shard: ShardView): string {
  return `${shard.keyspace}/${shard.name}`
}
