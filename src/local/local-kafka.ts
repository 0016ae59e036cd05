/**
 * Starts and stops Kafka on this machine, one node or several, for tests, torture and `demo:dual-write -- --kafka`.
 * Unlike the database servers these are children of who started them: `dir/kafka.json` names them, and the next start in the
 * same directory first ends what was left of them (by number, start time and boot, as everywhere here).
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { systemClock, type Clock } from '../base/clock.ts'
import { localErrors } from './errors.ts'
import { findPort } from './find-port.ts'
import { kafkaConfig, type KafkaNode } from './kafka-config.ts'
import { identify, isAlive, signalIfAlive, type ProcessIdentity } from './process-identity.ts'
import { logTail } from './template.ts'

/** As `scripts/unpack-kafka.mjs` writes it. */
export type KafkaInstall = { readonly version: string; readonly lib: string; readonly java: string }

export type KafkaOptions = {
  readonly install: KafkaInstall
  readonly dir: string
  readonly nodes?: number
  readonly settings?: Readonly<Record<string, string>>
  /** Settings that need to know a node's ports, as other listeners do. */
  readonly settingsOf?: (node: KafkaNode) => Readonly<Record<string, string>>
  readonly heap?: string
  readonly clock?: Clock
  readonly startLimitMs?: number
}

export function readKafkaInstall(file: string): KafkaInstall {
  return JSON.parse(readFileSync(file, 'utf8')) as KafkaInstall
}

/** 16 bytes in base64url; any will do, the same for all nodes. */
const clusterId = 'c2hhcmR3cmlnaHQta2Fma2E'

export class LocalKafka implements AsyncDisposable {
  readonly nodes: readonly KafkaNode[]
  readonly #options: KafkaOptions
  readonly #clock: Clock
  readonly #running = new Map<number, ProcessIdentity>()

