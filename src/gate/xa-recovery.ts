/**
 * Ends branches that are in doubt: prepared, and nobody there who commits them (xa.ts says why this is right). Every gate looks, at all servers that it routes to;
 * what two of them do at once they do alike. A branch is left alone for `xaDoubtMs` after it was first seen: its gate is probably at work.
 *
 * MariaDB keeps a prepared branch with its connection while that lives: XA COMMIT by another answers 1397 then, and it is looked at again.
 */
import type { Connection } from '../mysql/connection.ts'
import { unknownXid, xidText } from '../mysql/decisions.ts'
import { isServerError } from '../mysql/errors.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { deciderOf, xaPrefix } from '../mysql/our-schema.ts'
import { innerConnection } from './inner-statements.ts'
import type { Core } from './core.ts'
import type { ShardView } from './view.ts'
import { Within } from './within.ts'

/** For all that a server has, and for one outcome that a decider is asked for: longer than such a statement waits for a lock. */
const lookMs = 30_000
const judgeMs = 12_000
const purgeEveryMs = 600_000

export class XaRecovery {
  readonly #core: Core
  readonly #seen = new Map<string, number>()
  readonly #refused = new Set<string>()
  #running: Promise<void> | null = null
  #ticks = 0
  #purgedMs: number | null = null

  constructor(core: Core) {
    this.#core = core
  }

  /** Now and then; while no keyspace asks for XA, less often. */
  tick(): void {
    const asked = [...this.#core.watch.view.keyspaces.values()].some(({ record }) => record.transactionMode === 'xa')
    if (!asked && this.#ticks++ % 30 !== 0) return
    this.#running ??= this.pass()
      .catch((error: unknown) => this.#core.log.warn({ error }, 'looking for transactions in doubt failed'))
      .finally(() => (this.#running = null))
  }

  async settled(): Promise<void> {
    await this.#running
  }

  async pass(): Promise<void> {
    await this.#core.xa.forgetFinished(lookMs)
    const byServer = new Map<string, ShardView>()
    const found = new Set<string>()
    let complete = true
    for (const keyspace of this.#core.watch.view.keyspaces.values()) {
      if (keyspace.role === 'replica') continue
      if (keyspace.notReady !== null) complete = false
      for (const shard of keyspace.shards) byServer.set(shard.server.id, shard)
    }
    // Side by side: one that does not answer keeps none of the others in doubt.
    const look = async (id: string, shard: ShardView): Promise<void> => {
      const within = new Within(this.#core, lookMs)
      try {
        for (const xid of await within.wait(this.#look(shard, within))) found.add(xid)
      } catch (error) {
        complete = false
        if (this.#refused.has(id)) return
        this.#refused.add(id)
        this.#core.log.warn(
          { server: id, error },
          'transactions in doubt can not be looked for there: on MySQL the account of the gate needs XA_RECOVER_ADMIN',
        )
      } finally {
        within.end()
      }
    }
    await Promise.all([...byServer].map(([id, shard]) => look(id, shard)))
    const nowMs = this.#core.clock.monotonicMs()
    if (!complete || (this.#purgedMs !== null && nowMs - this.#purgedMs < purgeEveryMs)) return
    this.#purgedMs = nowMs
    await Promise.all([...byServer.values()].map((shard) => this.#core.xa.purge(shard, found.size === 0, lookMs).catch(() => {})))
  }

  /** Those of one decider, on the server of `shard`. */
  async #end(shard: ShardView, connection: Connection, decider: ShardView, ones: readonly { gtrid: string; xid: string }[]): Promise<void> {
    for (const { gtrid, xid } of ones) {
      const within = new Within(this.#core, judgeMs)
      // One that can't be ended now keeps no other from it.
      try {
        const outcome = await within.wait(this.#core.xa.judge(gtrid, decider, within))
        await connection.query(`XA ${outcome.toUpperCase()} ${xid}`)
        this.#core.log.warn({ xid, outcome, server: shard.server.id }, 'a transaction that was in doubt was ended')
      } catch (error) {
        if (!connection.open) throw error
        if (!isServerError(error, unknownXid))
          this.#core.log.debug({ xid, server: shard.server.id, error }, 'a transaction in doubt could not be ended yet')
        if (within.over) return
      } finally {
        within.end()
      }
    }
  }

  /** Ours that are prepared on the server of this shard; those that are there too long are ended. */
  async #look(shard: ShardView, within: Within): Promise<string[]> {
    const backend = await innerConnection(this.#core, shard)
    within.uses(backend.connection)
    try {
      await this.#core.clocks.ask(shard.server.id, backend.connection)
      const all = (await flavourOf(backend.connection).xaRecover(backend.connection))
        .map(({ gtrid, bqual }) => ({ gtrid: gtrid.toString('latin1'), xid: xidText(gtrid, bqual) }))
        .filter(({ gtrid }) => gtrid.startsWith(xaPrefix))
      const nowMs = this.#core.clock.monotonicMs()
      const doubtful = new Map<ShardView, { gtrid: string; xid: string }[]>()
      for (const { gtrid, xid } of all) {
        const key = `${shard.server.id} ${xid}`
        const sinceMs = this.#seen.get(key) ?? nowMs
        this.#seen.set(key, sinceMs)
        if (this.#core.xa.active.has(gtrid) || nowMs - sinceMs < this.#core.config.xaDoubtMs) continue
        const decider = this.#core.xa.shard(deciderOf(gtrid) ?? '')
        if (decider === undefined) {
          this.#core.log.error(
            { xid, server: shard.server.id },
            'a transaction is in doubt and the shard that knows its outcome serves no more',
          )
          continue
        }
        doubtful.set(decider, [...(doubtful.get(decider) ?? []), { gtrid, xid }])
      }
      // Side by side: a decider that does not answer keeps only its own from their end.
      await Promise.all([...doubtful].map(([decider, ones]) => this.#end(shard, backend.connection, decider, ones)))
      const there = all.map(({ xid }) => `${shard.server.id} ${xid}`)
      const standing = new Set(there)
      for (const key of this.#seen.keys()) if (key.startsWith(`${shard.server.id} `) && !standing.has(key)) this.#seen.delete(key)
      return there
    } finally {
      within.done(backend.connection)
      backend.pool.give(backend)
    }
  }
}
