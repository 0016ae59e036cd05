/** What `npm run demo:dual-write` runs: four shards to eight by a second fleet, narrated, and its proof. `--kafka`: topics on a real Kafka. */
import { fork } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import mysql from 'mysql2/promise'
import { ApiClient } from '../api/client.ts'
import type { RequestBody } from '../api/endpoints.ts'
import { systemClock as clock } from '../base/clock.ts'
import { SwError } from '../base/errors.ts'
import { account } from '../demo/dual-write/account.ts'
import { closingTable } from '../demo/dual-write/closing-table.ts'
import type { Produced } from '../demo/dual-write/agents.ts'
import { slowReads, wrongRow } from '../demo/dual-write/faults.ts'
import type { ReadSecond } from '../demo/dual-write/readers.ts'
import { DualWriteStory } from '../demo/dual-write/story.ts'
import { demoErrors } from '../demo/errors.ts'
import type { ShardAddress } from '../demo/final-check.ts'
import { readInstalls } from '../local/installs.ts'
import { LocalKafka, readKafkaInstall } from '../local/local-kafka.ts'
import { LocalServers } from '../local/local-servers.ts'
import { watchParent } from '../local/parent-watch.ts'
import { createTopic, openTopic } from '../topic/open.ts'
import type { DualWriteApplicationOptions } from './demo-dual-write-application.ts'
import { forgetRun, removeProvisioned, shardAddresses } from './demo-place.ts'
import { Tree } from './tree.ts'
import { clientUser, ensureClientUser, installsFile, projectDir, templatesDir, untilInterrupted } from './up.ts'

const keyspace = 'insights'
const branch = 'wide'
const partitions = 8
/** The demonstration's time (examples/insights/summaries.ts): a minute is a second, an hour five, a day twelve. */
const rollUps = [
  { table: 'query_minute', everyMs: 1_000 },
  { table: 'query_hour', everyMs: 5_000 },
] as const
const dayMs = 12_000
const keptMs = 8 * dayMs
/** Wide enough that what is altered all the time does not take the machine from what is shown. */
const partitionMs = 2 * dayMs
/** Two partitions of before: those that fleets make are as wide. */
const firstDays = [1, 0]
  .map((ago) => new Date(Math.floor(Date.now() / partitionMs - ago) * partitionMs).toISOString().slice(0, 19).replace('T', ' '))
  .map((bound, i) => `PARTITION p${i} VALUES LESS THAN ('${bound}')`)
  .join(', ')

const exampleDir = join(projectDir, 'examples', 'insights')
const options = readOptions()
/** Of quiet times, with one side alone. */
const calmSeconds = Math.round(options.quietMs / 1000)
const dataDir = resolve(options.dataDir)
const startedMs = clock.monotonicMs()
const say = (line: string): void =>
  void process.stdout.write(`${((clock.monotonicMs() - startedMs) / 1000).toFixed(1).padStart(6)} s  ${line}\n`)
const servers = new LocalServers({ installs: readInstalls(installsFile), installsFile, templatesDir, clock })
let tree: Tree | null = null
let kafka: LocalKafka | null = null
let interrupted = false
const leave = (code: number): void => {
  interrupted = true
  void shutDown().then(() => process.exit(code))
}
process.once('SIGINT', () => leave(130))
process.once('SIGTERM', () => leave(143))
if (process.channel) watchParent({ onGone: () => leave(129) })

try {
  process.exitCode = await run()
} catch (error) {
  if (!interrupted) {
    const text =
      error instanceof SwError
        ? `${error.code}  ${error.message}\n  ${error.fix}`
        : error instanceof Error
          ? (error.stack ?? error.message)
          : String(error)
    process.stdout.write(`\n${text}\n`)
    process.exitCode = 1
  }
}
if (!interrupted) {
  await shutDown()
  process.exit()
}

