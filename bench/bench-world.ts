/**
 * Where benches of moves begin: a source with warm tables and a target on one machine, and movers as processes of their own. And how work is measured there: seconds, CPU
 * seconds by process, rows read on the source.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { forgetStreams } from '../src/move/tables.ts'
import { connect } from '../src/mysql/connect.ts'
import type { Connection } from '../src/mysql/connection.ts'
import { testServer, type TestServer } from '../test/kit/servers.ts'
import { benchTables, type BenchTable } from './bench-tables.ts'
import { childSeconds, cpuSeconds, fillSysbench, MoverBench, peakMb, sysbenchDdl } from './mover-kit.ts'
import { generateShardRanges } from '../src/keyspace/even-shards.ts'

export type BenchFlavour = 'mariadb' | 'mysql'

/** A server that keeps what it says it has. */
export function benchServer(flavour: BenchFlavour, bufferPoolMb: number, extra: Record<string, string | number> = {}): Promise<TestServer> {
  const redo = flavour === 'mariadb' ? { innodb_log_file_size: '1G' } : { innodb_redo_log_capacity: '1G', local_infile: 1 }
  return testServer({ flavour, durability: 'full', bufferPoolMb, extra: { ...redo, ...extra } })
}

export type BenchWorldOptions = {
  flavour: BenchFlavour
  /** Of each server; so large that the rows fit unless given. */
  bufferPoolMb?: number
  tables?: number
  /** Of each table. */
  rows: number
  shape?: BenchTable
  /** Shards that are read, which share the rows of the tables (sysbench's alone); one unless given. */
  sources?: number
}

/** As sysbench's, with the keyspace id as its key. */
const ofSeveral: BenchTable = {
  ddl: (name) => sysbenchDdl(name).replace('id INT NOT NULL AUTO_INCREMENT', 'id BIGINT UNSIGNED NOT NULL'),
  fill: fillSysbench,
  moved: (name) => ({ name, reference: false, vindex: { type: 'numeric', params: {}, columns: ['id'] } }),
  lastColumn: 'pad',
}

export type Measured = { seconds: number; cpu: number; rowsRead: number }

export class BenchWorld implements AsyncDisposable {
  readonly flavour: BenchFlavour
  readonly source: TestServer
  target: TestServer
  /** The source, in schema `app`. */
  readonly s: Connection
  t: Connection
  readonly dir = mkdtempSync(join(tmpdir(), 'sw-bench-'))
  readonly tables: readonly string[]
  readonly shape: BenchTable
  /** None: schema `app` is the only one. */
  #sources: readonly { readonly shard: string; readonly schema: string }[] = []
  #movers = 0
  #bufferPoolMb = 0

  private constructor(
    flavour: BenchFlavour,
    source: TestServer,
    target: TestServer,
    s: Connection,
    t: Connection,
    tables: number,
    shape: BenchTable,
  ) {
    this.flavour = flavour
    this.source = source
    this.target = target
    this.s = s
    this.t = t
    this.tables = Array.from({ length: tables }, (_, i) => `sbtest${i + 1}`)
    this.shape = shape
    process.on('exit', () => rmSync(this.dir, { recursive: true, force: true }))
  }

  /** Tables are filled, analysed and in memory: alike for everybody who is measured. */
  static async create(options: BenchWorldOptions): Promise<BenchWorld> {
    const { flavour, rows, tables = 1, shape = options.sources === undefined ? benchTables['sysbench'] : ofSeveral, sources = 1 } = options
    if (shape === undefined) throw new Error(`shapes: ${Object.keys(benchTables).join(', ')}`)
    const poolMb = options.bufferPoolMb ?? Math.ceil((rows * tables) / 2500) + 128
    const [source, target] = await Promise.all([benchServer(flavour, poolMb), benchServer(flavour, poolMb)])
    const [s, t] = await Promise.all([connect(source.config), connect(target.config)])
    const world = new BenchWorld(flavour, source, target, s, t, tables, shape)
    world.#bufferPoolMb = poolMb
    await s.query('CREATE DATABASE app')
    await s.useDatabase('app')
    for (const name of world.tables) {
      await s.query(shape.ddl(name))
      await shape.fill(s, name, rows / sources)
    }
    await world.warm()
    if (sources > 1) await world.#share(sources)
    return world
  }

