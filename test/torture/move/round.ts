// long: one round of the torture from its schema to its comparison, read from top to bottom
/** One move from its first row to the comparison of the last: random tables and shape, a workload, harm, vdiffs in between. */
import { randomUUID } from 'node:crypto'
import { systemClock } from '../../../src/base/clock.ts'
import { bumpControlMarker } from '../../../src/binlog/control-schema.ts'
import { keyRangesIntersect, parseKeyRange } from '../../../src/keyspace/key-range.ts'
import { crashPoints } from '../../../src/move/crash-points.ts'
import { ensureMoveTables, forgetStreams } from '../../../src/move/tables.ts'
import { connect } from '../../../src/mysql/connect.ts'
import type { Connection } from '../../../src/mysql/connection.ts'
import { errno, isServerError } from '../../../src/mysql/errors.ts'
import { quoteIdentifier } from '../../../src/sql/quote.ts'
import { keys } from '../../../src/topology/keys.ts'
import type { RoutingRecord, ShardRef, StreamRecord, StreamReport, VdiffRecord, VdiffReport } from '../../../src/topology/records.ts'
import { put, readRecord } from '../../../src/topology/typed.ts'
import { Final, until } from '../../kit/until.ts'
import { compareDirectly, type Shards } from './comparison.ts'
import { Dice } from './random.ts'
import { randomTable, type RandomTable } from './schema.ts'
import { sideOf, type Field, type ServerId, type Side } from './servers.ts'
import { onTwoSources } from './two-sources.ts'
import { Workload } from './workload.ts'

const shapes: readonly (readonly [readonly string[], readonly string[]])[] = [
  [['-'], ['-80', '80-']],
  [['-'], ['-40', '40-80', '80-c0', 'c0-']],
  [['-'], ['-10', '10-']],
  [['-80', '80-'], ['-']],
  [['-40', '40-80', '80-c0', 'c0-'], ['-']],
  [
    ['-80', '80-'],
    ['-60', '60-c0', 'c0-'],
  ],
  [
    ['-40', '40-80', '80-'],
    ['-80', '80-'],
  ],
  [
    ['-80', '80-'],
    ['-40', '40-80', '80-c0', 'c0-'],
  ],
  [
    ['-60', '60-'],
    ['-30', '30-a0', 'a0-'],
  ],
]

/** ER_CANT_DROP_FIELD_OR_KEY */
const cantDrop = 1091

export type RoundFigures = {
  rows: number
  tables: number
  transactions: number
  harms: number
  vdiffs: number
  vdiffRows: number
  xa: number
  redoneRows: number
  redoneTransactions: number
  resumes: number
  /** 1: its sources, its targets, stood on two servers. */
  twoSourceServers: number
  twoTargetServers: number
}
export type RoundOptions = {
  field: Field
  seed: number
  number: number
  endMs: number
  roundMs: number
  say: (line: string) => void
  faults: boolean
  /** On how many servers the shards of a side stand, if there is more than one. */
  servers: 'one' | 'two' | 'by the dice'
  /** While everything still stands. */
  onFailure?: (error: unknown) => Promise<void>
}

/** @throws with everything that is known of what went wrong */
export async function round(options: RoundOptions): Promise<RoundFigures> {
  const one = new Round(options)
  try {
    return await one.run()
  } catch (error) {
    const twice = await one.onTwoSources().catch(() => [])
    const shown = twice.length === 0 ? error : new Error(`the workload broke its own rule: ${twice.join('; ')}`, { cause: error })
    await options.onFailure?.(shown)
    throw shown
  } finally {
    await one.end()
  }
}

