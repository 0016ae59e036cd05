/**
 * The last word of the demonstration: reads every shard directly, without any code of ours that routes, and holds what it
 * finds against the ledger. The keyspace id is computed here once more, from the published definition of Vitess's `hash`
 * (the user id as eight bytes, DES with a zero key), so a fault in our own vindex would show.
 */
import { createCipheriv } from 'node:crypto'
import mysql from 'mysql2/promise'
import type { Expectation } from './ledger.ts'
import { table } from './workload.ts'

export type ShardAddress = {
  readonly name: string
  readonly uid: string
  readonly host: string
  readonly port: number
  readonly schema: string
  readonly user: string
  readonly password: string
}

export type CheckResult = {
  readonly rows: number
  readonly acknowledged: number
  readonly unknown: number
  /** Acknowledged, but not there; or there with an older version. */
  readonly lost: string[]
  /** There more than once, or there though never acknowledged or deleted. */
  readonly doubled: string[]
  readonly misplaced: string[]
  readonly duplicateIds: string[]
}

type FoundRow = { op: number; user: number; version: number; reps: number; id: number; shard: string }

export async function finalCheck(shards: readonly ShardAddress[], expected: Expectation): Promise<CheckResult> {
  const found = new Map<number, FoundRow[]>()
  const misplaced: string[] = []
  let rows = 0
  for (const shard of shards) {
    for (const row of await readShard(shard)) {
      rows++
      const others = found.get(row.op)
      if (others === undefined) found.set(row.op, [row])
      else others.push(row)
    }
  }
  const users = new Set([...found.values()].flat().map((row) => row.user))
  const home = homesOf(
    users,
    shards.map((shard) => shard.name),
  )
  for (const row of [...found.values()].flat()) {
    if (home.get(row.user) !== row.shard)
      misplaced.push(`row op ${row.op} of user ${row.user} stands on ${row.shard}, belongs on ${home.get(row.user)}`)
  }
  const lost: string[] = []
  const doubled: string[] = []
  for (const [op, states] of expected.rows) {
    const here = found.get(op) ?? []
    const mayBeAbsent = states.some((state) => state === null)
    if (here.length === 0) {
      if (!mayBeAbsent) lost.push(`row op ${op} was acknowledged and is not there`)
      continue
    }
    if (here.length > 1) doubled.push(`row op ${op} is there ${here.length} times: ${here.map((row) => row.shard).join(', ')}`)
    const row = here[0]
    if (row === undefined) continue
    if (states.every((state) => state === null)) doubled.push(`row op ${op} is there though it was deleted`)
    else if (
      !states.some((state) => state !== null && state.user === row.user && state.version === row.version && state.reps === row.reps)
    ) {
      lost.push(
        `row op ${op}: version ${row.version}, reps ${row.reps} found; right would be ${states.map((s) => JSON.stringify(s)).join(' or ')}`,
      )
    }
  }
  for (const [op, here] of found) {
    if (!expected.rows.has(op)) doubled.push(`row op ${op} on ${here.map((row) => row.shard).join(', ')} was never written by anyone`)
  }
  return {
    rows,
    acknowledged: expected.acknowledged,
    unknown: expected.unknown,
    lost,
    doubled,
    misplaced,
    duplicateIds: duplicates([...found.values()].flat()),
  }
}

async function readShard(shard: ShardAddress): Promise<FoundRow[]> {
  const connection = await mysql.createConnection({
    host: shard.host,
    port: shard.port,
    user: shard.user,
    password: shard.password,
    database: shard.schema,
    supportBigNumbers: true,
    rowsAsArray: true,
  })
  try {
    const [rows] = await connection.query(`SELECT op, user_id, version, reps, log_id FROM ${table}`)
    return (rows as unknown as number[][]).map((row) => ({
      op: row[0] ?? 0,
      user: row[1] ?? 0,
      version: row[2] ?? 0,
      reps: row[3] ?? 0,
      id: row[4] ?? 0,
      shard: shard.name,
    }))
  } finally {
    await connection.end()
  }
}

function duplicates(rows: readonly FoundRow[]): string[] {
  const seen = new Map<number, FoundRow>()
  const twice: string[] = []
  for (const row of rows) {
    const other = seen.get(row.id)
    if (other !== undefined && other.op !== row.op) twice.push(`log_id ${row.id} was given to op ${other.op} and op ${row.op}`)
    seen.set(row.id, row)
  }
  return twice
}

/** Which shard each user's rows belong on. */
export function homesOf(users: Iterable<number>, shards: readonly string[]): Map<number, string> {
  const list = [...users]
  const blocks = Buffer.alloc(list.length * 8)
  list.forEach((user, index) => blocks.writeBigUInt64BE(BigInt(user), index * 8))
  const cipher = createCipheriv('des-ede3-ecb', Buffer.alloc(24), null).setAutoPadding(false)
  const ids = cipher.update(blocks)
  const ranges = shards.map((name) => {
    const [start, end] = name.split('-')
    return { name, start: start ?? '', end: end ?? '' }
  })
  return new Map(
    list.map((user, index) => {
      const id = ids.subarray(index * 8, index * 8 + 8).toString('hex')
      return [user, ranges.find((range) => id >= range.start && (range.end === '' || id < range.end))?.name ?? 'nowhere']
    }),
  )
}