  private constructor(options: KafkaOptions, nodes: readonly KafkaNode[]) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.nodes = nodes
  }

  /** Starts all nodes and waits until they take clients. */
  static async start(options: KafkaOptions): Promise<LocalKafka> {
    mkdirSync(options.dir, { recursive: true })
    await endLeftovers(options.dir, options.clock ?? systemClock)
    const nodes: KafkaNode[] = []
    const given = new Set<number>()
    // Below the ports that the system gives to passing connections: a node that is killed must find its own again.
    const port = async (): Promise<number> => {
      const found = await findPort(21_000 + Math.floor((process.pid * 37) % 9_000), 800, given)
      given.add(found)
      return found
    }
    for (let id = 1; id <= (options.nodes ?? 1); id++) nodes.push({ id, port: await port(), controllerPort: await port() })
    const kafka = new LocalKafka(options, nodes)
    try {
      await Promise.all(nodes.map((node) => kafka.startNode(node.id)))
      return kafka
    } catch (error) {
      await kafka.stop()
      throw error
    }
  }

  get brokers(): string {
    return this.nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')
  }

  /** Address of a topic here. */
  url(topic: string): string {
    return `kafka://${this.brokers}/${topic}`
  }

  async startNode(id: number): Promise<void> {
    const node = this.#node(id)
    const dir = this.nodeDir(id)
    const logDir = join(dir, 'log')
    mkdirSync(dir, { recursive: true })
    const settings = { ...this.#options.settings, ...this.#options.settingsOf?.(node) }
    const config = join(dir, 'server.properties')
    writeFileSync(config, kafkaConfig(node, this.nodes, logDir, settings))
    const { java, lib } = this.#options.install
    const jvm = [
      `-Xmx${this.#options.heap ?? '384m'}`,
      '-Xms64m',
      '-XX:+UseSerialGC',
      // Starts in half the processor time; what a test sends needs no better code.
      '-XX:TieredStopAtLevel=1',
      '-Xshare:auto',
      '-Djava.awt.headless=true',
      '-Djava.net.preferIPv4Stack=true',
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
      '-Dlog4j2.StatusLogger.level=OFF',
      '-cp',
      join(lib, '*'),
    ]
    if (!existsSync(join(logDir, 'meta.properties'))) {
      const format = spawnSync(java, [...jvm, 'kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', config], { encoding: 'utf8' })
      if (format.status !== 0) throw this.#failed(id, `${format.stdout}${format.stderr}${format.error?.message ?? ''}`.slice(-500))
    }
    const log = openSync(join(dir, 'server.log'), 'a')
    let child: ChildProcess
    try {
      child = spawn(java, [...jvm, 'kafka.Kafka', config], { stdio: ['ignore', log, log] })
    } finally {
      closeSync(log)
    }
    child.on('error', () => undefined)
    child.unref()
    const identity = child.pid === undefined ? null : identify(child.pid)
    if (identity === null) throw this.#failed(id, 'the process did not start')
    this.#running.set(id, identity)
    this.#record()
    await this.#untilReady(node, identity)
  }

  nodeDir(id: number): string {
    return join(this.#options.dir, `node${id}`)
  }

  /** Ends a node as a crash would. */
  async kill9(id: number): Promise<void> {
    await this.#end(id, 'SIGKILL')
  }

  async stopNode(id: number): Promise<void> {
    await this.#end(id, 'SIGTERM')
  }

  pause(id: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
    const identity = this.#running.get(id)
    if (identity === undefined || !signalIfAlive(identity, signal))
      throw localErrors.notOurs({ dir: this.nodeDir(id), pid: identity?.pid ?? 'none' })
  }

  /** Ends all nodes at once; the data stays. */
  async stop(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((id) => this.#end(id, 'SIGKILL')))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** Stops and removes everything. */
  async destroy(): Promise<void> {
    await this.stop()
    rmSync(this.#options.dir, { recursive: true, force: true, maxRetries: 5 })
  }

  async #end(id: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const identity = this.#running.get(id)
    if (identity === undefined) return
    signalIfAlive(identity, signal)
    if (signal === 'SIGTERM') signalIfAlive(identity, 'SIGCONT')
    await gone(identity, this.#clock, this.nodeDir(id))
    this.#running.delete(id)
    this.#record()
  }

  async #untilReady(node: KafkaNode, identity: ProcessIdentity): Promise<void> {
    const limitMs = this.#options.startLimitMs ?? 120_000
    const started = this.#clock.monotonicMs()
    while (!(await answers(node.port))) {
      if (!isAlive(identity)) throw this.#failed(node.id, await logTail(join(this.nodeDir(node.id), 'server.log')))
      if (this.#clock.monotonicMs() - started > limitMs) {
        const log = join(this.nodeDir(node.id), 'server.log')
        throw localErrors.startTimeout({ flavour: 'kafka', id: node.id, timeoutMs: limitMs, log })
      }
      await this.#clock.sleep(100)
    }
  }

  #record(): void {
    writeFileSync(join(this.#options.dir, 'kafka.json'), JSON.stringify({ v: 1, running: [...this.#running.values()] }))
  }

  #node(id: number): KafkaNode {
    const node = this.nodes.find((candidate) => candidate.id === id)
    if (node === undefined) throw localErrors.badServerId({ id })
    return node
  }

  #failed(id: number, tail: string): Error {
    return localErrors.startFailed({ flavour: 'kafka', id, how: 'by itself', tail, log: join(this.nodeDir(id), 'server.log') })
  }
}

async function endLeftovers(dir: string, clock: Clock): Promise<void> {
  let left: ProcessIdentity[]
  try {
    left = (JSON.parse(readFileSync(join(dir, 'kafka.json'), 'utf8')) as { running: ProcessIdentity[] }).running
  } catch {
    return
  }
  for (const identity of left) {
    signalIfAlive(identity, 'SIGKILL')
    await gone(identity, clock, dir)
  }
}

async function gone(identity: ProcessIdentity, clock: Clock, dir: string): Promise<void> {
  const started = clock.monotonicMs()
  while (isAlive(identity)) {
    if (clock.monotonicMs() - started > 30_000)
      throw localErrors.stopTimeout({ dir, pid: identity.pid, timeoutMs: 30_000, log: join(dir, 'server.log') })
    await clock.sleep(20)
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
