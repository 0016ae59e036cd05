/**
 * A client's transaction over the shards that it touched: one branch a shard, each on a connection of its own, opened when
 * first needed.
 *
 * - Nothing of a transaction is ever repeated by the gate: when a branch is lost or refused, all branches are rolled back for
 *   real (ROLLBACK answered, or the connection destroyed, which makes the server do it) and the client gets 1213.
 * - COMMIT goes to branches that only read first (their failure harms nothing), then to those that wrote, one after the
 *   other. The first refusal before anything was committed rolls everything back. An outcome that no server told, or a
 *   refusal after a commit, is reported as such (promise 11).
 * - Branches that only locked rows for the client keep them until all that was written is committed: whoever gets such a lock
 *   next sees what its holder wrote elsewhere. One whose connection is gone has lost them, so nothing is committed at all:
 *   each is asked before. (What is cut between that and the COMMITs, within one round trip, is not seen.)
 */
import { xidText } from '../mysql/decisions.ts'
import { isConnectionLost, isServerError } from '../mysql/errors.ts'
import type { Backend, Holder } from './backend.ts'
import { isSwError } from '../base/errors.ts'
import type { Core } from './core.ts'
import type { Waiter } from './deadlocks.ts'
import { gateErrors } from './errors.ts'
import type { Request } from './request.ts'
import { commitBranch, commitByXa, rollbackBranch } from './xa-commit.ts'
import type { OpenTransaction, ShardView } from './view.ts'

export type Branch = {
  readonly shard: ShardView
  readonly backend: Backend
  /** It entered for its connection (`Pools.enter`), and leaves with it. */
  readonly counted: boolean
  wrote: boolean
  /** Reads of it locked rows. */
  locked: boolean
  /** What begins it was sent: never twice, whatever became of its first statement. */
  begun: boolean
  /** Without BEGIN: a server has said that it is in a transaction there. (An error does not say.) */
  open: boolean
  /** That were sent to it, refused ones too. */
  statements: number
  /** `gtrid,bqual` of a branch that XA START began. */
  xid: string | null
  prepared: boolean
}

export type TransactionOptions = {
  /** One statement's own that changes every copy of a reference table: on all shards under `single` too. */
  readonly copies?: boolean
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
  /** What runs is ended; its client is told why, and the transaction is rolled back. */
  giveUp(why: Error): void
  readonly core: Core
  /** By whom its connections are held. */
  readonly connections: Holder
}

export class Transaction implements OpenTransaction, Waiter {
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
  /** Done once it has ended, whichever way. */
  readonly afterEnd: ((committed: boolean) => void)[] = []
  /** The shard that it touched first, of those where anything of it stands: there the outcome is decided where others are XA's. */
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

  /** That were sent, on all branches. */
  get statements(): number {
    let count = 0
    for (const branch of this.branches.values()) count += branch.statements
    return count
  }

  get places(): Waiter['places'] {
    return [...this.branches.values()].map(({ shard, backend }) => ({ shard, session: backend.connection.threadId }))
  }

  giveUp(why: Error): void {
    this.#host.giveUp(why)
  }

