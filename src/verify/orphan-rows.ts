/**
 * Rows of a target whose other row of a foreign key stands on another shard (PROTOCOLS 1.11): the copy looks for them at its end (`move/orphans.ts`), a comparison for those that
 * were written since. Appliers work with foreign key checks off, so a server says nothing of them before clients write to it.
 *
 * Rows are in motion while they are looked for: one may be applied before its other row, or lag behind. So a row counts only when it is found in each of several looks, and between
 * two of them all targets have applied a marker written after the first: what stood apart then is together now, unless the two rows go to different shards.
 */
import { bumpControlMarker } from '../binlog/control-schema.ts'
import { keyText } from '../move/key-text.ts'
import { foreignKeys, orphansBy, type ForeignKey, type Side } from '../move/orphans.ts'
import type { ShardRef } from '../topology/records.ts'
import type { Comparison } from './comparison.ts'
import { verifyErrors } from './errors.ts'
import type { Reports } from './reports.ts'
import type { Sessions } from './sessions.ts'
import { newTally, samplesMax, type Tally } from './tally.ts'

export type OrphanOptions = {
  comparison: Comparison
  /** Names of the tables that are moved. */
  moved: ReadonlySet<string>
  sessions: Sessions
  reports: Pick<Reports, 'applied'>
}

const looks = 3
const patienceMs = 60_000

/** Null: none. Of more than a thousand by one key on one target the first thousand are counted. @throws tooFarBehind */
export async function countOrphans(options: OrphanOptions): Promise<Tally | null> {
  const { comparison, moved, sessions } = options
  const { plan, group } = comparison
  const tally = newTally()
  const keys = await Promise.all(group.targets.map((target) => on(sessions, target, foreignKeys)))
  for (const [i, target] of group.targets.entries()) {
    for (const key of keys[i] ?? []) {
      if (key.table !== plan.name || !moved.has(key.referenced)) continue
      let found = await lookOnce(options, key, target)
      for (let look = 1; look < looks && found.size > 0; look++) {
        await allApplied(options)
        const now = await lookOnce(options, key, target)
        found = new Set([...found].filter((row) => now.has(row)))
      }
      for (const row of found) {
        tally.orphans++
        if (tally.samples.length < samplesMax)
          tally.samples.push({ kind: 'orphan', key: row, shard: target.shard, columns: [...key.columns] })
      }
    }
  }
  return tally.orphans > 0 ? tally : null
}

async function lookOnce({ comparison, sessions }: OrphanOptions, key: ForeignKey, target: ShardRef): Promise<Set<string>> {
  const { plan, group } = comparison
  const rows = new Set<string>()
  for (const source of group.sources) {
    const first = await on(sessions, target, (here) => on(sessions, source, (there) => orphansBy(key, plan, here, there).next()))
    if (first.done !== true) for (const literals of first.value.keys) rows.add(keyText(literals))
  }
  return rows
}

function on<T>(sessions: Sessions, { serverId, schema }: ShardRef, work: (side: Side) => Promise<T>): Promise<T> {
  return sessions.reader(serverId, (conn) => work({ conn, schema }))
}

async function allApplied({ comparison, sessions, reports }: OrphanOptions): Promise<void> {
  const { group } = comparison
  const servers = [...new Set(group.sources.map(({ serverId }) => serverId))]
  const markers = await Promise.all(servers.map(async (id) => [id, await sessions.reader(id, (conn) => bumpControlMarker(conn))] as const))
  if (!(await reports.applied(group.streams, new Set(group.targets.map(({ uid }) => uid)), new Map(markers), patienceMs)))
    throw verifyErrors.tooFarBehind({ source: group.name, limitMs: patienceMs, waitedMs: patienceMs })
}
