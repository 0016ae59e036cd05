/**
 * How many connections of a server transactions hold, so that none of them waits for ever for its next one. A transaction over several shards of one server takes a connection for each as it comes to it, and keeps them:
 * with as many such transactions as there are connections each would hold some and wait for another, until all of them are told that there is none (SW-GATE-014).
 *
 * So a connection is given to a transaction only while some order is left in which all that are open can come to their end, each with what is free and what those before it have given back (the banker's rule,
 * E. W. Dijkstra, EWD 623): what a transaction may still come to need is a connection for each shard of the keyspaces that it has touched. That is looked at only where fewer are free than one transaction may need:
 * before, the order of a moment ago is good for whatever one connection less means. A statement outside of transactions that holds several at once asks for all of them before the first; one that needs a single one
 * is not counted: it ends by itself.
 */

/** By server. */
export type Counts = ReadonlyMap<string, number>

type Account = { readonly held: Map<string, number>; readonly claims: Map<string, number>; readonly keyspaces: Set<string> }

type Waiter<H> = { readonly holder: H; readonly server: string; readonly count: number; enter(): void }

export class Claims<H extends object> {
  readonly #max: number
  readonly #accounts = new Map<H, Account>()
  /** Of all accounts. */
  readonly #held = new Map<string, number>()
  /** The most that anybody has claimed of it. */
  readonly #most = new Map<string, number>()
  readonly #waiting: Waiter<H>[] = []

  /** @param max connections to one server */
  constructor(max: number) {
    this.#max = max
  }

  /** @param shards of the keyspace, by server: what a transaction that touches it may come to need */
  claim(holder: H, keyspace: string, shards: Counts): void {
    const { keyspaces, claims } = this.#account(holder)
    if (keyspaces.has(keyspace)) return
    keyspaces.add(keyspace)
    for (const [server, count] of shards) {
      const all = (claims.get(server) ?? 0) + count
      // Of more than there are nobody can be promised all: others would wait for whoever has touched one.
      this.#claims(claims, server, all <= this.#max ? all : Math.max(1, this.#max >> 1))
    }
  }

  /** It will take so many more. */
  expect(holder: H, counts: Counts): void {
    const { held, claims } = this.#account(holder)
    for (const [server, count] of counts) this.#claims(claims, server, Math.max(claims.get(server) ?? 0, (held.get(server) ?? 0) + count))
  }

  #claims(claims: Map<string, number>, server: string, count: number): void {
    claims.set(server, count)
    if (count > (this.#most.get(server) ?? 1)) this.#most.set(server, count)
  }

  #hold({ held }: Account, server: string, count: number): void {
    const now = (held.get(server) ?? 0) + count
    if (now > 0) held.set(server, now)
    else held.delete(server)
    this.#held.set(server, this.heldOn(server) + count)
  }

  /** So many less, and whoever can go on does. */
  release(holder: H, server: string, count = 1): void {
    const account = this.#account(holder)
    this.#hold(account, server, -count)
    if (account.held.size === 0 && !this.#waiting.some((one) => one.holder === holder)) this.#accounts.delete(holder)
    this.#enter()
  }

  heldOn(server: string): number {
    return this.#held.get(server) ?? 0
  }

  /** Holds so many more, at once (undefined) or when it may. Errors: `late` after `waitMs`, the signal's reason. */
  take(holder: H, server: string, count: number, waitMs: number, late: () => Error, signal: AbortSignal | null): Promise<void> | undefined {
    if (this.#takes(holder, server, count)) return undefined
    return new Promise((resolve, reject) => {
      const over = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', stopped)
      }
      const giveUp = (why: Error): void => {
        over()
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
        if (this.#account(holder).held.size === 0) this.#accounts.delete(holder)
        reject(why)
      }
      const stopped = (): void => giveUp(signal?.reason as Error)
      const timer = setTimeout(() => giveUp(late()), waitMs)
      const waiter: Waiter<H> = {
        holder,
        server,
        count,
        enter: () => {
          over()
          resolve()
        },
      }
      signal?.addEventListener('abort', stopped, { once: true })
      this.#waiting.push(waiter)
    })
  }

  #enter(): void {
    for (let i = 0; i < this.#waiting.length;) {
      const next = this.#waiting[i] as Waiter<H>
      if (!this.#takes(next.holder, next.server, next.count)) {
        i++
        continue
      }
      this.#waiting.splice(i, 1)
      next.enter()
    }
  }

  #account(holder: H): Account {
    let account = this.#accounts.get(holder)
    if (account === undefined) this.#accounts.set(holder, (account = { held: new Map(), claims: new Map(), keyspaces: new Set() }))
    return account
  }

  #free(server: string): number {
    return this.#max - this.heldOn(server)
  }

  #takes(holder: H, server: string, count: number): boolean {
    const left = this.#free(server) - count
    if (left < 0) return false
    const account = this.#account(holder)
    this.#hold(account, server, count)
    if (left >= (this.#most.get(server) ?? 1) || this.#isSafe()) return true
    this.#hold(account, server, -count)
    return false
  }

  /** All can come to their end, one after the other. */
  #isSafe(): boolean {
    const free = new Map<string, number>()
    const freeOn = (server: string): number => free.get(server) ?? this.#free(server)
    let open = [...this.#accounts.values()].filter(({ held }) => held.size > 0)
    while (open.length > 0) {
      const stay: Account[] = []
      for (const account of open) {
        let ends = true
        for (const [server, claim] of account.claims) if (claim - (account.held.get(server) ?? 0) > freeOn(server)) ends = false
        if (!ends) stay.push(account)
        else for (const [server, count] of account.held) free.set(server, freeOn(server) + count)
      }
      if (stay.length === open.length) return false
      open = stay
    }
    return true
  }
}