  /**
   * Under transaction_mode `single` a transaction is on one shard: of all keyspaces, as a COMMIT on a second one would be as little atomic there as within one. Whoever
   * opens a branch asks, whatever it is for. (What is locked or read by transactions of the gate's own, lookups and sequences, opens none.)
   * Errors: SW-GATE-201.
   */
  requireAlone(shard: ShardView): void {
    if (this.branches.size === 0 || this.branches.has(shard.uid) || this.options.copies === true) return
    const { keyspaces } = this.#host.core.watch.view
    for (const { shard: first } of this.branches.values())
      for (const { keyspace } of [shard, first])
        if (keyspaces.get(keyspace)?.record.transactionMode === 'single')
          throw gateErrors.singleMode({ first: shardName(first), second: shardName(shard), keyspace })
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

  addBranch(shard: ShardView, backend: Backend, counted: boolean): Branch {
    const branch: Branch = {
      shard,
      backend,
      counted,
      wrote: false,
      locked: false,
      begun: false,
      open: false,
      statements: 0,
      xid: null,
      prepared: false,
    }
    this.#decider ??= shard
    this.branches.set(shard.uid, branch)
    if (this.branches.size === 2) this.#host.core.deadlocks.add(this)
    shard.traffic.transactions.add(this)
    this.#host.changed(shard.keyspace)
    return branch
  }

  /**
   * What begins the branch instead of BEGIN; null: it is no branch of XA's. With one keyspace that wants it all do: what
   * commits by itself beside it would not be atomic with the rest.
   */
  xaStart(branch: Branch): string | null {
    const decider = this.#decider
    const { xa } = this.#host.core
    if (decider === null || decider.uid === branch.shard.uid || this.options.readOnly === true) return null
    if (![...this.branches.values()].some(({ shard }) => xa.wanted(shard.keyspace))) return null
    this.#gtrid ??= xa.newId(decider)
    branch.xid = xidText(this.#gtrid, branch.shard.uid)
    return `XA START ${branch.xid}`
  }

  /** The branch has nothing open any more; its connection may be used again. */
  dropBranch(branch: Branch): void {
    if (this.branches.get(branch.shard.uid) !== branch) return
    this.branches.delete(branch.shard.uid)
    // It begins again, perhaps on other shards (a switch): the one before may be closed for good, and its server asked by nobody.
    if (this.branches.size === 0) this.#decider = this.#gtrid = null
    if (this.branches.size === 1) this.#host.core.deadlocks.delete(this)
    branch.shard.traffic.transactions.delete(this)
    this.#host.release(branch.backend)
    if (branch.counted) this.#host.core.pools.left(this, branch.shard)
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
    this.#after(false)
  }

  #after(committed: boolean): void {
    for (const act of this.afterEnd.splice(0)) act(committed)
  }

  async #rollbackBranch(branch: Branch): Promise<void> {
    await rollbackBranch(branch)
    this.dropBranch(branch)
  }

  /** Commits everywhere. Errors: SW-GATE-008, 009, 041, 202, 207, or the server's own; all branches have ended in any case. */
  async commit(): Promise<void> {
    const branches = [...this.branches.values()]
    const writers = branches.filter((b) => b.wrote)
    const holders = branches.filter((b) => !b.wrote && b.locked)
    if (branches.length > 1) await this.#requireLocks(holders)
    if (writers.length > 1 && writers.some((b) => b.xid !== null)) await this.#commitByXa(branches, writers)
    else {
      await Promise.all(branches.filter((b) => !b.wrote && !b.locked).map((b) => this.#commitReader(b)))
      await this.#requireOpen(writers)
      await this.#commitInOrder(writers)
    }
    await this.#release(holders, writers.length > 0)
    this.#ended = true
    this.#after(true)
  }

  async #commitInOrder(writers: readonly Branch[]): Promise<void> {
    const committed: Branch[] = []
    for (const branch of writers) {
      try {
        await commitBranch(branch)
      } catch (error) {
        const told = this.#commitError(branch, committed, writers.slice(committed.length + 1), error as Error)
        await this.rollback()
        throw told
      }
      committed.push(branch)
      this.dropBranch(branch)
    }
  }

  /** What one of them wrote is gone with its connection: then nothing is committed anywhere. (What is cut from here on is not seen.) */
  async #requireOpen(writers: readonly Branch[]): Promise<void> {
    const lost = writers.find(({ backend }) => !backend.connection.open)
    if (lost === undefined) return
    await this.rollback()
    throw gateErrors.lostTransaction({ shard: shardName(lost.shard), cause: 'it was cut before the COMMIT was sent' })
  }

