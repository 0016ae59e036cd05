/**
 * Keys that the tail has brought since the oldest low marker in flight (PROTOCOLS 1.4). A chunk drops its rows of these keys when it
 * lands: the tail has brought, or will bring, their newest image. Dropping more than necessary is always safe, so keys are kept in
 * generations rather than with their order: a generation is begun *before* its marker is sent, hence every event behind the marker in the binlog
 * is added to it or a later one.
 */
export class TouchedKeys<Table extends object> {
  #generations: Generation<Table>[] = [newGeneration(0)]
  readonly #forever = new Map<Table, Set<string>>()
  #bytes = 0

  /** Estimated memory held. */
  get bytes(): number {
    return this.#bytes
  }

  /** Begins a generation (or shares the last while it is empty); `release` must follow. Call before the low marker is sent. */
  begin(): number {
    let last = this.#last()
    if (last.tables.size > 0) {
      last = newGeneration(last.id + 1)
      this.#generations.push(last)
    }
    last.users++
    return last.id
  }

  /** Another user of a generation that is held. */
  retain(id: number): void {
    const found = this.#generations.find((generation) => generation.id === id)
    if (found !== undefined) found.users++
  }

  release(id: number): void {
    const found = this.#generations.find((generation) => generation.id === id)
    if (found !== undefined) found.users--
    // Only from the front: a chunk needs its own generation and all later ones.
    while (this.#generations.length > 1) {
      const first = this.#generations[0]
      if (first === undefined || first.users > 0) break
      this.#generations.shift()
      this.#bytes -= first.bytes
    }
    const only = this.#generations[0]
    if (this.#generations.length === 1 && only !== undefined && only.users === 0 && only.tables.size > 0) {
      this.#generations = [newGeneration(only.id + 1)]
      this.#bytes -= only.bytes
    }
  }

  add(table: Table, key: string): void {
    const last = this.#last()
    let keys = last.tables.get(table)
    if (keys === undefined) last.tables.set(table, (keys = new Set()))
    const before = keys.size
    keys.add(key)
    if (keys.size > before) {
      const bytes = key.length + 64
      last.bytes += bytes
      this.#bytes += bytes
    }
  }

  /**
   * A key that every chunk drops, whenever its low marker was: keys of XA transactions on a server whose XA COMMIT may stand in the binlog before
   * its rows are visible (PROTOCOLS 1.9). Only keys that the tail *has brought*: one of an XA transaction rolled back later would be lost.
   */
  addForever(table: Table, key: string): void {
    let keys = this.#forever.get(table)
    if (keys === undefined) this.#forever.set(table, (keys = new Set()))
    if (keys.has(key)) return
    keys.add(key)
    this.#bytes += key.length + 64
  }

  /** A table is copied: its keys are of no use any more. */
  forget(table: Table): void {
    for (const key of this.#forever.get(table) ?? []) this.#bytes -= key.length + 64
    this.#forever.delete(table)
  }

  /** The sets that a chunk whose low marker has generation `since` must drop; empty when nothing was touched. */
  setsSince(table: Table, since: number): ReadonlySet<string>[] {
    const sets: ReadonlySet<string>[] = []
    const forever = this.#forever.get(table)
    if (forever !== undefined) sets.push(forever)
    for (const generation of this.#generations) {
      const keys = generation.id >= since ? generation.tables.get(table) : undefined
      if (keys !== undefined) sets.push(keys)
    }
    return sets
  }

  #last(): Generation<Table> {
    return this.#generations[this.#generations.length - 1] as Generation<Table>
  }
}

type Generation<Table> = { readonly id: number; readonly tables: Map<Table, Set<string>>; users: number; bytes: number }

function newGeneration<Table>(id: number): Generation<Table> {
  return { id, tables: new Map(), users: 0, bytes: 0 }
}
