/** A connection to each shard that is read for a statement that is put together at one place (gather-fill.ts): the transaction's branch, or one with a snapshot of its own. */
import type { Backend } from './backend.ts'
import { marked } from './inner-statements.ts'
import type { Runner } from './runner.ts'
import type { Scatter } from './scatter.ts'
import { atInstant } from './settings.ts'
import type { Transaction } from './transaction.ts'
import type { ShardView } from './view.ts'

export class Readers {
  readonly #runner: Runner
  readonly #scatter: Scatter
  readonly #transaction: Transaction | null
  readonly #snapshot: boolean
  /** The statement's instant, where it asks for it. */
  readonly #timestamp: string | null
  readonly #mayWrite: boolean
  readonly #open = new Map<string, Promise<Backend>>()
  /** Something was sent to a shard. */
  asked = false
  /** What conditions were warned of there. */
  warnings = 0

  /** @param mayWrite what is asked of the shards may call what writes: a COMMIT that fails is told then */
  constructor(
    runner: Runner,
    scatter: Scatter,
    transaction: Transaction | null,
    snapshot: boolean,
    timestamp: string | null,
    mayWrite = false,
  ) {
    this.#mayWrite = mayWrite
    this.#timestamp = timestamp
    this.#runner = runner
    this.#scatter = scatter
    this.#transaction = transaction
    this.#snapshot = snapshot
  }

  /** @param locks the rows that it reads */
  async each(
    shard: ShardView,
    text: Buffer,
    locks: boolean,
    row: (batch: { row(i: number): (Buffer | null)[] }, i: number) => Promise<void> | undefined,
  ): Promise<void> {
    const backend = await this.#of(shard)
    const branch = this.#transaction?.branches.get(shard.uid)
    if (branch !== undefined && locks) branch.locked = true
    this.asked = true
    await marked(this.#scatter, backend.connection, 'read', async () => {
      const stream = await backend.connection.rows(text)
      for await (const batch of stream) {
        for (let i = 0; i < batch.length; i++) {
          try {
            const wait = row(batch, i)
            if (wait !== undefined) await wait
          } catch (error) {
            await this.#leaveRest(backend)
            throw error
          }
        }
      }
      this.warnings += stream.warnings
    })
  }

  /** The rows that still come, however many, are not waited for: what ends the transaction or gives the connection back would stand behind them. */
  async #leaveRest({ connection }: Backend): Promise<void> {
    if (this.#transaction === null) connection.destroy()
    else await this.#runner.core.pools.killQuery(connection).catch(() => connection.destroy())
  }

  #of(shard: ShardView): Promise<Backend> {
    let backend = this.#open.get(shard.uid)
    if (backend === undefined) {
      backend = this.#connect(shard)
      this.#open.set(shard.uid, backend)
    }
    return backend
  }

  async #connect(shard: ShardView): Promise<Backend> {
    const wanted = atInstant(this.#runner.settings.own, this.#timestamp)
    if (this.#transaction !== null) {
      const branch = await this.#runner.openBranch(this.#transaction, shard, wanted)
      branch.statements++
      branch.wrote ||= this.#mayWrite
      return branch.backend
    }
    const backend = await this.#runner.openPlain(shard, wanted)
    if (this.#snapshot) {
      // Sent before what is read in it, and waited for with that. Of one statement's tables a server takes one snapshot at every level: below REPEATABLE READ each of ours would have another.
      const begun = backend.connection.pipeline([
        'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ',
        'START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY',
      ])
      begun.catch((error: unknown) => backend.connection.destroy(error as Error))
    }
    return backend
  }

  async end(): Promise<void> {
    if (this.#transaction !== null) return
    for (const opening of this.#open.values()) {
      const backend = await opening.catch(() => null)
      if (backend === null) continue
      if (backend.connection.open && backend.connection.inTransaction) await backend.connection.query('ROLLBACK').catch(() => {})
      this.#runner.connections.done(backend, false)
    }
  }
}
