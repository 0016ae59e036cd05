/**
 * A stream's targets at the beginning of a run: tables made before anything was copied, where it stands read (or begun: PROTOCOLS 1.2), the
 * right to write taken over, writers connected.
 */
import type { Clock } from '../base/clock.ts'
import { readServerState } from '../binlog/control-schema.ts'
import { currentPosition } from '../binlog/position.ts'
import type { Position } from '../binlog/source.ts'
import { keyRangeContainsRange, parseKeyRange } from '../keyspace/key-range.ts'
import type { Connection } from '../mysql/connection.ts'
import type { ShardRef, StreamRecord } from '../topology/records.ts'
import { connectPlain, connectWriter, type Addresses, type ServerAddress } from './access.ts'
import { lanesOf, type MoverConfig } from './config.ts'
import type { Failpoints } from './crash-points.ts'
import { isServerError } from '../mysql/errors.ts'
import { moveErrors } from './errors.ts'
import { Lane } from './lane.ts'
import type { MarkerWriter } from './markers.ts'
import { createTargetTables, refuseTriggers, renewUnusedTables, tableNames } from './schema-copy.ts'
import { settleAll } from './settle-all.ts'
import { beginSeenSql, readShown, shownOn, type Shown } from './seen.ts'
import { checkSource, identityText, startPosition } from './source-start.ts'
import type { WriteMode } from './statements.ts'
import {
  applierSql,
  compareCoordinates,
  ensureMoveTables,
  insertTarget,
  isWrittenTo,
  readRound,
  type RoundSize,
  type StoredTarget,
} from './tables.ts'
import { withTargetLock } from './target-lock.ts'
import { endOwnSessions, takeOver, type StreamOnTarget } from './takeover.ts'
import type { Waiting } from './applier-options.ts'

export type OpenTarget = {
  address: ServerAddress
  meta: Connection
  lanes: Lane[]
  xaLane: Lane
  epoch: number
  on: StreamOnTarget
  stored: StoredTarget
  /** In whose midst the earlier run ended; null: in none's. */
  brokenOff: RoundSize | null
  name: string
  mode: WriteMode
  packetMax: number
  bulkLoad: boolean
  /** Its server takes many rows as parameters of one statement. */
  parameterRows: boolean
}

export type OpenTargetsOptions = {
  record: StreamRecord
  addresses: Addresses
  clock: Clock
  config: MoverConfig
  failpoints: Failpoints
  signal: AbortSignal
  /** Connects and sees to it that the connection ends with the run. */
  open: (connecting: Promise<Connection>, address: ServerAddress) => Promise<Connection>
  source: { meta: Connection; name: string; markers: MarkerWriter; markerName: string }
  tables: readonly string[]
  /** Of a stream that begins: where its tail will begin, before what was open there is waited for. */
  onPosition: (position: Position) => void
  onWaiting: (waiting: Waiting | null) => void
}

/** `resumed`: some target had been begun by an earlier run. */
export async function openTargets(options: OpenTargetsOptions): Promise<{ targets: OpenTarget[]; resumed: boolean }> {
  const { record, addresses, clock, config, failpoints, signal, open, source, onPosition, onWaiting } = options
  // Of targets on one server the first makes our tables there: at once they would wait for each other's.
  const ensured = new Map<string, Promise<void>>()
  const found = await Promise.all(
    record.targets.map(async (ref) => {
      const address = await addresses(ref.serverId)
      const meta = await open(connectPlain(address, signal), address)
      const ensuring = ensured.get(ref.serverId) ?? ensureMoveTables(meta)
      ensured.set(ref.serverId, ensuring)
      await ensuring
      return {
        ref,
        address,
        meta,
        name: `${record.keyspace}/${ref.shard} (${address.name})`,
        shown: await readShown(meta, record.uid, ref.uid),
      }
    }),
  )
  const begun = found.some(({ shown }) => shown !== null)
  // What one target is refused for is not told when another has been waited for, perhaps for hours.
  const refused = new AbortController()
  const making = { ...options, signal: AbortSignal.any([signal, refused.signal]) }
  await settleAll(
    found.map((one) => haveTables(one, begun, making)),
    () => refused.abort(),
  )
  const known = found.find(({ shown }) => shown !== null)?.shown?.stored ?? null
  const check = (target: string, shown: Shown): Promise<void> =>
    checkSource(source.meta, { sourceName: source.name, streamUid: record.uid, markers: source.markerName, target }, shown)
  for (const { shown, name } of found) if (shown !== null) await check(name, shown)
  if (found.some(({ shown }) => shown === null)) {
    // First start, or one that died in the middle of it: nothing has landed where there is no row yet, so any place of the others will do.
    const state = await readServerState(source.meta)
    const at =
      known === null
        ? { position: await startPosition(source.meta, { clock, signal, onPosition, onWaiting }), at: { marker: 0, groups: 0 } }
        : { position: known.position, at: known.at }
    await failpoints.hit('start.beforePosition')
    for (const { ref, meta, shown } of found) {
      if (shown !== null) continue
      const begins = {
        streamUid: record.uid,
        workflowUid: record.workflowUid,
        direction: record.direction,
        sourceUid: record.source.uid,
        targetUid: ref.uid,
        position: at.position,
        at: at.at,
        copyState: 'copying' as const,
        serverIdentity: identityText(state),
      }
      // Not while another stream that begins makes something of the target's tables, which this one looks at behind it.
      await withTargetLock({ conn: meta, targetUid: ref.uid, clock, signal, onWaiting }, () => insertTarget(meta, begins))
      await failpoints.hit('start.positionOnSomeTargets')
    }
  }
  const laneCount = lanesOf(config, record.targets.length)
  const targets: OpenTarget[] = []
  const connected = await Promise.all(
    found.map(({ address }) => Promise.all(Array.from({ length: laneCount + 1 }, () => open(connectWriter(address, signal), address)))),
  )
  // All of them first: what a mover that is held up has open on one of them may stand in the way of what is stored about another, in tables that targets on one server share.
  const taken: (Found & { sessions: Connection[]; on: StreamOnTarget; epoch: number })[] = []
  for (const [i, one] of found.entries()) {
    const { ref, meta } = one
    const sessions = connected[i] ?? []
    const on: StreamOnTarget = { streamUid: record.uid, targetUid: ref.uid, workflowUid: record.workflowUid, direction: record.direction }
    const own = sessions.map(({ threadId }) => threadId)
    const epoch = await takeOver(meta, on, own)
    await endOwnSessions(meta, on, epoch, { atWork: 'wait', own, clock, signal, failpoints, onWaiting })
    taken.push({ ...one, sessions, on, epoch })
  }
  for (const { ref, address, meta, name, sessions, on, epoch } of taken) {
    const lanes = sessions.map(
      (conn, lane) => new Lane(conn, applierSql.guard(record.uid, ref.uid, lane, epoch), { stream: record.uid, target: name, clock }),
    )
    const xaLane = lanes.pop()
    // Read again: whoever wrote before us has been shut out by now.
    const shown = await readShown(meta, record.uid, ref.uid)
    const [first] = lanes
    if (shown === null || first === undefined || xaLane === undefined) throw moveErrors.noPosition({ stream: record.uid, target: name })
    const { stored, seen } = shown
    await check(name, shown)
    // By a version that did not store it: no more than what the source has by now.
    const unknown = seen.length === 0 && epoch > 1
    const upTo = unknown ? await currentPosition(source.meta) : shownOn({ position: stored.position, seen })
    await first.transaction(beginSeenSql(on, upTo))
    const brokenOff = compareCoordinates(stored.intent, stored.at) > 0 ? await readRound(meta, record.uid, ref.uid) : null
    const packetMax = Number(await meta.value('SELECT @@GLOBAL.max_allowed_packet'))
    const bulkLoad = (await meta.value('SELECT @@GLOBAL.local_infile')) === '1'
    targets.push({
      address,
      meta,
      lanes,
      xaLane,
      epoch,
      on,
      stored,
      brokenOff,
      name,
      mode: modeOf(record.source.shard, ref.shard),
      packetMax,
      bulkLoad,
      parameterRows: await takeParameterRows(sessions),
    })
  }
  return { targets, resumed: known !== null }
}

