/**
 * Ids from sequence tables (Vitess's form: one row, id = 0, next_id, cache), in blocks. A block is taken by a transaction of its own
 * that locks the row, on a connection of its own.
 *
 * No id is given out twice: a block belongs to whoever's COMMIT was acknowledged; when that answer is lost the block is let go
 * (a gap) and another one taken. What a gate has left of a block ends with it.
 *
 * The ids of one statement are consecutive, as those of a server are: libraries count on from the first one that they are told. What is left of a block is too little for a statement: a block is taken
 * that is enough for all of it. Where that begins at the end of the old one, nobody else was served between the two, and they are one; else what was left is let go (a gap).
 */
import { unlessAborted } from '../base/unless-aborted.ts'
import type { Connection } from '../mysql/connection.ts'
import type { SequenceName } from '../keyspace/vschema-resolve.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { plainly } from './pools.ts'
import { shardName } from './transaction.ts'
import type { ShardView } from './view.ts'
import { askedWithin, type Within } from './within.ts'

type Taken = { readonly next: bigint; readonly end: bigint }
type Block = { next: bigint; end: bigint; taking: Promise<void> | null }

const attemptsMax = 50

export class Sequences {
  readonly #core: Core
  readonly #blocks = new Map<string, Block>()

  constructor(core: Core) {
    this.#core = core
  }

  /**
   * As many ids, one after the other.
   * @param keyspace of the sequence's table when its name has none
   */
  async take(sequence: SequenceName, keyspace: string, count: number, signal: AbortSignal): Promise<bigint[]> {
    const where = sequence.keyspace ?? keyspace
    const { table } = sequence
    const key = `${where}.${table}`
    let block = this.#blocks.get(key)
    if (block === undefined) this.#blocks.set(key, (block = { next: 0n, end: 0n, taking: null }))
    const wanted = BigInt(count)
    // What others take meanwhile may leave too little again; whoever has asked is served first.
    while (block.end - block.next < wanted) {
      // One asks for all who wait; none of them can end it for the others, and each may leave.
      block.taking ??= this.#reserve(where, table, count, block).finally(() => {
        ;(block as Block).taking = null
      })
      await unlessAborted(block.taking, signal)
    }
    const first = block.next
    block.next += wanted
    return Array.from({ length: count }, (_, i) => first + BigInt(i))
  }

  async #reserve(keyspaceName: string, table: string, least: number, block: Block): Promise<void> {
    const never = new AbortController().signal
    for (let attempt = 0; ; attempt++) {
      const keyspace = await this.#core.ready(keyspaceName, never)
      const shard = keyspace.shards[0] as ShardView
      if (this.#core.holds.active && this.#core.holds.mustWait(keyspaceName, [shard.component.key])) {
        await this.#core.holds.wait(keyspaceName, [shard.component.key], 64, never)
        continue
      }
      shard.traffic.writes++
      try {
        const taken = await askedWithin(this.#core, this.#core.config.sharedReadMs, shard, (within) =>
          this.#take(within, shard, table, BigInt(least)),
        )
        if (taken.next !== block.end) block.next = taken.next
        block.end = taken.end
        return
      } catch (error) {
        // Whatever became of it, taking another block is right; only a wrong table is not worth trying again.
        const code = error as { code?: string; errno?: number; class?: string }
        if (code.code === 'SW-GATE-204' || code.errno === 1146 || code.errno === 1142 || code.errno === 1054 || attempt >= attemptsMax)
          throw error
        await this.#core.afterRefusal(shard, keyspace.version, attempt, 64, never, error as Error)
      } finally {
        shard.traffic.writes--
        if (this.#core.holds.active) this.#core.holds.openChanged(keyspaceName)
      }
    }
  }

  async #take(within: Within, shard: ShardView, table: string, least: bigint): Promise<Taken> {
    const name = `\`${table.replaceAll('`', '``')}\``
    const connection: Connection = await this.#core.pools.connect(shard, plainly)
    within.uses(connection)
    try {
      await connection.query('BEGIN')
      const row = await connection.one(`SELECT next_id, cache FROM ${name} WHERE id = 0 FOR UPDATE`)
      if (row === undefined || row['next_id'] == null)
        throw gateErrors.sequenceMissing({ sequence: table, keyspace: shardName(shard), table, column: '' })
      const next = BigInt((row['next_id'] as Buffer).toString('latin1'))
      const cache = BigInt(row['cache']?.toString('latin1') ?? '1000')
      const size = cache > least ? cache : least
      await connection.query(`UPDATE ${name} SET next_id = ${next + size} WHERE id = 0`)
      await connection.query('COMMIT')
      return { next, end: next + size }
    } finally {
      within.done(connection)
      connection.destroy()
    }
  }
}
