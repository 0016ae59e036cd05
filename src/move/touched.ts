/**
 * Keys that the tail has brought since the oldest low marker in flight (PROTOCOLS 1.4). A chunk drops its rows of these keys when it
 * lands: the tail has brought, or will bring, their newest image. Dropping more than necessary is always safe, so keys are kept in
 * generations rather than with their order: one for each low marker (or several). A key goes to the generation whose marker the tail has met last: it stands in the binlog behind that one, and
 * before those of later generations, whose chunks need not drop it. So a tail that is far behind keeps nothing for the chunks that are read meanwhile.
 *
 * A generation is begun *before* its marker is sent, with a number that the marker has at least: hence the tail never meets an event behind the marker without knowing it for one.
 */
export class TouchedKeys<Table extends object> {
  /** In the order of their markers. */
  readonly #generations: Generation<Table>[] = []
  #nextId = 0
  /** Number of the last marker that the tail has met. */
  #met = 0
  /** The last generation whose marker it has met. */
  #current: Generation<Table> | null = null
  /** Of XA transactions whose commit may not be visible yet, by when it was met in the tail; the last takes what comes. */
  #unproven: Unproven<Table>[] = [newUnproven()]
  #bytes = 0
  #unprovenBytes = 0

  /** Estimated memory held. */
  get bytes(): number {
    return this.#bytes + this.#unprovenBytes
  }

  /** Of it, what is kept for chunks in flight. */
  get sinceMarkersBytes(): number {
    return this.#bytes
  }

  /** Begins a generation (or shares the last while it is empty); `release` must follow. Call before the low marker is sent. `marker`: its number will not be less. */
  begin(marker = 0): number {
    let last = this.#generations.at(-1)
    if (last === undefined || last.tables.size > 0) {
      last = { id: this.#nextId++, marker, tables: new Map(), users: 0, bytes: 0 }
      this.#generations.push(last)
      this.#look()
    }
    last.users++
    return last.id
  }

  /** The tail has come to a marker. */
  met(marker: number): void {
    this.#met = Math.max(this.#met, marker)
    this.#look()
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
    while (this.#generations[0]?.users === 0) this.#bytes -= this.#generations.shift()?.bytes ?? 0
    this.#look()
  }

  add(table: Table, key: string): void {
    // None: it stands before the low marker of every chunk in flight.
    if (this.#current !== null) this.#bytes += put(this.#current, table, key)
  }

  /**
   * A key of an XA transaction on a server whose XA COMMIT may stand in the binlog before its rows are visible (PROTOCOLS 1.9): every chunk drops it, whenever its low marker was, until the
   * server has forgotten the xid: reads that begin then see it. Only keys that the tail *has brought*: one of an XA transaction rolled back later would be lost.
   */
  addUnproven(table: Table, key: string, xid: string): void {
    // The rest of one that was too large.
    if (this.#unproven.some(({ dropped, xids }) => dropped && xids.has(xid))) return
    const last = this.#unproven.at(-1)
    if (last === undefined) return
    last.xids.add(xid)
    this.#unprovenBytes += put(last, table, key)
  }

  get waitsForProof(): boolean {
    return this.#unproven.some(({ xids }) => xids.size > 0)
  }

  /** To be called before the server is asked which xids it knows: what is committed from now on waits for the next question. */
  askProof(): void {
    if ((this.#unproven.at(-1)?.xids.size ?? 0) > 0) this.#unproven.push(newUnproven())
    for (const one of this.#unproven.slice(0, -1)) one.asked = true
  }

  /** Of it, keys of XA transactions whose commit may not be visible yet. */
  get unprovenBytes(): number {
    return this.#unprovenBytes
  }

  /**
   * Their keys take more than they may: they are dropped. Whoever calls throws away every chunk in flight, and begins none before `mustProve` is over: what is read then has the rows.
   */
  dropUnproven(): void {
    for (const one of this.#unproven) {
      if (one.bytes === 0) continue
      one.tables.clear()
      one.bytes = 0
      one.dropped = true
    }
    this.#unprovenBytes = 0
    // What is committed from here on has its keys again, and is not waited for.
    if (this.#unproven.at(-1)?.dropped === true) this.#unproven.push(newUnproven())
  }

  /** Keys were dropped and the server was not seen to have forgotten all of their xids since. */
  get mustProve(): boolean {
    return this.#unproven.some(({ dropped, xids }) => dropped && xids.size > 0)
  }

  /** What the server knew after the last `askProof`. */
  prove(known: ReadonlySet<string>): void {
    for (const { xids, asked } of this.#unproven) for (const xid of asked ? xids : []) if (!known.has(xid)) xids.delete(xid)
    this.#letGo()
  }

  /** The xid was begun anew behind its commit: the server had forgotten it in between. */
  begunAnew(xid: string): void {
    for (const { xids } of this.#unproven) xids.delete(xid)
    this.#letGo()
  }

  /** Chunks in flight may have been read before: they drop the keys still. */
  #letGo(): void {
    for (const done of this.#unproven.filter(({ xids, bytes }) => xids.size === 0 && bytes > 0)) {
      const last = this.#generations.at(-1)
      this.#unprovenBytes -= done.bytes
      if (last !== undefined) for (const [table, keys] of done.tables) for (const key of keys) this.#bytes += put(last, table, key)
      done.tables.clear()
      done.bytes = 0
    }
    const open = this.#unproven.at(-1)
    this.#unproven = this.#unproven.filter((one) => one === open || one.xids.size > 0)
  }

  /** A table is copied: its keys are of no use any more. */
  forget(table: Table): void {
    for (const one of this.#unproven) {
      const bytes = [...(one.tables.get(table) ?? [])].reduce((sum, key) => sum + key.length + keyRestBytes, 0)
      one.tables.delete(table)
      one.bytes -= bytes
      this.#unprovenBytes -= bytes
    }
  }

  /** The sets that a chunk whose low marker has generation `since` must drop; empty when nothing was touched. */
  setsSince(table: Table, since: number): ReadonlySet<string>[] {
    const sets: ReadonlySet<string>[] = []
    for (const { tables } of [...this.#unproven, ...this.#generations.filter(({ id }) => id >= since)]) {
      const keys = tables.get(table)
      if (keys !== undefined) sets.push(keys)
    }
    return sets
  }

  #look(): void {
    this.#current = this.#generations.findLast(({ marker }) => marker <= this.#met) ?? null
  }
}

type Keys<Table> = { readonly tables: Map<Table, Set<string>>; bytes: number }
type Generation<Table> = Keys<Table> & { readonly id: number; readonly marker: number; users: number }
/** `asked`: whether the server was asked after all of it was committed. */
type Unproven<Table> = Keys<Table> & { readonly xids: Set<string>; asked: boolean; dropped: boolean }

/** What a key costs beside its text. */
const keyRestBytes = 64

function newUnproven<Table>(): Unproven<Table> {
  return { xids: new Set(), tables: new Map(), bytes: 0, asked: false, dropped: false }
}

/** Bytes that it takes more. */
function put<Table>(into: Keys<Table>, table: Table, key: string): number {
  let keys = into.tables.get(table)
  if (keys === undefined) into.tables.set(table, (keys = new Set()))
  if (keys.has(key)) return 0
  keys.add(key)
  const bytes = key.length + keyRestBytes
  into.bytes += bytes
  return bytes
}