  /** Every one of them has its locks still. */
  async #requireLocks(holders: readonly Branch[]): Promise<void> {
    const asked = await Promise.allSettled(holders.map(({ backend }) => backend.connection.query('DO 0')))
    const at = asked.findIndex(({ status }) => status === 'rejected')
    const lost = holders[at]
    if (lost === undefined) return
    await this.rollback()
    throw gateErrors.lostTransaction(
      { shard: shardName(lost.shard), cause: 'and with it the locks that it held' },
      (asked[at] as PromiseRejectedResult).reason,
    )
  }

  /** @param done the transaction is committed: what is left are locks, which go in any case */
  async #release(holders: readonly Branch[], done: boolean): Promise<void> {
    for (const branch of holders) {
      try {
        await commitBranch(branch)
      } catch (error) {
        if (!done) {
          await this.rollback()
          throw isConnectionLost(error)
            ? gateErrors.lostTransaction({ shard: shardName(branch.shard), cause: 'and with it the locks that it held' }, error)
            : this.#commitError(branch, [], [], error as Error, true)
        }
        await rollbackBranch(branch)
      }
      this.dropBranch(branch)
    }
  }

  async #commitReader(branch: Branch): Promise<void> {
    try {
      await commitBranch(branch)
    } catch {
      await rollbackBranch(branch)
    }
    this.dropBranch(branch)
  }

  async #commitByXa(branches: readonly Branch[], writers: readonly Branch[]): Promise<void> {
    const decider = this.#decider as ShardView
    // The decision releases its locks before the others are committed: not with a branch that has nothing but locks.
    const own = branches.find((b) => b.xid === null && b.shard.uid === decider.uid && (b.wrote || !b.locked)) ?? null
    const prepared = writers.filter((b) => b.xid !== null)
    const alone = writers.find((b) => b.xid === null && b !== own)
    if (alone !== undefined) {
      await this.rollback()
      const { keyspace } = (branches.find((b) => this.#host.core.xa.wanted(b.shard.keyspace)) ?? alone).shard
      throw gateErrors.notAtomic({ shard: shardName(alone.shard), keyspace })
    }
    await Promise.all(branches.filter((b) => b !== own && !b.wrote && !b.locked).map((b) => this.#commitReader(b)))
    try {
      await commitByXa(this.#host.core, this.#gtrid as string, decider, prepared, own, this.#host.connections)
    } catch (error) {
      const unknown = isSwError(error, 'SW-GATE-009')
      // Not known: whoever looks for what is in doubt ends the branches as it was decided.
      if (unknown) for (const branch of prepared) branch.backend.connection.destroy()
      const told = unknown ? error : this.#commitError(own ?? (prepared[0] as Branch), [], [], error as Error, true)
      await this.rollback()
      throw told
    }
    for (const branch of [...prepared, ...(own === null ? [] : [own])]) this.dropBranch(branch)
  }

  /**
   * @param rest those that wrote and were not asked to commit: they are rolled back
   * @param undecided nothing can have been committed, whatever was lost
   */
  #commitError(branch: Branch, committed: readonly Branch[], rest: readonly Branch[], error: Error, undecided = false): Error {
    const name = shardName(branch.shard)
    if (committed.length > 0) {
      const cause = isServerError(error) ? error.serverMessage : `${name} did not answer; there, the outcome is unknown`
      const failed = [branch, ...rest].map((b) => shardName(b.shard)).join(', ')
      return gateErrors.partialCommit({ committed: committed.map((b) => shardName(b.shard)).join(', '), failed, cause }, error)
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

/** What may have written counts as a write: a failing COMMIT of it is told. */
export function noteStatement(
  branch: Branch,
  { effect, rereadable, onlyLocks }: Pick<Request, 'effect' | 'rereadable' | 'onlyLocks'>,
): void {
  branch.statements++
  if (onlyLocks === true) branch.locked = true
  else if (effect !== 'read' || !rereadable) branch.wrote = true
}

export function shardName(shard: ShardView): string {
  return `${shard.keyspace}/${shard.name}`
}