async function run(): Promise<number> {
  await clean()
  const topicUrl = await topics()
  for (const topic of ['summaries', 'slow_queries']) await createTopic(topicUrl(topic), { partitions, retentionMs: BigInt(8 * 86_400_000) })
  say(
    `Two topics of ${partitions} partitions on ${options.kafka ? 'Kafka' : 'the embedded log'}: a summary per query pattern, and each slow query.`,
  )
  tree = await Tree.start({ dataDir, flavour: options.flavour, apiPort: 15_000, gatePort: 15_306, installsFile, templatesDir, clock, say })
  const client = new ApiClient({ baseUrl: tree.apiUrl })
  say(`Shardwright is up. The page: ${tree.apiUrl}   the gate: 127.0.0.1:${tree.gatePort}`)
  await client.call('createKeyspace', {}, { name: keyspace, shards: ['-40', '40-80', '80-c0', 'c0-'] })
  const password = await ensureClientUser(dataDir, client)
  for (const shard of await addresses(client, keyspace)) await makeTables(shard)
  const vschema = JSON.parse(readFileSync(join(exampleDir, 'vschema.json'), 'utf8')) as RequestBody<'applyVSchema'>['vschema']
  await client.call('applyVSchema', { keyspace }, { vschema })
  for (const [definition, topic, suffix] of [
    ['demo-summaries.ts', 'summaries', undefined],
    ['demo-slow-queries.ts', 'slow_queries', 'slow'],
  ] as const) {
    const request = { keyspace, definition: join(exampleDir, definition), topic: topicUrl(topic), consumers: options.consumers }
    await client.call('createFleet', {}, { ...request, ...(suffix === undefined ? {} : { suffix }) } as RequestBody<'createFleet'>)
  }
  say('Its keyspace has four shards, each a server; two fleets fill them from the topics. Agents and dashboards begin.')
  const ledgerFile = join(dataDir, 'demo', 'acknowledged.txt')
  const application = startApplication({
    summariesUrl: topicUrl('summaries'),
    slowUrl: topicUrl('slow_queries'),
    ledgerFile,
    seed: options.seed,
    databases: 200,
    patterns: 40,
    summariesPerSecond: options.rate,
    slowPerSecond: Math.max(1, options.rate / 20),
    gatePort: tree.gatePort,
    user: clientUser,
    password,
    database: keyspace,
    readsPerSecond: options.reads,
    everyMs: rollUps[1].everyMs,
    keptMs,
  })
  const beginMs = clock.monotonicMs()
  while (application.seconds.filter(({ reads }) => reads > 0).length < calmSeconds) {
    if (clock.monotonicMs() - beginMs > options.limitMs) throw demoErrors.failed({ what: 'the dashboards read nothing' })
    await clock.sleep(100)
  }
  const before = application.seconds.slice(-calmSeconds)

  const story = new DualWriteStory({
    client,
    clock,
    say,
    keyspace,
    branch,
    limitMs: options.limitMs,
    spec: {
      bootstrap: 'pin',
      marginMs: 0,
      consumers: options.consumers,
      rungs: options.rungs,
      allow: options.allow,
      ramp: {
        steps: [0.1, 1, 5, 25, 50, 100],
        dwellMs: options.dwellMs,
        watchEveryMs: 2000,
        p95FloorMs: options.p95FloorMs,
        watchRungs: ['L1', 'L2'],
      },
      quietMs: 3000,
      holdMs: 2000,
    },
  })
  say('')
  say(`shardwright keyspace branch create ${keyspace}/${branch} --shards 8`)
  await story.act('branch', async () => {
    await client.call('createBranch', { keyspace }, { branch, shards: 8, targetsPerServer: 4 })
    return '8 shards on 2 servers, empty'
  })
  say(`shardwright DualWrite create --keyspace ${keyspace} --workflow grow --to-branch ${branch} --bootstrap pin`)
  await story.act('create', () => story.create())
  say('A second pair of fleets reads the same topics from the oldest offset that is held. Production feels nothing of it.')
  await story.act('fill', () => story.filled())
  say('shardwright DualWrite validate: nothing is believed that was not compared. Only closed buckets count.')
  await story.act('validate', () => story.validate())
  say('What each side sustains: its fleet is held for some seconds and drains (L6; shown, and asked of a machine that has time for it).')
  await story.act('capacity', () => story.rungPasses('L6'))
  const newShards = await addresses(client, `${keyspace}@${branch}`)
  say('shardwright DualWrite ramp --auto')
  await story.act('ramp', async () => {
    // A fleet that was held is behind for a moment.
    await story.untilState('ready')
    await story.rampAuto()
    return `${await story.untilPercent(5)} % of the tenants read the new branch`
  })
  say('Fault 1: a row of the new branch is changed behind our back.')
  await story.act('wrong row', async () => {
    const fault = await wrongRow(newShards, new Date(clock.nowMs() - 12_000))
    if (fault === null) throw demoErrors.failed({ what: 'no slow query of a closed bucket was found on the new branch' })
    say(`  ${fault.what}`)
    const why = await story.untilSteppedBack()
    await fault.undo()
    return `back by itself, ${why}`
  })
  await story.act('validate', () => story.validate())
  say('Fault 2: reads of the new branch become slow.')
  await story.act('slow reads', async () => {
    await story.rampAuto()
    await story.untilPercent(25)
    // Over the budget on any machine: on a busy one the old branch itself is slower than the floor.
    const baselineMs = (await story.show()).dualwrite?.reads.baselineP95Ms ?? 0
    const end = slowReads(newShards, 2 * Math.max(options.p95FloorMs, 1.5 * baselineMs))
    try {
      return `back by itself, ${await story.untilSteppedBack()}`
    } finally {
      await end()
    }
  })
  await story.act('ramp to 100 %', () => story.rampToTheEnd())
  await clock.sleep(options.quietMs / 2)
  say('The way back is open as long as the old fleets run. It is taken:')
  await story.act('rollback', async () => {
    await story.carryOut('rollback', {})
    const { readsPercent } = (await story.show()).dualwrite ?? {}
    return `${readsPercent ?? 'unknown'} % on the new branch, reads were held for ${await story.slowestHold(-1)}`
  })
  if ((await story.show()).state !== 'ready') await story.act('validate', () => story.validate())
  await story.act('ramp again', () => story.rampToTheEnd())
  await clock.sleep(options.quietMs / 2)
  const sideBySide = (await story.show()).dualwrite?.evidence.find(({ rung }) => rung === 'L5')?.because ?? 'not asked for'
  say('shardwright DualWrite complete --yes')
  await story.act('complete', async () => {
    await story.complete()
    return 'the old shards and fleets are gone'
  })
  await clock.sleep(options.quietMs)
  const after = application.seconds.slice(-calmSeconds)
  say('The agents stop. When the fleets have caught up, every shard is read directly and held against every record of the topics.')
  const produced = await application.stopProducing()
  await drained(client)
  await application.stop()
  const shards = await addresses(client, keyspace)
  const [summaries, slowQueries] = await Promise.all([openTopic(topicUrl('summaries')), openTopic(topicUrl('slow_queries'))])
  const result = await account({ summaries, slowQueries }, shards, ledgerFile, { rollUps, slowEveryMs: rollUps[1].everyMs, keptMs })
  await Promise.all([summaries.close(), slowQueries.close()])
  const latency = { before, after, sideBySide }
  const verdict = closingTable(story.acts, application.seconds, produced, result, shards.length, latency)
  if (verdict.length > 0) {
    for (const line of verdict) process.stdout.write(`FAILED  ${line}\n`)
    return 1
  }
  process.stdout.write('Every event that has not expired is in the final branch, once; no read failed, no tenant went back in time.\n')
  if (!options.exit) {
    process.stdout.write(`\nIt stays up. The page: ${tree.apiUrl}\nCtrl-C stops everything.\n`)
    await untilInterrupted()
  }
  return 0
}

