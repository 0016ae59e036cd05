/**
 * One run of the ingest torture: a topic under steady production, two branches of one keyspace (2 and 4 shards), each with a fleet
 * of consumer processes; harms in an order that follows from the seed. At the end both branches must hold exactly what the records of the
 * topic say: roll-ups with their sketches byte by byte, 1:1 rows by their coordinates, dimensions by their order, each on its shard.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ingestCrashPoints } from '../../src/ingest/crash-points.ts'
import { IngestWorld, type Sent } from '../../src/ingest/testkit/ingest-world.ts'
import type { QueryEvent } from '../../src/ingest/testkit/query-stats.ts'
import type { KafkaInstall, LocalKafka } from '../../src/local/local-kafka.ts'
import { branchKeyspace } from '../../src/topology/dualwrite-records.ts'
import { startKafka } from '../kit/kafka.ts'
import { testServer, type TestServer } from '../kit/servers.ts'
import { seeded } from './seeded.ts'

export type IngestTorture = {
  readonly seed: number
  readonly seconds: number
  /** These in this order, and then the end; else by the seed until the time is up. */
  readonly harms?: readonly IngestHarm[]
  readonly flavour: 'mariadb' | 'mysql'
  /** Topics on Kafka; null: the embedded log. */
  readonly kafka: KafkaInstall | null
  /** Three unless said. */
  readonly brokers?: number
  readonly say: (line: string) => void
}

export type IngestTortureResult = {
  readonly records: number
  readonly acknowledged: number
  readonly harms: number
  readonly summary: string
}

const branches = ['main', 'wide'] as const
type Branch = (typeof branches)[number]
const shardsOf: Readonly<Record<Branch, readonly string[]>> = { main: ['-80', '80-'], wide: ['-40', '40-80', '80-c0', 'c0-'] }
/** Longer than a lease (small-consumer.ts): whoever was stopped for this long is a zombie when it goes on. */
const pastLeaseMs = 2_200
const caughtUpLimitMs = 180_000

class Fleet {
  readonly #world: IngestWorld
  readonly branch: Branch
  readonly #server: TestServer
  readonly #processes: ChildProcess[] = []

  constructor(world: IngestWorld, branch: Branch, server: TestServer) {
    this.#world = world
    this.branch = branch
    this.#server = server
  }

  get alive(): ChildProcess[] {
    return this.#processes.filter((child) => child.exitCode === null && child.signalCode === null)
  }

