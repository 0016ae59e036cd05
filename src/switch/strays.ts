/**
 * Servers that must be closed: looked at by a leader that has just begun, and again and again while nothing moves in their keyspace.
 *
 * One that is open was opened by somebody else, or was lost while it was being closed. It is closed again, its workflow is stopped, and what was
 * written there meanwhile is searched for and told (SW-SWITCH-005): streams may not carry on with rows that nobody expected. Accounts that were
 * let past the fence by name are watched in the same way: what they write there raises an alarm, and stops nothing. Triggers that move with the switch
 * are dropped there, as step 10 would have if the server had been up.
 *
 * Only in the keyspace's turn: beside a switch this would close what that opens.
 */
import { keys } from '../topology/keys.ts'
import type { KeyspaceRecord, ShardRecord, StreamRecord, StreamReport } from '../topology/records.ts'
import { listRecords, readRecord, updateRecord } from '../topology/typed.ts'
import { withJournal } from '../workflow/records.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { whileLeading } from '../workflow/while-leading.ts'
import type { SwitchContext } from './context.ts'
import { readRouting } from './decide.ts'
import { switchErrors } from './errors.ts'
import { closeServer, describeOpen, isClosed, settledFenceState } from './fence.ts'
import { endInDoubt } from './in-doubt.ts'
import { readFenceNote } from './fence-note.ts'
import { objectsByShard, placeObjects } from './moved-objects.ts'
import { readSide, schemasOn } from './plan.ts'
import { searchUnmarked, unmarkedText } from './unmarked.ts'

export type Stray = {
  readonly server: string
  readonly workflow: string | null
  /** It was open, and how; null: what was written passed its fence. */
  readonly open: string | null
  /** By accounts that are let past it by name; or by DDL, which passes armed triggers and stopped the stream that reads this server. */
  readonly passed: 'by name' | 'as DDL'
  /** What was written there. */
  readonly found: readonly string[]
}

export async function closeStrays(context: SwitchContext): Promise<Stray[]> {
  const strays: Stray[] = []
  const routings = await context.store.list(keys.routings)
  for (const key of routings.entries.keys()) strays.push(...(await watchKeyspace(context, key.slice(keys.routings.length))))
  return strays
}

/** Looks at every server of the keyspace that must be closed. */
export async function watchKeyspace(context: SwitchContext, keyspace: string): Promise<Stray[]> {
  const { store, leadership, log } = context
  const routing = (await readRouting(store, keyspace)).value
  const { components } = routing
  const closed = components.filter((component) => component.phase === 'stable' && component.other.length > 0)
  if (closed.length === 0) return []
  const record = await readRecord<KeyspaceRecord>(store, keys.keyspace(keyspace))
  const allowUnfenced = record?.value.allowUnfenced ?? []
  const serving = await readSide(
    store,
    keyspace,
    components.flatMap((component) => component.serving.primary),
  )
  const objects = await objectsByShard(store, keyspace, routing)
  const strays: Stray[] = []
  for (const { workflow, other } of closed) {
    // A creation that is under way: its shards are recorded once their servers are closed.
    if ((await Promise.all(other.map((shard) => store.get(keys.shard(keyspace, shard))))).includes(null)) continue
    const side = await readSide(store, keyspace, other)
    for (const serverId of side.serverIds) {
      try {
        // One of both sides is closed by its schemas, or not at all.
        if (serving.serverIds.includes(serverId) && !(await bySchemas(context, serverId))) continue
        const stray = await lookAt(context, { keyspace, workflow, serverId, allowUnfenced, schemas: schemasOn(side, serverId) })
        if (stray !== null) strays.push(stray)
        // Of a server that was down in step 10: its streams start no round while triggers stand there.
        if (objects.size > 0) await context.pool.run(serverId, (server) => placeObjects(server, side.shards, objects, 'follows'))
      } catch (error) {
        leadership.signal.throwIfAborted()
        log.warn({ server: serverId, error: String(error) }, 'a server that must be closed could not be looked at')
      }
    }
  }
  for (const stray of strays) await alarm(context, keyspace, stray)
  return strays
}

function bySchemas({ pool }: SwitchContext, serverId: string): Promise<boolean> {
  return pool.run(serverId, async ({ connection }) => (await readFenceNote(connection))?.kind === 'triggers')
}

type Look = {
  readonly keyspace: string
  readonly workflow: string | null
  readonly serverId: string
  readonly allowUnfenced: readonly string[]
  readonly schemas: readonly string[]
}

