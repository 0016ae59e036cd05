/** What `npm start` runs: the live reshard under traffic, narrated, and its proof. */
import { fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import mysql from 'mysql2/promise'
import { ApiClient } from '../api/client.ts'
import { systemClock as clock } from '../base/clock.ts'
import { SwError } from '../base/errors.ts'
import type { SecondReport } from '../demo/application.ts'
import { demoErrors } from '../demo/errors.ts'
import { finalCheck } from '../demo/final-check.ts'
import type { ShardAddress } from '../demo/final-check.ts'
import { replayLedger } from '../demo/ledger.ts'
import { harmConnections, harmRows, harmSwitch, sabotages } from '../demo/sabotage.ts'
import type { Sabotage } from '../demo/sabotage.ts'
import { Story, ranges } from '../demo/story.ts'
import { closingTable, secondLine } from '../demo/narrator.ts'
import { createTable, database, repsOf, seedColumns, seedRow, table, userOf } from '../demo/workload.ts'
import { readInstalls } from '../local/installs.ts'
import { LocalServers } from '../local/local-servers.ts'
import type { LocalServer } from '../local/local-server.ts'
import { watchParent } from '../local/parent-watch.ts'
import { forgetRun, removeProvisioned, shardAddresses } from './demo-place.ts'
import { Tree } from './tree.ts'
import { clientUser, ensureClientUser, installsFile, templatesDir, untilInterrupted } from './up.ts'

const options = readOptions()
const dataDir = resolve(options.dataDir)
const startedMs = clock.monotonicMs()
const say = (line: string): void =>
  void process.stdout.write(`${((clock.monotonicMs() - startedMs) / 1000).toFixed(1).padStart(6)} s  ${line}\n`)
const servers = new LocalServers({ installs: readInstalls(installsFile), installsFile, templatesDir, clock })
const rootPassword = 'existing-root'
const existingDir = join(dataDir, 'demo', 'existing')
let tree: Tree | null = null
let interrupted = false
process.once('SIGINT', () => {
  interrupted = true
  void shutDown().then(() => process.exit(130))
})
process.once('SIGTERM', () => void shutDown().then(() => process.exit(143)))
if (process.channel) watchParent({ onGone: () => void shutDown().then(() => process.exit(129)) })

try {
  process.exitCode = await run()
} catch (error) {
  if (!interrupted) {
    process.stdout.write(
      error instanceof SwError
        ? `\n${error.code}  ${error.message}\n  ${error.fix}\n`
        : `\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    )
    process.exitCode = 1
  }
}
if (!interrupted) {
  await shutDown()
  process.exit()
}

async function run(): Promise<number> {
  await clean()
  say(
    `An existing ${options.flavour} server with ${database}.${table}: ${options.rows.toLocaleString('en-US')} rows, ids by AUTO_INCREMENT.`,
  )
  const existing = await startExisting()
  await loadRows(existing)
  say('Shardwright starts beside it: control, mover and gate, each a process of its own.')
  tree = await Tree.start({ dataDir, flavour: options.flavour, apiPort: 15_000, gatePort: 15_306, installsFile, templatesDir, clock, say })
  const client = new ApiClient({ baseUrl: tree.apiUrl })
  await client.call(
    'createKeyspace',
    {},
    { name: database, server: { host: existing.host, port: existing.port, user: 'root', password: rootPassword, schema: database } },
  )
  const password = await ensureClientUser(dataDir, client)
  say(`The page: ${tree.apiUrl}   the gate: 127.0.0.1:${tree.gatePort}`)
  const ledgerFile = join(dataDir, 'demo', 'ledger.jsonl')
  const seconds: SecondReport[] = []
  const application = startApplication(tree.gatePort, password, ledgerFile, seconds)
  say(`The application works through the gate: ${options.writes} writes/s, ${options.reads} reads/s, 8 connections, open loop.`)
  await clock.sleep(options.quietMs)
  const harmed: string[] = []
  const story = new Story({
    client,
    clock,
    say,
    seconds,
    steps: options.steps,
    quietMs: options.quietMs,
    async beforeSwitch(workflow) {
      if (options.sabotage !== 'slow-switch' || harmed.length > 0) return
      const [target] = await addresses(client, workflow.targetShards)
      if (target === undefined) return
      const held = async (): Promise<boolean> => {
        const { routing } = await client.call('showKeyspace', { keyspace: database })
        return routing.components.some((component) => component.holdSinceMs !== null)
      }
      await harmSwitch({ target, holdMs: 2700, held })
      harmed.push('slow-switch: in the first switch a target is held for 2.7 s')
    },
  })
  await story.prepare()
  await clock.sleep(options.quietMs)
  for (let step = 1; step < options.steps.length; step++) await story.reshard(options.steps[step - 1] ?? 1, options.steps[step] ?? 1)
  const last = options.steps.at(-1) ?? 1
  if (options.sabotage === 'error') harmed.push(await harmConnections(await addresses(client, ranges(last)), 'sw_gate'))
  await clock.sleep(options.quietMs)
  await application.stop()
  say('The application has stopped. Every shard is read directly, without our routing, and held against its ledger.')
  const shards = await addresses(client, ranges(last))
  if (options.sabotage === 'lose-row' || options.sabotage === 'double-row' || options.sabotage === 'wrong-shard')
    harmed.push(await harmRows(options.sabotage, shards))
  for (const line of harmed) say(`sabotage: ${line}`)
  const check = await finalCheck(shards, replayLedger(ledgerFile, seedStates()))
  const verdict = closingTable({
    story,
    seconds,
    check,
    stallLimitMs: options.stallLimitMs,
    say: (line) => void process.stdout.write(`${line}\n`),
  })
  if (verdict.length > 0) {
    for (const line of verdict) process.stdout.write(`FAILED  ${line}\n`)
    return 1
  }
  process.stdout.write('Nothing lost, nothing doubled, nothing on a wrong shard, no error at the client.\n')
  if (!options.exit) {
    process.stdout.write(`\nIt stays up. The page: ${tree.apiUrl}\n`)
    process.stdout.write(
      `Connect: mysql -h 127.0.0.1 -P ${tree.gatePort} -u ${clientUser} -p'${password}' ${database}\nCtrl-C stops everything.\n`,
    )
    await untilInterrupted()
  }
  return 0
}

type RunningApplication = { stop(): Promise<void> }

function startApplication(port: number, password: string, ledgerFile: string, seconds: SecondReport[]): RunningApplication {
  const given = {
    host: '127.0.0.1',
    port,
    user: clientUser,
    password,
    database,
    connections: 8,
    writesPerSecond: options.writes,
    readsPerSecond: options.reads,
    ledgerFile,
    seedRows: options.rows,
    seed: options.seed,
  }
  const child = fork(join(import.meta.dirname, 'demo-application.ts'), [JSON.stringify(given)], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  })
  child.on('message', (message) => {
    const second = message as SecondReport
    seconds.push(second)
    say(secondLine(second))
  })
  const ended = new Promise<void>((done) => child.once('exit', () => done()))
  return {
    async stop() {
      child.send('stop')
      await ended
    },
  }
}

async function startExisting(): Promise<LocalServer> {
  return servers.start({ id: 'existing', flavour: options.flavour, dir: existingDir, rootPassword })
}

async function loadRows(server: LocalServer): Promise<void> {
  const connection = await mysql.createConnection({ host: server.host, port: server.port, user: 'root', password: rootPassword })
  await connection.query(`CREATE DATABASE ${database}`)
  await connection.query(`USE ${database}`)
  await connection.query(createTable)
  const perStatement = 2000
  for (let from = 1; from <= options.rows; from += perStatement) {
    const rows = Array.from({ length: Math.min(perStatement, options.rows - from + 1) }, (_, i) => seedRow(from + i))
    await connection.query(`INSERT INTO ${table} ${seedColumns} VALUES ${rows.join(',')}`)
  }
  await connection.end()
}

function* seedStates(): Iterable<readonly [number, { user: number; version: number; reps: number }]> {
  for (let logId = 1; logId <= options.rows; logId++) yield [-logId, { user: userOf(logId), version: 0, reps: repsOf(logId) }]
}

/** Where shards stand, with our administrator's account: for reading them directly. */
async function addresses(client: ApiClient, names: readonly string[]): Promise<ShardAddress[]> {
  const shards = await shardAddresses(dataDir, client, database)
  return names.map((name) => {
    const shard = shards.find((one) => one.name === name)
    if (shard === undefined) throw demoErrors.failed({ what: `there is no shard ${name}` })
    return shard
  })
}

async function clean(): Promise<void> {
  await stopServers()
  forgetRun(dataDir)
}

async function stopServers(): Promise<void> {
  await removeProvisioned(dataDir, servers)
  if (existsSync(existingDir)) await servers.destroy(existingDir)
}

async function shutDown(): Promise<void> {
  await tree?.stop()
  await stopServers()
}

type Options = {
  readonly steps: number[]
  readonly flavour: 'mysql' | 'mariadb'
  readonly rows: number
  readonly writes: number
  readonly reads: number
  readonly exit: boolean
  readonly sabotage: Sabotage | null
  readonly dataDir: string
  readonly seed: number
  readonly quietMs: number
  readonly stallLimitMs: number
}

function readOptions(): Options {
  try {
    return parseOptions()
  } catch (error) {
    const known =
      error instanceof SwError
        ? error
        : demoErrors.badOption({ option: process.argv.slice(2).join(' '), problem: error instanceof Error ? error.message : '' })
    process.stdout.write(`${known.code}  ${known.message}\n  ${known.fix}\n`)
    process.exit(2)
  }
}

function parseOptions(): Options {
  const { values } = parseArgs({
    args: process.argv.slice(2),
    options: {
      steps: { type: 'string', default: '1,4,8,2' },
      flavour: { type: 'string', default: 'mariadb' },
      rows: { type: 'string', default: '400000' },
      writes: { type: 'string', default: '300' },
      reads: { type: 'string', default: '300' },
      exit: { type: 'boolean', default: false },
      sabotage: { type: 'string' },
      'data-dir': { type: 'string', default: './.shardwright/demo' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      'quiet-ms': { type: 'string', default: '3000' },
      'stall-limit-ms': { type: 'string', default: '2000' },
    },
  })
  const steps = values.steps.split(',').map(Number)
  if (steps.length < 2 || steps[0] !== 1 || steps.some((n) => !Number.isInteger(n) || n < 1 || n > 256)) {
    throw demoErrors.badOption({ option: '--steps', problem: `${values.steps} is not a list of shard counts that begins with 1` })
  }
  const sabotage = values.sabotage ?? null
  if (sabotage !== null && !(sabotages as readonly string[]).includes(sabotage)) {
    throw demoErrors.badOption({ option: '--sabotage', problem: `${sabotage} is none of ${sabotages.join(', ')}` })
  }
  return {
    steps,
    flavour: values.flavour === 'mysql' ? 'mysql' : 'mariadb',
    rows: Number(values.rows),
    writes: Number(values.writes),
    reads: Number(values.reads),
    exit: values.exit,
    sabotage: sabotage as Sabotage | null,
    dataDir: values['data-dir'],
    seed: Number(values.seed),
    quietMs: Number(values['quiet-ms']),
    stallLimitMs: Number(values['stall-limit-ms']),
  }
}
