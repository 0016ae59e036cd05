/**
 * The way back (PROTOCOLS 3, step 6): a stream from each shard of N to the shards of F, from N's position of now. Rows first, on F,
 * through the claimed session; the record, which a mover obeys, after them.
 *
 * Why they may start before clients are held: while N does not serve, its binlog holds nothing but transactions of the streams that
 * feed it, which carry the mark of the opposite direction and are skipped (1.8), and markers. Starting early takes the start-up out of
 * the stall. Positions never move back: a row that is there stays.
 */
import type { Connection } from '../mysql/connection.ts'
import { ensureMoveTables, readTarget, seedPosition } from '../move/tables.ts'
import { keys } from '../topology/keys.ts'
import type { StreamRecord } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { put } from '../topology/typed.ts'
import type { Leadership } from '../workflow/context.ts'
import type { ClaimPool } from './claim.ts'
import { switchErrors } from './errors.ts'

/** Where a server stands now, as a position that a tail can start from. */
export type ReadPosition = (connection: Connection) => Promise<string>

export async function makeStreams(
  context: { store: Store; leadership: Leadership; pool: ClaimPool; readPosition: ReadPosition },
  streams: readonly StreamRecord[],
): Promise<void> {
  const { store, leadership, pool, readPosition } = context
  for (const stream of streams) {
    const position =
      (await seededBefore(pool, stream)) ?? (await pool.run(stream.source.serverId, ({ connection }) => readPosition(connection)))
    for (const target of stream.targets) {
      await pool.run(target.serverId, async ({ connection }) => {
        await ensureMoveTables(connection)
        await seedPosition(connection, {
          streamUid: stream.uid,
          workflowUid: stream.workflowUid,
          direction: stream.direction,
          sourceUid: stream.source.uid,
          targetUid: target.uid,
          position,
        })
      })
    }
    const key = keys.stream(stream.workflowUid, stream.uid)
    const result = await store.commit([{ key, version: 0 }, leadership.fence], [put(key, stream)])
    if (!result.ok && result.conflicts.includes(leadership.fence.key)) {
      throw switchErrors.decisionLost({ keyspace: stream.keyspace, reason: 'this controller does not lead any more' })
    }
  }
}

/** All targets of a stream start at one position: an attempt that died half way through has set it. */
async function seededBefore(pool: ClaimPool, stream: StreamRecord): Promise<string | null> {
  for (const target of stream.targets) {
    const row = await pool.run(target.serverId, async ({ connection }) => {
      await ensureMoveTables(connection)
      return readTarget(connection, stream.uid, target.uid)
    })
    if (row !== null) return row.position
  }
  return null
}
