/** One stream from a source server to shards on a target server, with the mover as a process of its own, as in production; and what a bench measures of it. */
import type { TargetLag } from '../src/topology/target-report.ts'
import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { childEnvironment, nodeFlags } from '../src/main/child-settings.ts'
import { keyRangesIntersect, parseKeyRange } from '../src/keyspace/key-range.ts'
import { bumpControlMarker } from '../src/binlog/control-schema.ts'
import type { Connection } from '../src/mysql/connection.ts'
import { putServers } from '../src/move/testkit/mover-kit.ts'
import { keys } from '../src/topology/keys.ts'
import type {
  MoverRecord,
  RoutingComponent,
  RoutingRecord,
  ShardRef,
  StreamRecord,
  StreamReport,
  StreamTable,
  VdiffRecord,
  VdiffReport,
} from '../src/topology/records.ts'
import { SqliteStore } from '../src/topology/sqlite.ts'
import { put } from '../src/topology/typed.ts'
import type { TestServer } from '../test/kit/servers.ts'

export class MoverBench implements AsyncDisposable {
  readonly store: SqliteStore
  readonly #dir: string
  #child: ChildProcess
  /** One for each source. */
  records: readonly StreamRecord[]

  private constructor(store: SqliteStore, dir: string, records: readonly StreamRecord[]) {
    this.store = store
    this.#dir = dir
    this.#child = startMover(dir)
    this.records = records
  }

  /** Of the first source. */
  get record(): StreamRecord {
    const [first] = this.records
    if (first === undefined) throw new Error('no source')
    return first
  }

  /** Makes the targets' schemas; nothing moves before `run`. */
  static async start(of: {
    dir: string
    source: TestServer
    target: TestServer
    t: Connection
    schema: string
    shards: readonly string[]
    tables: readonly StreamTable[]
    /** Shards of the side that is read, each in its schema on the source's server; one, in `schema`, unless given. */
    sources?: readonly { readonly shard: string; readonly schema: string }[]
    /** Where one server is used for several. */
    workflow?: string
  }): Promise<MoverBench> {
    const workflow = of.workflow ?? 'flow'
    const store = new SqliteStore(join(of.dir, 'topology.sqlite'))
    await putServers(store, of)
    const targets = of.shards.map((shard): ShardRef => ({
      shard,
      uid: `${workflow}-t${shard}`,
      serverId: 'target',
      schema: `${of.schema}_${shard.replace('-', '_')}`,
    }))
    for (const { schema } of targets) await of.t.query(`CREATE DATABASE ${schema}`)
    const records = (of.sources ?? [{ shard: '-', schema: of.schema }]).map(({ shard, schema }, i): StreamRecord => ({
      v: 1,
      uid: `${workflow}-stream${i === 0 ? '' : i}`,
      workflowUid: workflow,
      workflow,
      keyspace: 'app',
      direction: 'forward',
      wanted: 'stopped',
      generation: 0,
      source: { shard, uid: `${workflow}-s${shard}`, serverId: 'source', schema },
      targets: targets.filter((target) => meets(target.shard, shard)),
      tables: [...of.tables],
      movesReference: i === 0,
      copy: 'full',
      options: { onDdl: 'stop', deferSecondaryKeys: true, stopAfterCopy: false, copyBytesPerSecondMax: null, failpoints: {} },
    }))
    return new MoverBench(store, of.dir, records)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Waits until the process has begun its work: in production it runs long before there is any for it. */
  async ready(): Promise<void> {
    for await (const snapshot of this.store.watch(keys.movers, AbortSignal.timeout(60_000)))
      for (const { value } of snapshot.entries.values()) if ((value as unknown as MoverRecord).pid === this.pid) return
  }

  /** Kills the mover as a crash would, and starts another, which takes over once the lease is over. */
  kill9(): void {
    this.#child.kill('SIGKILL')
    this.#child = startMover(this.#dir)
  }

  /** Starts the stream (anew) and waits for a report of this start. */
  async run(until: (report: StreamReport) => boolean): Promise<StreamReport> {
    this.records = this.records.map((record) => ({ ...record, wanted: 'running', generation: record.generation + 1 }))
    await this.#want()
    return this.reported(until)
  }

  async stop(): Promise<void> {
    this.records = this.records.map((record) => ({ ...record, wanted: 'stopped' }))
    await this.#want()
    await this.reported((report) => report.state === 'stopped')
  }

  /** Waits until every stream has reported so since the last start; returns the report of the last that did. @throws what failed a stream */
  async reported(satisfies: (report: StreamReport) => boolean): Promise<StreamReport> {
    const satisfied = new Set<string>()
    for await (const snapshot of this.store.watch(keys.reportsOf(this.record.workflowUid), AbortSignal.timeout(900_000))) {
      for (const entry of snapshot.entries.values()) {
        const report = entry.value as unknown as StreamReport
        if (report.generation !== this.record.generation) continue
        if (report.state === 'failed') throw new Error(JSON.stringify(report.error))
        if (satisfies(report)) satisfied.add(report.streamUid)
        if (satisfied.size === this.records.length) return report
      }
    }
    throw new Error('the store ended')
  }

  /**
   * Waits until everything that the source had committed before is applied. By a marker that goes behind it: what a report counts is of one run of its stream, and a stream may begin again
   * (`warnings` says so then).
   *
   * @param s the source
   */
  async caughtUp(s: Connection): Promise<void> {
    const marker = await bumpControlMarker(s)
    await this.reported(({ targets }) => targets.every(({ controlMarker }) => controlMarker >= marker))
  }

  /** A comparison by the mover's own process, as in production: from the request to its end. */
  async vdiff(): Promise<VdiffReport> {
    const { workflowUid, keyspace, targets } = this.record
    const component: RoutingComponent = {
      range: '-',
      workflow: workflowUid,
      epoch: 1,
      serving: { primary: this.records.map(({ source }) => source.shard), replica: [] },
      other: targets.map(({ shard }) => shard),
      phase: 'stable',
      to: null,
      hold: null,
      retired: false,
    }
    const record: VdiffRecord = {
      v: 1,
      uid: randomUUID(),
      workflowUid,
      wanted: 'running',
      tables: null,
      requestedAtMs: Date.now(),
      repair: false,
    }
    await this.store.commit(
      [],
      [
        put<RoutingRecord>(keys.routing(keyspace), { v: 1, token: 1, components: [component] }),
        put(keys.vdiff(workflowUid, record.uid), record),
      ],
    )
    for await (const snapshot of this.store.watch(keys.vdiffReportsOf(workflowUid), AbortSignal.timeout(900_000))) {
      const report = snapshot.entries.get(keys.vdiffReport(workflowUid, record.uid))?.value as unknown as VdiffReport | undefined
      if (report?.error != null) throw new Error(JSON.stringify(report.error))
      if (report !== undefined && report.endedAtMs !== null) return report
    }
    throw new Error('the store ended')
  }

  /** What the mover's log warns of, a line each: a run that ended and began again is among it. */
  warnings(): string[] {
    const file = join(this.#dir, 'logs', 'mover.log')
    if (!existsSync(file)) return []
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { level: number; msg?: string; err?: { message?: string } })
      .filter(({ level }) => level >= 40)
      .map(({ msg, err }) => [msg, err?.message].filter((part) => part !== undefined).join(': '))
  }

  async #want(): Promise<void> {
    await this.store.commit(
      [],
      this.records.map((record) => put(keys.stream(record.workflowUid, record.uid), record)),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.store[Symbol.asyncDispose]()
  }
}

function meets(a: string, b: string): boolean {
  return keyRangesIntersect(parseKeyRange(a), parseKeyRange(b))
}

function startMover(dir: string): ChildProcess {
  const root = join(import.meta.dirname, '..')
  const mover = join(root, 'src', 'main', 'mover.ts')
  // As bin/shardwright has it: without, types are stripped anew, by what stays in memory.
  const compiled = { NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(root, 'node_modules', '.cache', 'compile') }
  const child = spawn(process.execPath, [...nodeFlags.mover, mover, '--data-dir', dir], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: { ...process.env, ...compiled, ...childEnvironment.mover },
  })
  process.on('exit', () => child.kill('SIGKILL'))
  return child
}