async function topics(): Promise<(topic: string) => string> {
  if (!options.kafka) {
    const dir = join(dataDir, 'demo', 'topics')
    mkdirSync(dir, { recursive: true })
    return (topic) => `log://${dir}/${topic}`
  }
  const file = join(projectDir, '.servers', 'kafka', 'kafka.json')
  if (!existsSync(file)) throw demoErrors.failed({ what: `${file} is missing: run  node scripts/unpack-kafka.mjs  first` })
  say('A Kafka broker starts on this machine.')
  const started = await LocalKafka.start({ install: readKafkaInstall(file), dir: join(dataDir, 'demo', 'kafka'), clock })
  kafka = started
  return (topic) => started.url(topic)
}

async function makeTables(shard: ShardAddress): Promise<void> {
  const { host, port, user, password, schema } = shard
  const connection = await mysql.createConnection({ host, port, user, password, database: schema, multipleStatements: true })
  await connection.query(readFileSync(join(exampleDir, 'schema.sql'), 'utf8').replaceAll(/\(PARTITION p0 .*\)/g, `(${firstDays})`))
  await connection.end()
}

/** Until every fleet that works has seen the end of its topic and has nothing before it left to do. */
async function drained(client: ApiClient): Promise<void> {
  const limit = clock.monotonicMs() + options.limitMs
  const ends = new Map<string, ReadonlyMap<number, bigint>>()
  for (;;) {
    const fleets = (await client.call('listFleets')).filter((fleet) => fleet.wanted !== 'stopped')
    for (const { topic: url } of fleets) {
      if (ends.has(url)) continue
      const topic = await openTopic(url)
      ends.set(url, await topic.endOffsets())
      await topic.close()
    }
    const done = fleets.every(({ topic, lag, partitions: told }) =>
      told.every(({ partition, highWatermark }) => {
        const end = ends.get(topic)?.get(partition) ?? 0n
        return lag === '0' && (end === 0n || (highWatermark !== null && BigInt(highWatermark) >= end))
      }),
    )
    if (fleets.length > 0 && done) return
    if (clock.monotonicMs() > limit)
      throw demoErrors.failed({
        what: `the fleets did not catch up: ${fleets.map((fleet) => `${fleet.name} lag ${fleet.lag ?? 'unknown'}`).join(', ')}`,
      })
    await clock.sleep(600)
  }
}