  /** Each source gets what `app` has, under keys of its own range. */
  async #share(sources: number): Promise<void> {
    this.#sources = generateShardRanges(sources).map((shard, i) => ({ shard, schema: `app_s${i}` }))
    for (const [i, { schema }] of this.#sources.entries()) {
      await this.s.query(`CREATE DATABASE ${schema}`)
      for (const name of this.tables) {
        const first = (BigInt(i) << 64n) / BigInt(sources)
        await this.s.query(`CREATE TABLE ${schema}.${name} LIKE ${name}`)
        await this.s.query(`INSERT INTO ${schema}.${name} SELECT id + ${first}, k, c, pad FROM ${name}`)
        await this.s.query(`ANALYZE TABLE ${schema}.${name}`)
      }
    }
  }

  async warm(): Promise<void> {
    for (const name of this.tables) {
      await this.s.query(`ANALYZE TABLE ${name}`)
      await this.s.query(`SELECT COUNT(${this.shape.lastColumn}) FROM ${name}`)
    }
  }

  /** A target that has done nothing yet, as those of a reshard are, in the place of the one there was. */
  async freshTarget(): Promise<void> {
    this.t.destroy()
    await this.target[Symbol.asyncDispose]()
    this.target = await benchServer(this.flavour, this.#bufferPoolMb)
    this.t = await connect(this.target.config)
  }

  /** A mover and its stream to even shards; `forget` it before another goes to the same ones. */
  async mover(targets: number): Promise<MoverBench> {
    const workflow = `flow${++this.#movers}`
    const place = join(this.dir, workflow)
    mkdirSync(join(place, 'logs'), { recursive: true })
    const { source, target, t, tables, shape } = this
    const mover = await MoverBench.start({
      dir: place,
      source,
      target,
      t,
      schema: 'app',
      shards: generateShardRanges(targets),
      tables: tables.map((name) => shape.moved(name)),
      workflow,
      ...(this.#sources.length === 0 ? {} : { sources: this.#sources }),
    })
    await mover.ready()
    return mover
  }

  /** Stops it and removes what it made. */
  async forget(mover: MoverBench): Promise<void> {
    await mover.stop()
    await forgetStreams(this.t, mover.record.workflowUid)
    const schemas = new Set(mover.records.flatMap(({ targets }) => targets.map(({ schema }) => schema)))
    for (const schema of schemas) await this.t.query(`DROP DATABASE ${schema}`)
    await mover[Symbol.asyncDispose]()
  }

  /** `mover`: its process. The CPU seconds of all; those of children that have ended count as `others`. */
  async measured(name: string, work: () => Promise<unknown>, mover = 0): Promise<Measured> {
    const read = await this.rowsRead()
    const cpu = (): number[] => [cpuSeconds(this.source.pid), cpuSeconds(this.target.pid), cpuSeconds(mover)]
    const [before, others] = [cpu(), childSeconds()]
    const beganMs = performance.now()
    await work()
    const seconds = (performance.now() - beganMs) / 1000
    const [source = 0, target = 0, moved = 0] = cpu().map((now, i) => now - (before[i] ?? 0))
    const ended = childSeconds() - others
    const rowsRead = (await this.rowsRead()) - read
    const parts = [`source ${source.toFixed(1)}`, `target ${target.toFixed(1)}`]
    if (mover !== 0) parts.push(`mover ${moved.toFixed(1)}`)
    if (ended > 0.05) parts.push(`tools ${ended.toFixed(1)}`)
    const peak = mover === 0 ? '' : `, mover at most ${peakMb(mover)} MB`
    console.log(`${name}: ${seconds.toFixed(2)} s; CPU s: ${parts.join(', ')}; ${rowsRead} rows read on the source${peak}`)
    return { seconds, cpu: source + target + moved + ended, rowsRead }
  }

  /** By the source's own count, since it began. */
  async rowsRead(): Promise<number> {
    const status = await this.s.allText("SHOW GLOBAL STATUS LIKE 'Handler_read%'")
    return status.filter((row) => row['Variable_name'] !== 'Handler_read_rnd_next').reduce((total, row) => total + Number(row['Value']), 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.s.destroy()
    this.t.destroy()
    await Promise.all([this.source[Symbol.asyncDispose](), this.target[Symbol.asyncDispose]()])
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? (sorted[middle] ?? NaN) : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2
}

export function spread(values: readonly number[], digits = 2): string {
  return `median ${median(values).toFixed(digits)} (${values.map((value) => value.toFixed(digits)).join(', ')})`
}