/** Whether a target is as good as up with its source; what is unknown is not. */
export function upTo(lag: TargetLag | null, transactions: number, ageMs: number): boolean {
  return (lag?.transactions ?? Infinity) < transactions && (lag?.markerAgeMs ?? Infinity) < ageMs
}

/** User and system seconds of a process and its threads. */
export function cpuSeconds(process: number): number {
  try {
    const stat = readFileSync(`/proc/${process}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return 0
  }
}

/** User and system seconds of children of this process that have ended. */
export function childSeconds(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[13]) + Number(fields[14])) / 100
}

/** Greatest memory that a process ever had, in MB. */
export function peakMb(process: number): number {
  return Math.round(Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${process}/status`, 'utf8'))?.[1] ?? 0) / 1024)
}

const group = (): string => String(Math.floor(Math.random() * 1e11)).padStart(11, '0')
const text = (groups: number): string => Array.from({ length: groups }, group).join('-')

/** A table as sysbench makes it, with its secondary key. */
export const sysbenchDdl = (name: string): string =>
  `CREATE TABLE ${name} (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, k INT NOT NULL DEFAULT 0, c CHAR(120) NOT NULL DEFAULT '', pad CHAR(60) NOT NULL DEFAULT '', KEY k_1 (k)) DEFAULT CHARSET=utf8mb4`

/** Rows of it, different from each other and cheap to make. */
export async function fillSysbench(conn: Connection, name: string, rows: number, first = 0): Promise<void> {
  for (let at = first; at < first + rows; at += 2000) {
    const c = text(10).slice(8)
    const pad = text(5)
    const values = Array.from(
      { length: Math.min(2000, first + rows - at) },
      (_, i) => `(${at + i + 1},${Math.floor(Math.random() * rows)},'${String(at + i).padStart(8, '0')}${c}','${pad}')`,
    )
    await conn.query(`INSERT INTO ${name} VALUES ${values.join(',')}`)
  }
}

export const byId = (name: string): StreamTable => ({ name, reference: false, vindex: { type: 'hash', params: {}, columns: ['id'] } })