class Round {
  readonly #o: RoundOptions
  readonly #dice: Dice
  /** For what servers there are, so that all else is what a seed meant when there was one on each side. */
  readonly #placing: Dice
  readonly #uid: string
  readonly #sources: ShardRef[]
  readonly #targets: ShardRef[]
  readonly #figures: RoundFigures = {
    rows: 0,
    tables: 0,
    transactions: 0,
    harms: 0,
    vdiffs: 0,
    vdiffRows: 0,
    xa: 0,
    redoneRows: 0,
    redoneTransactions: 0,
    resumes: 0,
    twoSourceServers: 0,
    twoTargetServers: 0,
  }
  #tables: RandomTable[] = []
  #streams: StreamRecord[] = []
  #workload: Workload | null = null
  #watching = new AbortController()
  /** Statements on moved tables come, and go to the targets. */
  readonly #takesDdl: boolean
  #statements = 0
  readonly #added: { table: RandomTable; what: 'COLUMN' | 'KEY'; name: string }[] = []

  constructor(options: RoundOptions) {
    this.#o = options
    this.#dice = new Dice(options.seed)
    this.#placing = new Dice(options.seed ^ 0x5e_5e)
    this.#uid = `r${options.number}`
    const [sources, targets] = this.#dice.pick(shapes)
    this.#takesDdl = this.#dice.chance(0.6)
    const odd = this.#dice.pick(['', '.x', ' y', '-z', '`q', 'Ü'])
    const refs = (side: Side, shards: readonly string[]): ShardRef[] => {
      const servers = this.#placed(side, shards.length)
      return shards.map((shard, i) => ({
        shard,
        uid: `${this.#uid}-${side}${shard}`,
        serverId: servers[i] ?? side,
        schema: `${this.#uid}${side[0]}_${shard}${odd}`,
      }))
    }
    this.#sources = refs('source', sources)
    this.#targets = refs('target', targets)
    this.#figures.twoSourceServers = this.#servers('source').length - 1
    this.#figures.twoTargetServers = this.#servers('target').length - 1
  }

  /** On which server each shard of a side stands. */
  #placed(side: Side, count: number): ServerId[] {
    const { servers } = this.#o
    const placing = this.#placing
    const both = placing.chance(side === 'source' ? 0.5 : 0.3)
    const placed = Array.from({ length: count }, (): ServerId => placing.pick([side, `${side}2`] as const))
    if (count < 2 || servers === 'one' || (servers === 'by the dice' && !both)) return placed.map(() => side)
    if (new Set(placed).size < 2) placed[placing.int(count)] = placed[0] === side ? `${side}2` : side
    return placed
  }

  #servers(side: Side): ServerId[] {
    const refs = side === 'source' ? this.#sources : this.#targets
    return Array.from(new Set(refs.map(({ serverId }) => serverId as ServerId)))
  }

  async run(): Promise<RoundFigures> {
    const { field, say, number } = this.#o
    const dice = this.#dice
    field.config = this.#config()
    await field.ready([...this.#servers('source'), ...this.#servers('target')])
    await field.restartMovers()
    await this.#makeTables()
    const workload = new Workload({
      sources: this.#sources.map(({ serverId, schema }) => ({ server: field.server(serverId as ServerId), schema })),
      tables: this.#tables,
      seed: dice.seed(),
      pauseMs: dice.pick([2, 10, 30]) * Math.ceil(this.#sources.length / 2),
      xa: dice.chance(0.6),
    })
    this.#workload = workload
    const first = await workload.fill(new Dice(dice.seed()), (table) => (table.huge ? 20 : dice.pick([0, 40, 400, 1500])))
    say(
      `round ${number}: ${placesText('source', this.#sources)} → ${placesText('target', this.#targets)}, ${this.#tables.length} tables, ${first} rows first, ${JSON.stringify(field.config)}`,
    )
    for (const { ddl } of this.#tables) if (process.env['SHARDWRIGHT_TORTURE_LOG'] !== undefined) say(`  ${ddl}`)
    workload.start()
    await this.#startStreams()
    const watching = this.#watchReports()
    try {
      const endMs = Math.min(this.#o.endMs, systemClock.monotonicMs() + this.#o.roundMs)
      if (this.#o.faults) while (systemClock.monotonicMs() < endMs) await this.#harm()
      else await this.#following()
      await this.#following()
      // A table that has a column more on one side can't be compared.
      if (this.#takesDdl) await this.#drain()
      if (dice.chance(0.7)) await this.#vdiff('under load')
      await workload.stop()
      await this.#following()
      await this.#drain()
      await this.#vdiff('at the end')
    } finally {
      this.#watching.abort()
      await watching
    }
    const { rows, wrong } = await this.#compare()
    if (wrong !== '') throw new Error(wrong)
    const figures = {
      ...this.#figures,
      rows,
      tables: this.#tables.length,
      transactions: workload.transactions + workload.wanders,
      xa: workload.xa,
    }
    say(
      `  equal: ${rows} rows; ${figures.transactions} transactions, ${workload.wanders} rows moved between sources, ${workload.bigTransactions} large, ${figures.xa} XA; redone after ${figures.resumes} resumes: ${figures.redoneRows} rows of the copy, ${figures.redoneTransactions} transactions of the tail`,
    )
    return figures
  }

  #shards(side: 'source' | 'target'): Shards {
    const refs = side === 'source' ? this.#sources : this.#targets
    const { field } = this.#o
    return {
      places: refs.map(({ serverId, schema }) => ({ serverId, connect: field.server(serverId as ServerId).config, schema })),
      names: refs.map(({ shard }) => shard),
      flavour: field.flavours[side],
    }
  }

  /** What stands on two sources, once nobody writes any more. */
  async onTwoSources(): Promise<string[]> {
    await this.#workload?.stop().catch(() => undefined)
    return onTwoSources(this.#shards('source'), this.#tables)
  }

  /** Both sides, read directly. */
  async #compare(): Promise<{ rows: number; wrong: string }> {
    const { rows, wrong } = await compareDirectly(this.#shards('source'), this.#shards('target'), this.#tables)
    return { rows, wrong: wrong.length === 0 ? '' : `the servers, read directly:\n${wrong.slice(0, 30).join('\n')}\n${this.#ddl()}` }
  }

  #config(): Record<string, unknown> {
    const dice = this.#dice
    return {
      lanes: dice.pick([1, 2, 3]),
      readers: dice.pick([1, 2, 3]),
      chunkBytes: dice.pick([3_000, 20_000, 300_000]),
      copyBytesMax: dice.pick([1 << 20, 8 << 20]),
      pendingBytesMax: dice.pick([16_000, 200_000, 4 << 20]),
      partBytesMax: dice.pick([5_000, 100_000, 8 << 20]),
      oneLaneChangesMax: dice.pick([1, 6, 200]),
      touchedBytesMax: dice.pick([100_000, 32 << 20]),
      rangesKept: dice.pick([2, 5, 64]),
      markerMs: dice.pick([30, 300]),
      reportMs: 50,
      leaseMs: 4_000,
    }
  }

  async #makeTables(): Promise<void> {
    const { field, say } = this.#o
    const dice = this.#dice
    const conns = new Map<string, Connection>()
    const on = ({ serverId }: ShardRef): Connection => conns.get(serverId) as Connection
    try {
      for (const id of [...this.#servers('source'), ...this.#servers('target')]) {
        const sessionSql = sideOf(id) === 'source' ? ["SET SESSION sql_mode=''"] : []
        conns.set(id, await connect({ ...field.server(id).config, sessionSql }))
      }
      for (const conn of conns.values()) await ensureMoveTables(conn)
      for (const ref of [...this.#sources, ...this.#targets])
        await on(ref).query(`CREATE DATABASE ${quoteIdentifier(ref.schema)} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci`)
      const { source: from, target: to } = field.flavours
      const shards = {
        from,
        to,
        sources: this.#sources.map(({ shard }) => shard),
        targets: this.#targets.map(({ shard }) => shard),
      }
      const fullText = !this.#o.faults || (from !== 'mariadb' && to !== 'mariadb')
      const count = 2 + dice.int(4)
      for (let attempt = 0; this.#tables.length < count && attempt < 60; attempt++) {
        const table = randomTable(dice, attempt, {
          ...shards,
          reference: this.#tables.length > 0 && dice.chance(0.25),
          huge: this.#tables.length > 0 && dice.chance(0.04),
          fullText,
          parent: this.#tables.find(({ shard, unique }) => shard === null && unique !== null) ?? null,
        })
        try {
          for (const ref of this.#sources) {
            await on(ref).useDatabase(ref.schema)
            await on(ref).query(table.ddl)
          }
          this.#tables.push(table)
        } catch (error) {
          // Too wide a row, too long a key, a partial key on a type that has none: the next.
          if (!isServerError(error)) throw error
          if (process.env['SHARDWRIGHT_TORTURE_LOG'] !== undefined) say(`  not made: ${error.message}`)
        }
      }
    } finally {
      for (const conn of conns.values()) conn.destroy()
    }
  }

  async #startStreams(): Promise<void> {
    const dice = this.#dice
    const { field } = this.#o
    const routing: RoutingRecord = {
      v: 1,
      token: 1,
      components: [
        {
          range: '-',
          workflow: this.#uid,
          epoch: 1,
          serving: { primary: this.#sources.map(({ shard }) => shard), replica: [] },
          other: this.#targets.map(({ shard }) => shard),
          phase: 'stable',
          to: null,
          hold: null,
          retired: false,
        },
      ],
    }
    const failpoints: Record<string, 'kill'> =
      this.#o.faults && dice.chance(0.4) ? { [dice.pick(crashPoints.filter((point) => /^(start|copy)/.test(point)))]: 'kill' } : {}
    const options = {
      onDdl: this.#takesDdl ? ('exec' as const) : ('stop' as const),
      deferSecondaryKeys: dice.chance(0.7),
      stopAfterCopy: false,
      copyBytesPerSecondMax: (this.#bytesPerSecond = dice.pick([null, 300_000, 3_000_000])),
      failpoints,
    }
    this.#streams = this.#sources.map((source, i): StreamRecord => ({
      v: 1,
      uid: `${this.#uid}-stream${i}`,
      workflowUid: this.#uid,
      workflow: this.#uid,
      keyspace: `ks${this.#uid}`,
      direction: 'forward',
      wanted: 'running',
      generation: 1,
      source,
      targets: this.#targets.filter(
        ({ shard }) =>
          (i === 0 && this.#tables.some(({ shard: key }) => key === null)) ||
          keyRangesIntersect(parseKeyRange(source.shard), parseKeyRange(shard)),
      ),
      tables: this.#tables.map(({ name, shard }) => ({ name, reference: shard === null, vindex: shard?.table ?? null })),
      movesReference: i === 0,
      copy: 'full',
      options,
    }))
    await field.store.commit([], [put(keys.routing(`ks${this.#uid}`), routing)])
    await this.#putStreams()
    const armed = Object.keys(failpoints)[0]
    if (armed !== undefined) await this.#untilMoverDies(armed)
  }

  async #putStreams(): Promise<void> {
    await this.#o.field.store.commit(
      [],
      this.#streams.map((stream) => put(keys.stream(this.#uid, stream.uid), stream)),
    )
  }

  async #report(stream: StreamRecord): Promise<StreamReport | null> {
    return (await readRecord<StreamReport>(this.#o.field.store, keys.report(this.#uid, stream.uid)))?.value ?? null
  }

  /** What every resume says that it did again. */
  async #watchReports(): Promise<void> {
    const seen = new Map<string, string>()
    try {
      for await (const snapshot of this.#o.field.store.watch(keys.reportsOf(this.#uid), this.#watching.signal)) {
        for (const entry of snapshot.entries.values()) {
          const report = entry.value as unknown as StreamReport
          this.#noteLag(report)
          if (report.resumed === null) continue
          const text = `${report.mover} ${report.generation}`
          const before = seen.get(`${report.streamUid} ${text}`)
          const now = JSON.stringify(report.resumed)
          if (before === now) continue
          const known = before === undefined ? null : (JSON.parse(before) as NonNullable<StreamReport['resumed']>)
          if (before === undefined) this.#figures.resumes++
          this.#figures.redoneRows += report.resumed.rowsRedone - (known?.rowsRedone ?? 0)
          this.#figures.redoneTransactions += report.resumed.transactionsRedone - (known?.transactionsRedone ?? 0)
          seen.set(`${report.streamUid} ${text}`, now)
        }
      }
    } catch (error) {
      if (!this.#watching.signal.aborted) throw error
    }
  }

  readonly #behind = new Map<string, { sinceMs: number | null; behind: boolean }>()

  /** Holds the workload while a stream is seconds behind, or some hundred of the smallest parts (`config`), each with its commits, or has not said for seconds how far it is. */
  #noteLag({ streamUid, targets, state }: StreamReport): void {
    const nowMs = systemClock.monotonicMs()
    const known = this.#behind.get(streamUid) ?? { sinceMs: null, behind: false }
    const unknown = state !== 'stopped' && state !== 'failed' && targets.some(({ lag }) => (lag?.markerAgeMs ?? null) === null)
    known.sinceMs = unknown ? (known.sinceMs ?? nowMs) : null
    known.behind =
      targets.some(({ lag }) => (lag?.markerAgeMs ?? 0) > 700 || (lag?.bytes ?? 0) > 4 << 20) ||
      (known.sinceMs !== null && nowMs - known.sinceMs > 6_000)
    this.#behind.set(streamUid, known)
    if (this.#workload !== null) this.#workload.held = [...this.#behind.values()].some(({ behind }) => behind)
  }

  /** Of the copy. With some rows of megabytes the smaller limit alone takes minutes, and a mover that dies reads some of them again. */
  #bytesPerSecond: number | null = null

  /** Until every stream has copied and follows. @throws when one has failed */
  async #following(limitMs = this.#bytesPerSecond === 300_000 ? 600_000 : 240_000): Promise<void> {
    await until(
      'all streams running',
      async () => {
        for (const stream of this.#streams) {
          const report = await this.#report(stream)
          this.#refuseFailed(report)
          if (report?.state !== 'running' || report.generation !== stream.generation) throw new Error(await this.#allReports())
        }
        return true
      },
      limitMs,
    )
  }

  /** The reports of all streams, for messages. */
  async #allReports(): Promise<string> {
    const reports = await Promise.all(this.#streams.map((stream) => this.#report(stream)))
    return reports
      .map((report) => {
        if (report === null) return 'no report'
        const { copy, applied, targets, waiting, state, generation } = report
        return `${state} ${generation} waiting ${JSON.stringify(waiting)} copied ${copy.rowsDone} of ${copy.sourceRowsRead} read, applied ${applied.transactions} ${targets.map(({ lag, controlMarker }) => `${controlMarker} ${JSON.stringify(lag)}`).join(' ')}`
      })
      .join('\n')
  }

  #refuseFailed(report: StreamReport | null): void {
    const { died } = this.#o.field
    if (died !== null) throw new Final(died)
    if (report?.state === 'failed') throw new Final(`stream ${report.streamUid} failed: ${JSON.stringify(report.error)}\n${this.#ddl()}`)
  }

  /** A control marker on each source server, and the wait until every target of every stream has applied it. */
  async #drain(): Promise<void> {
    const markers = new Map<string, number>()
    for (const id of this.#servers('source')) markers.set(id, await this.#o.field.on(id, (conn) => bumpControlMarker(conn)))
    await until(
      `markers ${Array.from(markers.values()).join()}`,
      async () => {
        for (const stream of this.#streams) {
          const report = await this.#report(stream)
          this.#refuseFailed(report)
          const marker = markers.get(stream.source.serverId) ?? Infinity
          if (report === null || report.targets.length === 0 || !report.targets.every(({ controlMarker }) => controlMarker >= marker))
            throw new Error(await this.#allReports())
        }
        return true
      },
      240_000,
    )
  }

  async #vdiff(when: string): Promise<void> {
    const { field } = this.#o
    const record: VdiffRecord = {
      v: 1,
      uid: randomUUID(),
      workflowUid: this.#uid,
      wanted: 'running',
      tables: null,
      requestedAtMs: Date.now(),
      repair: false,
    }
    const key = keys.vdiffReport(this.#uid, record.uid)
    await field.store.commit([], [put(keys.vdiff(this.#uid, record.uid), record)])
    const startedMs = systemClock.monotonicMs()
    const report = await until(
      `the vdiff ${when}`,
      async () => {
        // It wants the targets within a second of their sources: on a busy machine only without writes.
        if (this.#workload !== null && systemClock.monotonicMs() - startedMs > 15_000) this.#workload.stalled = true
        const found = (await readRecord<VdiffReport>(field.store, key))?.value
        if (found?.endedAtMs === null || found === undefined)
          throw new Error(`${found?.waiting}\n${await this.#allReports()}\n${JSON.stringify(found)}`)
        return found
      },
      240_000,
    )
    if (this.#workload !== null) this.#workload.stalled = false
    if (report.state !== 'clean') {
      // Was it right?
      await this.#workload?.stop()
      await this.#following()
      await this.#drain()
      const { wrong } = await this.#compare()
      throw new Error(
        `the vdiff ${when}: ${JSON.stringify(report)}\n${wrong === '' ? `a false difference: read directly, both sides are equal\n${this.#ddl()}` : wrong}`,
      )
    }
    this.#figures.vdiffs++
    this.#figures.vdiffRows += report.rowsCompared
  }

  async #harm(): Promise<void> {
    const { field, say } = this.#o
    const dice = this.#dice
    this.#figures.harms++
    const kind = dice.pick([
      'mover',
      'mover',
      'source',
      'target',
      'pause',
      'point',
      'point',
      'vdiff',
      'stop',
      'rotate',
      ...(this.#takesDdl ? (['ddl', 'ddl'] as const) : []),
      ...(this.#servers('source').length > 1 ? (['hang', 'hang'] as const) : []),
    ] as const)
    await systemClock.sleep(dice.int(2500))
    switch (kind) {
      case 'mover': {
        say('  kill the mover')
        ;(await field.owner(this.#uid))?.kill('SIGKILL')
        break
      }
      case 'source': {
        const id = this.#placing.pick(this.#servers('source'))
        say(`  kill the ${id} server`)
        if (field.flavours.source === 'mariadb') await this.#workload?.withoutXa(() => field.kill9(id))
        else await field.kill9(id)
        break
      }
      case 'target': {
        const id = this.#placing.pick(this.#servers('target'))
        say(`  kill the ${id} server`)
        await field.kill9(id)
        break
      }
      case 'hang': {
        const id = this.#placing.pick(this.#servers('source'))
        const ms = 500 + this.#placing.int(5_000)
        say(`  the ${id} server hangs for ${ms} ms`)
        await field.hang(id, ms)
        break
      }
      case 'pause': {
        const child = await field.owner(this.#uid)
        if (child === null) return
        say('  pause the mover past its lease')
        if (!(await field.pauseBetweenCommits(child))) return
        await systemClock.sleep(3_000 + dice.int(3_500))
        child.kill('SIGCONT')
        break
      }
      case 'point': {
        const point = dice.pick(crashPoints.filter((name) => this.#takesDdl || !name.startsWith('ddl.')))
        if (point.startsWith('ddl.')) await this.#passedDdl()
        say(`  the mover dies at ${point}`)
        this.#rewant((stream) => ({ ...stream.options, failpoints: { [point]: 'kill' } }))
        await this.#putStreams()
        if (point.startsWith('ddl.')) await this.#ddlOnSources()
        await this.#untilMoverDies(point)
        break
      }
      case 'ddl':
        await this.#passedDdl()
        await this.#ddlOnSources()
        break
      case 'vdiff':
        await this.#following()
        if (this.#takesDdl) await this.#drain()
        say('  vdiff')
        await this.#vdiff('in between')
        break
      case 'stop':
        say('  stop and start')
        this.#streams = this.#streams.map((stream) => ({ ...stream, wanted: 'stopped' }))
        await this.#putStreams()
        await until(
          'all streams stopped',
          async () => {
            if (
              (await Promise.all(this.#streams.map((stream) => this.#report(stream)))).every(
                (report) => report === null || report.state === 'stopped',
              )
            )
              return true
            throw new Error(await this.#allReports())
          },
          180_000,
        )
        this.#streams = this.#streams.map((stream) => ({ ...stream, wanted: 'running', generation: stream.generation + 1 }))
        await this.#putStreams()
        break
      case 'rotate': {
        say('  new binlog files')
        for (const id of this.#servers('source')) await field.on(id, (conn) => conn.query('FLUSH BINARY LOGS'))
        break
      }
    }
    // Now and then the next harm comes before this one was got over.
    if (dice.chance(0.6)) await this.#following()
  }

  /** Between the flavours a stream can't tell what a table was between two statements that it has both before it (SW-MOVE-033): one comes when all have passed the one before. */
  async #passedDdl(): Promise<void> {
    const { source, target } = this.#o.field.flavours
    if (source === target || this.#statements === 0) return
    await this.#following()
    await this.#drain()
  }

  /** A statement on a moved table, on each source, as an application's migration does: a column or a key comes or goes. */
  async #ddlOnSources(): Promise<void> {
    const dice = this.#dice
    const q = quoteIdentifier
    // What takes a column away stops a merge: streams of other sources still write it (docs/ddl.md).
    const gone = dice.chance(0.4) && this.#sources.length === 1 ? this.#added.pop() : undefined
    const table = gone?.table ?? dice.pick(this.#tables)
    const what = gone?.what ?? dice.pick(['COLUMN', 'KEY'] as const)
    const name = gone?.name ?? `d${++this.#statements}`
    const added = what === 'COLUMN' ? `INT NULL DEFAULT ${dice.int(9)}` : `(${q(table.counter)})`
    const clause = gone === undefined ? `ADD ${what} ${name} ${added}` : `DROP ${what} ${name}`
    this.#o.say(`  ${table.name}: ${clause}`)
    for (const { serverId, schema } of this.#sources) {
      for (let done = false; !done;) {
        try {
          await this.#o.field.on(serverId as ServerId, async (conn) => {
            // Where the table is written anew its zero dates are judged anew, by the session.
            await conn.query("SET SESSION sql_mode=''")
            await conn.query(`ALTER TABLE ${q(schema)}.${q(table.name)} ${clause}`)
          })
          done = true
        } catch (error) {
          // Done, when its answer was lost with the server; the workload's transactions stand in its way for seconds.
          done =
            isServerError(error, errno.duplicateColumn) || isServerError(error, errno.duplicateKeyName) || isServerError(error, cantDrop)
          if (!done && (!isServerError(error) || (error.kind !== 'deadlock' && error.kind !== 'lockWait'))) throw error
        }
      }
    }
    if (gone === undefined) this.#added.push({ table, what, name })
  }

  #rewant(options: (stream: StreamRecord) => StreamRecord['options']): void {
    this.#streams = this.#streams.map((stream) => ({ ...stream, generation: stream.generation + 1, options: options(stream) }))
  }

  /** Waits until the armed point was met (a mover is gone), or for a while; then disarms it. */
  async #untilMoverDies(point: string): Promise<void> {
    const { field, say } = this.#o
    const before = new Set(field.movers.keys())
    const endMs = systemClock.monotonicMs() + 4_000
    while (systemClock.monotonicMs() < endMs && [...before].every((id) => field.movers.has(id))) await systemClock.sleep(30)
    if ([...before].every((id) => field.movers.has(id))) say(`    ${point} was not met`)
    this.#rewant((stream) => ({ ...stream.options, failpoints: {} }))
    await this.#putStreams()
  }

  /** For messages: long lists of members cut. */
  #ddl(): string {
    return this.#tables.map(({ ddl }) => ddl.replaceAll(/(ENUM|SET)\((.{40})[^)]*\)/g, '$1($2…)')).join('\n')
  }

  /** Takes away what the round made. */
  async end(): Promise<void> {
    const { field } = this.#o
    this.#watching.abort()
    await this.#workload?.stop().catch(() => undefined)
    const { store } = field
    const gone = [keys.streams, keys.reports, keys.vdiffs, keys.routings].flatMap(async (prefix) => {
      const { entries } = await store.list(prefix)
      return [...entries.keys()].filter((key) => key.includes(this.#uid))
    })
    await store.commit(
      [],
      (await Promise.all(gone)).flat().map((key) => ({ key, value: undefined })),
    )
    for (const id of [...this.#servers('source'), ...this.#servers('target')]) {
      try {
        const conn = await connect(field.server(id).config)
        await forgetStreams(conn, this.#uid)
        for (const { serverId, schema } of [...this.#sources, ...this.#targets])
          if (serverId === id) await conn.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(schema)}`)
        conn.destroy()
      } catch {
        // The next round has names of its own.
      }
    }
  }
}

/** Shards, each with its server where that is not the first of its side. */
function placesText(side: Side, refs: readonly ShardRef[]): string {
  return refs.map(({ shard, serverId }) => (serverId === side ? shard : `${shard}@${serverId}`)).join(' ')
}