async function lookAt(context: SwitchContext, { keyspace, workflow, serverId, allowUnfenced, schemas }: Look): Promise<Stray | null> {
  const { pool, clock, leadership } = context
  const fence = { allowUnfenced, schemas }
  const open = await pool.run(serverId, async (server) => {
    const state = await settledFenceState(server.connection, server.ours, fence, clock)
    if (isClosed(state)) return null
    await closeServer(server, fence, clock)
    return describeOpen(state)
  })
  // Reading the binlog of a copy twice over would be a price for nothing: rows are compared after it.
  const byName = allowUnfenced.length > 0 && (await follows(context, keyspace, workflow))
  const asDdl = open === null && !byName && (await stoppedThere(context, keyspace, workflow, serverId))
  if (open === null && !byName && !asDdl) return null
  const search = await pool.run(serverId, (server) => searchUnmarked(server, schemas, clock, leadership.signal))
  const found = unmarkedText(serverId, search, open !== null)
  if (open === null && found.length === 0) return null
  return { server: serverId, workflow, open, passed: asDdl ? 'as DDL' : 'by name', found }
}

async function follows({ store }: SwitchContext, keyspace: string, workflow: string | null): Promise<boolean> {
  const record = workflow === null ? null : await readRecord<WorkflowRecord>(store, keys.workflow(keyspace, workflow))
  if (record === null) return false
  const reports = await listRecords<StreamReport>(store, keys.reportsOf(record.value.uid))
  return reports.length > 0 && reports.every((report) => report.value.state === 'running')
}

/** Under armed triggers: the stream that reads a closed server stops at DDL, which passes them. */
async function stoppedThere(context: SwitchContext, keyspace: string, workflow: string | null, serverId: string): Promise<boolean> {
  const { store } = context
  const record = workflow === null ? null : await readRecord<WorkflowRecord>(store, keys.workflow(keyspace, workflow))
  if (record === null) return false
  const streams = await listRecords<StreamRecord>(store, keys.streamsOf(record.value.uid))
  const reads = new Set(streams.filter(({ value }) => value.source.serverId === serverId).map(({ value }) => value.uid))
  const reports = await listRecords<StreamReport>(store, keys.reportsOf(record.value.uid))
  return reports.some(({ value }) => value.state === 'failed' && reads.has(value.streamUid)) && (await bySchemas(context, serverId))
}

/** Kept in the workflow's journal and the log; one that was open has its streams stopped until somebody has looked. */
async function alarm({ store, log, leadership, clock }: SwitchContext, keyspace: string, stray: Stray): Promise<void> {
  const { server, workflow, open, passed, found } = stray
  const what =
    open !== null
      ? switchErrors.notClosed({ server, open }).message
      : passed === 'as DDL'
        ? `DDL passed the armed triggers of the closed side on ${server}: it lacks rows now, and no switch goes there any more: \`complete\` the workflow, or, where it never switched, \`cancel\` it and create it again`
        : `accounts that pass the fence by name wrote on the closed server ${server}`
  log.error({ keyspace, workflow, server, found }, what)
  if (workflow === null) return
  const stops = open !== null || passed === 'as DDL'
  const record = await updateRecord<WorkflowRecord>(
    store,
    keys.workflow(keyspace, workflow),
    (current) =>
      current === null
        ? null
        : [
            `ALARM: ${what}${open !== null ? '; it is closed again and the workflow is stopped' : stops ? '; the workflow is stopped' : ''}`,
            ...found.slice(0, 20).map((text) => `ALARM: ${text}`),
          ].reduce((next, text) => withJournal(next, clock.nowMs(), text), current),
    [leadership.fence],
  )
  if (!stops || record.value === null) return
  for (const stream of await listRecords<StreamRecord>(store, keys.streamsOf(record.value.uid))) {
    await updateRecord<StreamRecord>(store, stream.key, (current) => (current === null ? null : { ...current, wanted: 'stopped' }), [
      leadership.fence,
    ])
  }
}

/** Of sides that serve no more (`in-doubt.ts`). In nobody's turn: whatever moves meanwhile, who decides first has decided. */
export async function endLeftInDoubt(context: Pick<SwitchContext, 'store' | 'log' | 'leadership'>, keyspace: string): Promise<void> {
  const { store, leadership } = context
  const { components } = (await readRouting(store, keyspace)).value
  const left = new Set(components.flatMap(({ other }) => other))
  if (left.size === 0) return
  const shards = (await listRecords<ShardRecord>(store, keys.shards(keyspace))).map(({ value }) => value)
  await endInDoubt(
    context,
    shards.filter(({ name }) => left.has(name)),
    leadership.signal,
  )
}

/** While this leader leads: every keyspace in its turn, never in anybody's way. */
export async function watchClosed(
  context: SwitchContext,
  turns: { idle(keyspace: string): boolean; run(keyspace: string, work: () => Promise<void>): Promise<void> },
  everyMs: number,
): Promise<void> {
  const { store, clock, log, leadership } = context
  const failing = 'closed servers could not be looked at; trying again'
  await whileLeading({ clock, log, leadership, everyMs, begins: 'after a pause', failing }, async () => {
    for (const key of (await store.list(keys.routings)).entries.keys()) {
      const keyspace = key.slice(keys.routings.length)
      if (turns.idle(keyspace)) await turns.run(keyspace, async () => void (await watchKeyspace(context, keyspace)))
      await endLeftInDoubt(context, keyspace)
    }
  })
}