/** ER_MAX_PREPARED_STMT_COUNT_REACHED */
const noMorePrepared = 1461

/** MariaDB refuses them to a session that would log them as statements (4033); and a server may have a limit of prepared statements, 0 too, that others use up. */
async function takeParameterRows(sessions: readonly Connection[]): Promise<boolean> {
  if (!sessions.every(({ bulkOperations }) => bulkOperations)) return false
  const formats = await Promise.all(sessions.map((conn) => conn.value('SELECT @@SESSION.binlog_format')))
  if (formats.includes('STATEMENT')) return false
  const prepared = await Promise.allSettled(sessions.map((conn) => conn.prepare('SELECT 1')))
  for (const one of prepared) {
    if (one.status === 'fulfilled') one.value.close()
    else if (!isServerError(one.reason, noMorePrepared)) throw one.reason
  }
  return prepared.every(({ status }) => status === 'fulfilled')
}

type Found = { ref: ShardRef; address: ServerAddress; meta: Connection; name: string; shown: Shown | null }

/** All targets at once: on MySQL each table takes tens of milliseconds, most of them the disk's. */
async function haveTables({ ref, meta, name, shown }: Found, begun: boolean, options: OpenTargetsOptions): Promise<void> {
  const { record, source, tables: names, clock, signal, onWaiting } = options
  if (shown === null && record.copy === 'none') throw moveErrors.noPosition({ stream: record.uid, target: name })
  if (shown === null) {
    const made = {
      source: { conn: source.meta, schema: record.source.schema },
      target: { conn: meta, schema: ref.schema, uid: ref.uid, name },
      workflowUid: record.workflowUid,
      tables: names,
      deferSecondaryKeys: record.options.deferSecondaryKeys,
    }
    // What a stream that has begun will come to in its tail is not made here ahead of it. Reference tables no other stream writes, whoever writes the target: nor would another come to their statements.
    const alone = new Set(record.tables.flatMap(({ name, reference }) => (reference ? [name] : [])))
    if (!begun)
      await withTargetLock({ conn: meta, targetUid: ref.uid, clock, signal, onWaiting }, async () => {
        const others = await isWrittenTo(meta, ref.uid)
        await renewUnusedTables(others ? { ...made, tables: names.filter((name) => alone.has(name)) } : made)
      })
    await createTargetTables(made)
    await refuseTriggers(meta, ref.schema, name, names)
    return
  }
  // Made again empty, it would look as if its rows had been copied.
  const there = new Set(await tableNames(meta, ref.schema))
  const missing = names.find((table) => !there.has(table))
  if (missing !== undefined) throw moveErrors.missingTarget({ table: missing, target: name })
}

/** A target with rows from outside the source's range is fed by other streams too (PROTOCOLS 1.6). */
function modeOf(sourceShard: string, targetShard: string): WriteMode {
  return keyRangeContainsRange(parseKeyRange(sourceShard), parseKeyRange(targetShard)) ? 'one-source' : 'several-sources'
}