function startApplication(given: DualWriteApplicationOptions): {
  seconds: ReadSecond[]
  stopProducing(): Promise<Produced>
  stop(): Promise<void>
} {
  const child = fork(join(import.meta.dirname, 'demo-dual-write-application.ts'), [JSON.stringify(given)], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  })
  const seconds: ReadSecond[] = []
  let ended: (produced: Produced) => void = () => undefined
  const producing = new Promise<Produced>((resolve) => (ended = resolve))
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  let last: Produced = { summaries: 0, slowQueries: 0, unknown: 0 }
  child.on('message', (message) => {
    const { second, produced, producingEnded } = message as { second?: ReadSecond; produced?: Produced; producingEnded?: Produced }
    if (second !== undefined) {
      seconds.push(second)
      const events = produced === undefined ? 0 : produced.summaries + produced.slowQueries - last.summaries - last.slowQueries
      last = produced ?? last
      const trouble =
        second.errors + second.backwards === 0
          ? '0 errors'
          : `${second.errors} ERRORS, ${second.backwards} BACK IN TIME (${second.messages[0] ?? ''})`
      say(
        `· ${String(events).padStart(4)} events, ${String(second.reads).padStart(3)} reads, ${trouble}, p95 ${second.p95Ms.toFixed(1)} ms`,
      )
    }
    if (producingEnded !== undefined) ended(producingEnded)
  })
  return {
    seconds,
    async stopProducing() {
      child.send('stop producing')
      return producing
    },
    async stop() {
      child.send('stop')
      await exited
    },
  }
}

function addresses(client: ApiClient, name: string): Promise<ShardAddress[]> {
  return shardAddresses(dataDir, client, name)
}

async function clean(): Promise<void> {
  await removeProvisioned(dataDir, servers)
  forgetRun(dataDir)
}

async function shutDown(): Promise<void> {
  await tree?.stop()
  await kafka?.stop()
  await removeProvisioned(dataDir, servers)
}

function readOptions() {
  const { values } = parseArgs({
    args: process.argv.slice(2),
    options: {
      kafka: { type: 'boolean', default: false },
      flavour: { type: 'string', default: 'mariadb' },
      exit: { type: 'boolean', default: false },
      rate: { type: 'string', default: '200' },
      reads: { type: 'string', default: '60' },
      consumers: { type: 'string', default: '1' },
      rungs: { type: 'string', default: 'L0,L1,L2,L3,L4,L5' },
      allow: { type: 'string', default: '' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      'data-dir': { type: 'string', default: './.shardwright/demo-dual-write' },
      'dwell-ms': { type: 'string', default: '2500' },
      'quiet-ms': { type: 'string', default: '4000' },
      'limit-ms': { type: 'string', default: '240000' },
      'p95-floor-ms': { type: 'string' },
    },
  })
  // Everything runs on one machine, brokers too: below this it is the machine that is seen.
  const p95FloorMs = Number(values['p95-floor-ms'] ?? (values.kafka ? 300 : 150))
  return {
    kafka: values.kafka,
    flavour: values.flavour === 'mysql' ? ('mysql' as const) : ('mariadb' as const),
    exit: values.exit,
    rate: Number(values.rate),
    reads: Number(values.reads),
    consumers: Number(values.consumers),
    rungs: values.rungs.split(','),
    allow: values.allow.split(',').filter((check) => check !== ''),
    seed: Number(values.seed),
    dataDir: values['data-dir'],
    dwellMs: Number(values['dwell-ms']),
    quietMs: Number(values['quiet-ms']),
    limitMs: Number(values['limit-ms']),
    p95FloorMs,
  }
}