  /** `point`: dies there at the `skip`-th time. */
  start(point = '', skip = 0): void {
    const script = join(import.meta.dirname, '../../src/ingest/testkit/consumer-process.ts')
    const fleet = branchKeyspace(this.#world.keyspace, this.branch)
    const args = [join(this.#world.dir, 'topology.sqlite'), fleet, String(this.#server.port), this.#server.flavour, point, String(skip)]
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    this.#processes.push(child)
  }

  /** So many at least, whatever has died since. */
  refill(wanted: number): void {
    for (let missing = wanted - this.alive.length; missing > 0; missing--) this.start()
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.alive.map((child) => {
        const gone = new Promise((resolve) => child.once('exit', resolve))
        child.kill('SIGKILL')
        return gone
      }),
    )
  }
}

export async function tortureIngest(options: IngestTorture): Promise<IngestTortureResult> {
  const { seed, say } = options
  const random = seeded(seed)
  const below = (n: number): number => Math.floor(random() * n)
  // What was begun ends, whatever fails.
  await using places = new AsyncDisposableStack()
  // `full`: a commit that was answered survives the server's own death.
  const server = places.use(await testServer({ flavour: options.flavour, bufferPoolMb: 32, durability: 'full' }))
  const kafka = options.kafka === null ? null : await startKafka(options.kafka, { nodes: options.brokers ?? 3 })
  places.defer(async () => kafka?.destroy())
  const world = await IngestWorld.create(server, 4, kafka?.url('queries') ?? null)
  const fleets = branches.map((branch) => new Fleet(world, branch, server))
  const ended = new AbortController()
  const counts = new Map<string, number>()
  try {
    for (const branch of branches) {
      await world.branch(branch, shardsOf[branch])
      await world.fleet(branch)
    }
    for (const fleet of fleets) fleet.refill(2)
    let failed = 0
    const producing = produce(world, seeded(seed + 1), ended.signal, () => failed++)
    const endMs = performance.now() + options.seconds * 1000
    const order = options.harms?.values() ?? dealt(below)
    while (options.harms !== undefined || performance.now() < endMs) {
      const next = order.next()
      if (next.done === true) break
      const fleet = fleets[below(2)] as Fleet
      await delay(300 + below(900))
      if (!(await harms[next.value](fleet, { server, kafka, world, below }))) continue
      counts.set(next.value, (counts.get(next.value) ?? 0) + 1)
      say(`  ${fleet.branch}: ${next.value}`)
      for (const one of fleets) one.refill(1 + below(2))
    }
    ended.abort()
    await producing
    for (const fleet of fleets) fleet.refill(1)
    const acknowledged = world.sent.length
    const events = await wholeTopic(world)
    requireAcknowledged(world.sent, events)
    for (const fleet of fleets) {
      await caughtUp(world, fleet)
      await world.assertExact(fleet.branch, events)
    }
    if (failed > 0) say(`  ${failed} sends without an answer`)
    const done = [...counts.values()].reduce((sum, n) => sum + n, 0)
    const summary = [...counts].map(([name, n]) => `${n} × ${name}`).join(', ')
    return { records: events.length, acknowledged, harms: done, summary }
  } finally {
    ended.abort()
    for (const fleet of fleets) await fleet.stop()
    await world[Symbol.asyncDispose]().catch(() => undefined)
  }
}

/** As IngestWorld.caughtUp, but consumers that could not begin while their server was away are started again, as `up` does. */
async function caughtUp(world: IngestWorld, fleet: Fleet): Promise<void> {
  const ends = await world.topic.endOffsets()
  const limit = performance.now() + caughtUpLimitMs
  for (;;) {
    const positions = await world.positions(fleet.branch)
    const behind = (await world.shards(fleet.branch)).flatMap(({ uid }) =>
      [...ends]
        .filter(([partition, end]) => end > 0n && positions.get(`${uid} ${partition}`)?.next !== end)
        .map(([partition]) => `${uid} ${partition}`),
    )
    if (behind.length === 0) return
    if (performance.now() > limit)
      throw new Error(`${fleet.branch} did not catch up: ${behind.join(', ')}; ${JSON.stringify(await world.reports(fleet.branch))}`)
    fleet.refill(1)
    await delay(100)
  }
}

type Scene = {
  readonly server: TestServer
  readonly kafka: LocalKafka | null
  readonly world: IngestWorld
  readonly below: (n: number) => number
}

/** One harm each, over and done with when it returns (a stopped process goes on). False: not possible now. */
const harms = {
  async 'consumer killed'(fleet, { below }) {
    const victim = fleet.alive[below(Math.max(1, fleet.alive.length))]
    return victim?.kill('SIGKILL') ?? false
  },
  async 'consumer that dies at a crash point'(fleet, { below }) {
    const point = ingestCrashPoints[below(ingestCrashPoints.length)] as string
    fleet.start(point, below(3))
    return true
  },
  async 'consumer stopped past its lease'(fleet, { below }) {
    const victim = fleet.alive[below(Math.max(1, fleet.alive.length))]
    if (victim === undefined) return false
    // Somebody else takes its partitions meanwhile; then it goes on with what it held, in the middle of whatever it did.
    fleet.start()
    victim.kill('SIGSTOP')
    await delay(pastLeaseMs)
    victim.kill('SIGCONT')
    return true
  },
  async 'partitions dealt out anew'(fleet, { below }) {
    const victim = fleet.alive[below(Math.max(1, fleet.alive.length))]
    fleet.start()
    victim?.kill('SIGTERM')
    return true
  },
  async 'shards killed'(_, { server, world, below }) {
    await server.kill9()
    await delay(below(500))
    await server.restart()
    await world.reconnect()
    return true
  },
  async 'broker killed'(_, { kafka, below }) {
    if (kafka === null) return false
    const id = 1 + below(kafka.nodes.length)
    await kafka.kill9(id)
    await delay(500 + below(2500))
    await kafka.startNode(id)
    return true
  },
  async 'broker stopped past its session'(_, { kafka, below }) {
    if (kafka === null) return false
    const id = 1 + below(kafka.nodes.length)
    kafka.pause(id, 'SIGSTOP')
    await delay(3_500)
    kafka.pause(id, 'SIGCONT')
    return true
  },
} satisfies Record<string, (fleet: Fleet, scene: Scene) => Promise<boolean>>

export type IngestHarm = keyof typeof harms

/** Dealt like cards, so that every harm comes about as often as it stands here, in whatever order. */
const deck: readonly IngestHarm[] = [
  'consumer killed',
  'consumer killed',
  'consumer that dies at a crash point',
  'consumer that dies at a crash point',
  'consumer stopped past its lease',
  'consumer stopped past its lease',
  'partitions dealt out anew',
  'shards killed',
  'broker killed',
  'broker stopped past its session',
]

function* dealt(below: (n: number) => number): Generator<IngestHarm, never, undefined> {
  for (;;) {
    const cards = [...deck]
    while (cards.length > 0) yield cards.splice(below(cards.length), 1)[0] as IngestHarm
  }
}

async function produce(world: IngestWorld, random: () => number, signal: AbortSignal, onUnknown: () => void): Promise<void> {
  const below = (n: number): number => Math.floor(random() * n)
  while (!signal.aborted) {
    const at = Date.now()
    const events = Array.from({ length: 1 + below(40) }, (): QueryEvent => {
      const db = 1 + below(30)
      const ms = 1 + below(3000)
      return { db, fp: `f${below(12)}`, at: at - below(4) * 1000, n: 1 + below(9), ms, text: `q ${db} ${ms}`, slow: ms > 2400 }
    })
    await world.send(events).catch(onUnknown)
    await delay(30, undefined, { signal }).catch(() => undefined)
  }
}

/** The truth is the topic: a send without an answer may have been written, and a producer's own repetition is a record of its own. */
async function wholeTopic(world: IngestWorld): Promise<Sent[]> {
  const starts = await world.topic.startOffsets()
  const ends = await world.topic.endOffsets()
  const open = new Set([...ends].filter(([, end]) => end > 0n).map(([partition]) => partition))
  const events: Sent[] = []
  const positions = new Map([...starts].map(([partition, offset]) => [partition, { offset }]))
  for await (const batch of world.topic.read(positions, { bytesMax: 4 << 20, signal: AbortSignal.timeout(120_000) })) {
    for (const { partition, offset, value } of batch.records)
      events.push({ ...(JSON.parse(String(value)) as QueryEvent), partition, offset })
    for (const [partition, { offset }] of batch.next) if (offset >= (ends.get(partition) ?? 0n)) open.delete(partition)
    if (open.size === 0) return events
  }
  throw new Error('the topic could not be read to its end')
}

function requireAcknowledged(acknowledged: readonly Sent[], events: readonly Sent[]): void {
  const at = new Map(events.map((event) => [`${event.partition} ${event.offset}`, event]))
  for (const sent of acknowledged) {
    const found = at.get(`${sent.partition} ${sent.offset}`)
    if (found?.text !== sent.text || found.at !== sent.at)
      throw new Error(`partition ${sent.partition} offset ${sent.offset} was acknowledged and is not in the topic`)
  }
}
