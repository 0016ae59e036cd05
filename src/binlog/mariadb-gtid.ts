/**
 * MariaDB's position: per replication domain the last GTID, `0-101-57,3-101-2`. Within a domain sequence numbers only mean
 * something to the server that has them: order comes from the stream.
 */
export type MariadbGtid = { readonly domain: number; readonly server: number; readonly sequence: bigint }

export class MariadbGtidState {
  readonly #byDomain = new Map<number, string>()

  /** @throws RangeError */
  static parse(text: string): MariadbGtidState {
    const state = new MariadbGtidState()
    for (const part of text.replace(/\s+/g, '').split(',')) {
      if (part === '') continue
      const match = /^(\d{1,10})-(\d{1,10})-(\d{1,20})$/.exec(part)
      if (match === null) throw new RangeError(`not a MariaDB GTID: ${part}`)
      state.set(Number(match[1]), part)
    }
    return state
  }

  set(domain: number, gtid: string): void {
    this.#byDomain.set(domain, gtid)
  }

  get(domain: number): string | undefined {
    return this.#byDomain.get(domain)
  }

  clone(): MariadbGtidState {
    const copy = new MariadbGtidState()
    for (const [domain, gtid] of this.#byDomain) copy.set(domain, gtid)
    return copy
  }

  entries(): [domain: number, gtid: string][] {
    return [...this.#byDomain]
  }

  toString(): string {
    return [...this.#byDomain.values()].join(',')
  }
}

export function parseMariadbGtid(text: string): MariadbGtid {
  const match = /^(\d+)-(\d+)-(\d+)$/.exec(text)
  if (match === null) throw new RangeError(`not a MariaDB GTID: ${text}`)
  return { domain: Number(match[1]), server: Number(match[2]), sequence: BigInt(match[3] ?? '0') }
}
