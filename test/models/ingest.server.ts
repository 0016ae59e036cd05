/** A shard's server for the model of ingest: rows, row locks held to the end of a transaction, deadlock victims, late commits, older states. */
import type { Random } from './random.ts'

export type Triple = [sum: number, max: number, count: number]
export type Version = { et: number; tp: string; off: number }

export type Data = {
  pos: Map<string, { next: number; epoch: number }>
  agg: Map<string, { tenant: number; bucket: number; value: Triple }>
  last: Map<string, { tenant: number; version: Version; value: number }>
  rows: Map<string, { bucket: number; value: number }>
  ids: Map<string, number>
  uniq: Map<string, { bucket: number; count: number }>
  floor: number
  mark: Map<string, { tp: string; bucket: number; first: number; last: number }>
  uid: Set<string>
}

export type Tx = { shard: ModelShard; wait: { resource: string; mode: 'S' | 'X' } | null; dead: boolean; sent: boolean; at: number }

export class ModelShard {
  d: Data = {
    pos: new Map(),
    agg: new Map(),
    last: new Map(),
    rows: new Map(),
    ids: new Map(),
    uniq: new Map(),
    floor: 0,
    mark: new Map(),
    uid: new Set(),
  }
  locks = new Map<string, Map<Tx, 'S' | 'X'>>()
  late: { tx: Tx; body: () => unknown }[] = []
  old: Data[] = []
  /** The greatest epoch by which a `next` was ever read. */
  read = new Map<string, number>()
  gen = 0
}

export class ModelServers {
  txs: Tx[] = []
  now = 0
  faulty = true
  deadlocks = 0
  readonly r: Random

  constructor(r: Random) {
    this.r = r
  }

  holders(tx: Tx, resource: string, mode: 'S' | 'X'): Tx[] {
    return [...(tx.shard.locks.get(resource) ?? [])]
      .filter(([other, held]) => other !== tx && (mode === 'X' || held === 'X'))
      .map(([other]) => other)
  }

  release(tx: Tx): void {
    for (const held of tx.shard.locks.values()) held.delete(tx)
    tx.dead = true
  }

  #circle(tx: Tx): boolean {
    const seen = new Set<Tx>()
    const todo = [tx]
    for (let x = todo.pop(); x !== undefined; x = todo.pop()) {
      for (const other of x.wait === null ? [] : this.holders(x, x.wait.resource, x.wait.mode)) {
        if (other === tx) return true
        if (!seen.has(other)) {
          seen.add(other)
          todo.push(other)
        }
      }
    }
    return false
  }

  /** One transaction, driven by its client; null: rolled back, or nobody knows. */
  *txn<T>(shard: ModelShard, locks: readonly (readonly [string, 'S' | 'X'])[], body: () => T): Generator<undefined, T | null> {
    const { r } = this
    const tx: Tx = { shard, wait: null, dead: false, sent: false, at: this.now }
    this.txs.push(tx)
    try {
      for (const [resource, mode] of locks) {
        tx.wait = { resource, mode }
        while (this.holders(tx, resource, mode).length > 0) {
          if (this.#circle(tx)) {
            this.deadlocks++
            return null
          }
          yield
          if (tx.dead) return null
        }
        tx.wait = null
        const held = shard.locks.get(resource) ?? new Map<Tx, 'S' | 'X'>()
        shard.locks.set(resource, held)
        held.set(tx, mode === 'X' || held.get(tx) === 'X' ? 'X' : 'S')
        tx.at = this.now
        if (r.chance(0.4)) yield
        if (tx.dead) return null
      }
      if (this.faulty && r.chance(0.08)) {
        // COMMIT is sent and the connection lost: the server does it later.
        tx.sent = true
        shard.late.push({ tx, body })
        return null
      }
      const answer = body()
      return this.faulty && r.chance(0.05) ? null : answer
    } finally {
      if (!tx.sent) this.release(tx)
    }
  }
}
