/**
 * What clients are verified by. An account of which only the salted form is kept shows its password once to each gate; what follows from it is kept in
 * memory for the next login, as long as the account stays as it was.
 *
 * A name that is no account is treated like one of them, always the same one: which names are accounts can't be told by what a client is asked for.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { StoredPassword } from '../mysql/auth-server.ts'
import type { UserRecord } from '../topology/records.ts'

const learnedMax = 10_000

export class Accounts {
  readonly #users: () => ReadonlyMap<string, UserRecord>
  /** By name: the salted form that it belongs to, and the hash. */
  readonly #learned = new Map<string, { salted: string; sha256: Buffer }>()
  readonly #secret = randomBytes(32)

  constructor(users: () => ReadonlyMap<string, UserRecord>) {
    this.#users = users
  }

  stored(user: string): StoredPassword | null {
    const record = this.#users().get(user)
    if (record === undefined) return this.#likeAnother(user)
    const learned = this.#learned.get(user)
    return {
      sha1: bytes(record.sha1),
      sha256: learned !== undefined && learned.salted === record.salted ? learned.sha256 : bytes(record.sha256),
      salted: bytes(record.salted ?? null),
    }
  }

  learned(user: string, stored: StoredPassword, sha256: Buffer): void {
    if (stored.salted == null) return
    if (this.#learned.size >= learnedMax) this.#learned.clear()
    this.#learned.set(user, { salted: Buffer.from(stored.salted).toString('hex'), sha256 })
  }

  #likeAnother(name: string): StoredPassword | null {
    const records = [...this.#users().values()]
    const digest = createHash('sha256').update(this.#secret).update(name).digest()
    const like = records[digest.readUInt32LE(0) % Math.max(1, records.length)]
    if (like === undefined) return null
    const decoy = (length: number): Buffer => createHash('sha512').update(digest).digest().subarray(0, length)
    const salted = like.salted === undefined || like.salted === '' ? null : Buffer.from(like.salted, 'hex')
    // The same salt and rounds: the same work. A digest that no password has been tried against.
    salted?.set(Buffer.from(decoy(32).toString('base64').replaceAll('+', '.').slice(0, 43)), salted.length - 43)
    return { sha1: like.sha1 === null ? null : decoy(20), sha256: like.sha256 === null ? null : decoy(32), salted }
  }
}

function bytes(hex: string | null): Buffer | null {
  return hex === null ? null : Buffer.from(hex, 'hex')
}
